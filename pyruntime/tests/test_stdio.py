"""The worker as a process: what it says, when, and what no print, no line and no end of its parent can do to it."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import stock
from conftest import COND_AREA, REF_AREA, picture
from hypothesis import given
from hypothesis import strategies as st
from talk import GENERATION, Talk, prelude

from pyruntime import source, stdio, wire

HELLO_MAX_S = 0.3
# The fastest of so many starts is measured: other work on the machine makes single starts slow, never fast.
HELLO_TRIES = 8
# End of file to end of process: two seconds for the work to notice, and the scheduler's share.
GONE_MAX_S = 2.0 + 3.0

HEAVY = ("torch", "numpy", "diffusers", "transformers", "tokenizers", "safetensors", "PIL")

# A library that prints at import and for ever after, in all the ways there are. The text without a newline would glue
# itself to the next frame if fd 1 were still the wire.
NOISY = """
import importlib.abc, os, subprocess, sys, threading, time
class Noise(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "diffusers", "transformers"):
            print("noise: print"); sys.__stdout__.write("noise: no newline"); os.write(1, b"noise: fd 1")
            os.write(1, b'{"qie":1,"t":"result","noise":"a frame of a library"}\\n')
            subprocess.run(["echo", "noise: child"], check=True)
            os.read(0, 10)
            threading.Thread(target=chatter, daemon=True).start()
def chatter():
    while True:
        os.write(1, b"noise: chatter"); time.sleep(0.01)
sys.meta_path.insert(0, Noise())
"""


@pytest.fixture(scope="module")
def noisy():
    """A configured worker inside which libraries print all the time; its tests share it."""
    with Talk(prelude(NOISY)) as talk:
        hello = talk.hear("hello")
        assert hello["nonce"] == "nonce of this test" and hello["gen"] == GENERATION
        talk.say("configure", device="cpu", beat_ms=200, preview_side=64, max_pixels=1 << 20, cpu_threads=1)
        ready = talk.hear("ready")
        assert (ready["device"], ready["dtype"], ready["threads"]) == ("cpu", "float32", 1)
        yield talk
        talk.say("shutdown")
        assert talk.wait() == wire.EXIT_BYE
        assert talk.heard[-1]["t"] == "bye"


def edit_fields(folder, **changes):
    picture(64, 96).save(folder / "source.png")
    return {
        "prompt": "make it sepia", "steps": 2, "true_cfg_scale": 1.0, "seed": 1, "images": [str(folder / "source.png")],
        "work_width": 64, "work_height": 96, "out_width": 64, "out_height": 96, "ref_area": REF_AREA,
        "cond_area": COND_AREA, "result_path": str(folder / "result.png"),
    } | changes  # fmt: skip


def check_that_it_works(talk):
    """A request is answered, in order and by nothing else."""
    since = talk.now()
    talk.say("mem")
    assert talk.hear("mem_report", since)["bytes"] > 1 << 20


# The start


def test_hello_comes_before_anything_heavy_is_imported():
    spy = (
        "import sys\nfrom pyruntime import stdio\nsend = stdio.Writer.send\n"
        "def seen(self, message, *rest):\n"
        f"    sys.stderr.write('heavy ' + repr([m for m in {HEAVY!r} if m in sys.modules]) + '\\n')\n"
        "    send(self, message, *rest)\n"
        "    import os; os._exit(9)\n"
        "stdio.Writer.send = seen"
    )
    with Talk(prelude(spy)) as talk:
        hello = talk.hear("hello")
        assert talk.wait() == 9
        assert b"heavy []" in talk.errors
    assert hello["protocol"] == wire.VERSION and hello["pid"] == talk.process.pid
    assert hello["source_hash"] == source.source_hash() and hello["seq"] == 1
    assert hello["python"] == ".".join(map(str, sys.version_info[:3]))


def test_hello_comes_within_300_ms():
    seconds = []
    for _ in range(HELLO_TRIES):
        with Talk() as talk:
            talk.hear("hello")
            seconds.append(time.monotonic() - talk.begun)
        if seconds[-1] < HELLO_MAX_S:
            break
    assert min(seconds) < HELLO_MAX_S, seconds


def test_the_source_hash_is_over_names_and_content(tmp_path, monkeypatch):
    def of(files):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        root.mkdir()
        for name, text in files.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        monkeypatch.setattr(source, "__file__", str(root / "source.py"))
        return source.source_hash()

    base = of({"a.py": "1", "b.py": "2"})
    assert of({"b.py": "2", "a.py": "1", "a.pyc": "x", "__pycache__/a.py.swp": "x"}) == base
    assert len({base, of({"a.py": "12", "b.py": ""}), of({"a.py": "1", "c.py": "2"}), of({"a.py": "1"})}) == 4


# Prints


def test_prints_of_libraries_reach_stderr_and_never_the_wire(noisy):
    check_that_it_works(noisy)
    assert noisy.strays == []
    for text in (b"noise: print", b"noise: no newline", b"noise: fd 1", b"noise: child", b"noise: chatter"):
        assert text in noisy.errors
    assert not [e for e in noisy.heard if "noise" in e]
    assert [e["seq"] for e in noisy.heard] == list(range(1, len(noisy.heard) + 1))


def test_a_child_of_the_worker_does_not_hold_the_wire():
    code = (
        "from pyruntime import stdio, wire\nfds = stdio.take_fds()\nimport subprocess, os\n"
        "child = subprocess.Popen(['sleep', '30'], close_fds=False)\n"
        "stdio.Writer(fds.events, 3).send(wire.Log(text=str(child.pid)))\nos._exit(0)"
    )
    with Talk([sys.executable, "-I", "-c", code]) as talk:
        pid = int(talk.hear("log")["text"])
        held: list[str] = []
        for end in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # what the loader had open for a moment
                held.append(str(end.readlink()))
        wire_ends = {f"pipe:[{os.fstat(f.fileno()).st_ino}]" for f in (talk.process.stdin, talk.process.stdout)}
        os.kill(pid, signal.SIGKILL)
        assert held and not wire_ends & set(held)


# Lines


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        (b"garbage", 1),
        (b"", 1),
        (b"\x00\xff\xfe\x80", 1),
        (b"y" * 3_000_000, 1),
        (b'{"qie":1,"t":"ping","id":1,"pad":"' + b"y" * 300_000 + b'"}', 1),
        (b'{"qie":1,', 1),
        (b'{"qie":1,"t":"ping","seq":1,"gen":3', 1),
        (b'{"qie":1,"t":"ping","seq":1,"gen":3,"ms":0,"id":"four"}', 1),
        (b'{"qie":1,"t":"ping","seq":1,"gen":3,"ms":0,"id":NaN}', 1),
        (b'{"qie":1,"t":"ping","seq":1,"gen":3,"ms":0,"id":1' + b"0" * 5000 + b"}", 1),
        (b'{"qie":1,"t":"ping","seq":1,"gen":3,"ms":0,"id":4,"x":' + b"[" * 100_000 + b"}", 1),
        (b'{"qie":1,"t":"ping","seq":1,"gen":3,"ms":0,"id":4,"x":"\x00"}', 1),
        (b'{"qie":1,"t":"ping","seq":1,"gen":3,"ms":0,"id":4}trailing', 1),
        (b'{"qie":1,"t":"made_up","seq":1,"gen":3,"ms":0}', 1),
        (b'{"qie":1,"t":"result","seq":1,"gen":3,"ms":0}', 1),
        (b'{"qie":2,"t":"ping","seq":1,"gen":3,"ms":0,"id":4}', 1),
        (b'{"qie":"1","t":"ping","seq":1,"gen":3,"ms":0,"id":4}', 1),
        (b'{"qie":1,"t":"ping","seq":1,"gen":2,"ms":0,"id":4}', 1),
        (b'{"qie":1,"t":"ping","seq":1,"gen":4,"ms":0,"id":4}', 1),
        (b'{"qie":1,"t":"ping","seq":1,"ms":0,"id":4}', 1),
        (b'[{"qie":1,"t":"ping","seq":1,"gen":3,"ms":0,"id":4}]', 1),
    ],
    ids=lambda value: re.sub(rb"[^ -~]", b"?", value[:52]).decode() if isinstance(value, bytes) else "",
)
def test_a_hostile_line_is_counted_and_changes_nothing(noisy, line, counted):
    before, since = noisy.dropped(), noisy.now()
    noisy.raw(line + b"\n")
    assert noisy.dropped() == before + counted
    assert [e for e in noisy.heard[since:] if e["t"] not in ("dropped", "beat", "pong")] == []
    assert not [e for e in noisy.heard[since:] if e["t"] == "pong" and e["id"] in (1, 4)]
    check_that_it_works(noisy)


def test_a_frame_behind_text_is_salvaged(noisy):
    for number, before in enumerate((b"printed ", b'{"qie":1,"t":"half', b"\x00\xff", b'{"qie":2,')):
        noisy.raw(before + noisy.frame("ping", id=7000 + number) + b"\n")
        noisy.hear("pong", id=7000 + number)


def test_glued_frames_are_both_answered(noisy):
    noisy.raw(noisy.frame("ping", id=8001) + noisy.frame("ping", id=8002) + b"\n")
    noisy.hear("pong", id=8001)
    noisy.hear("pong", id=8002)


def test_a_frame_in_pieces_is_one_frame(noisy):
    before = noisy.dropped()
    for byte in noisy.frame("ping", id=9001) + b"\n":
        noisy.raw(bytes([byte]))
    noisy.hear("pong", id=9001)
    assert noisy.dropped() == before


def test_unknown_fields_are_ignored(noisy):
    before = noisy.dropped()
    noisy.say("ping", id=9101, from_the_future={"a": [1, {}]}, nonce=None)
    noisy.hear("pong", id=9101)
    assert noisy.dropped() == before


def test_a_request_at_the_wrong_time_is_logged(noisy):
    since = noisy.now()
    noisy.say("configure", device="cuda")
    assert "configure" in noisy.hear("log", since)["text"]
    check_that_it_works(noisy)


# Work, through the process


def test_an_edit_through_the_wire(noisy, tmp_path):
    noisy.say("generate", job="early", attempt=1, **edit_fields(tmp_path))
    assert noisy.hear("error", job="early")["code"] == "internal"
    noisy.say("load", job="a", attempt=1, model="demo", dir=str(stock.DEMO), profile="resident")
    loaded = noisy.hear("loaded", job="a")
    assert loaded["model"] == "demo" and loaded["bytes"] > 1 << 20
    parts = [e["part"] for e in noisy.heard if e["t"] == "load_progress"]
    assert parts and parts == sorted(parts, key=["text_encoder", "transformer", "vae"].index)
    done = [e["bytes_done"] for e in noisy.heard if e["t"] == "load_progress"]
    assert done == sorted(done) and done[-1] <= noisy.heard[-1].get("bytes_total", done[-1])

    since = noisy.now()
    noisy.say("generate", job="a", attempt=2, **edit_fields(tmp_path, preview_path=str(tmp_path / "preview.jpg")))
    result = noisy.hear("result", since, job="a", attempt=2)
    mine = [e for e in noisy.heard[since:] if e.get("job") == "a"]
    assert mine[0]["t"] == "accepted" and mine[-1]["t"] == "result"
    assert [e["phase"] for e in mine if e["t"] == "phase"] == ["encode", "denoise", "decode", "save"]
    assert [e["step"] for e in mine if e["t"] == "progress" and e["phase"] == "denoise"] == [0, 1, 2]
    assert (tmp_path / "result.png").stat().st_size == result["bytes"]
    assert (tmp_path / "preview.jpg").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["preview.jpg", "result.png", "source.png"]
    assert json.dumps(noisy.heard).count("sepia") == 0, "an event never repeats the prompt"


def test_a_cancel_on_the_wire_ends_the_attempt(noisy, tmp_path):
    noisy.say("load", job="c", attempt=1, model="demo", dir=str(stock.DEMO))
    noisy.hear("loaded", job="c")
    noisy.say("generate", job="c", attempt=2, **edit_fields(tmp_path, steps=10_000))
    noisy.hear("progress", job="c", attempt=2, step=2)
    noisy.say("cancel", job="c", attempt=2)
    assert noisy.hear("canceled", job="c", attempt=2)["phase"] == "denoise"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source.png"]
    ticks = [e["tick"] for e in noisy.heard if e["t"] == "beat"]
    assert ticks == sorted(ticks) and ticks[-1] > 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"images": ["no such file"]}, "input_bad"),
        ({"images": []}, "input_bad"),
        ({"steps": 0}, "out_of_range"),
        ({"steps": -1}, "out_of_range"),
        ({"work_width": 0}, "out_of_range"),
        ({"work_height": 63}, "out_of_range"),
        ({"out_width": 0}, "out_of_range"),
        ({"ref_area": 0}, "out_of_range"),
        ({"ref_fit": "stretch"}, "out_of_range"),
        ({"seed": 2**70}, "out_of_range"),
        ({"prompt": "word " * 5000}, "prompt_too_long"),
        ({"result_path": "/proc/nowhere/result.png"}, "internal"),
    ],
    ids=str,
)
def test_a_request_that_makes_no_sense_is_a_typed_error(noisy, tmp_path, fields, code):
    noisy.say("load", job="e", attempt=1, model="demo", dir=str(stock.DEMO))
    noisy.hear("loaded", job="e")
    since = noisy.now()
    noisy.say("generate", job="e", attempt=2, **edit_fields(tmp_path, **fields))
    error = noisy.hear("error", since, job="e")
    assert (error["code"], error["fatal_process"]) == (code, False)
    assert not (tmp_path / "result.png").exists()
    check_that_it_works(noisy)


def test_unload_gives_the_model_back(noisy, tmp_path):
    since = noisy.now()
    noisy.say("unload")
    noisy.hear("unloaded", since)
    noisy.say("generate", job="u", attempt=1, **edit_fields(tmp_path))
    assert noisy.hear("error", since, job="u")["code"] == "internal"


@pytest.mark.parametrize("damage", ["nothing", "class", "cut", "missing shard", "tokenizer"])
def test_a_damaged_model_directory_is_named(noisy, folder, tmp_path, damage):
    root = tmp_path / "model"
    shutil.copytree(folder("edit"), root)
    shard = root / "transformer" / "diffusion_pytorch_model.safetensors"
    match damage:
        case "nothing":
            shutil.rmtree(root)
            code = "weights_missing"
        case "class":
            (root / "model_index.json").write_text('{"_class_name":"StableDiffusionPipeline"}')
            code = "weights_corrupt"
        case "cut":
            shard.write_bytes(shard.read_bytes()[:-1])
            code = "weights_corrupt"
        case "missing shard":
            shard.unlink()
            code = "weights_missing"
        case "tokenizer":
            (root / "processor" / "tokenizer.json").unlink()
            (root / "tokenizer" / "tokenizer.json").unlink()
            code = "weights_missing"
    since = noisy.now()
    noisy.say("load", job="d", attempt=1, model="small", dir=str(root))
    assert noisy.hear("error", since, job="d")["code"] == code


# The end


def test_end_of_file_ends_a_worker_that_imports():
    with Talk() as talk:
        talk.hear("hello")
        begun = time.monotonic()
        talk.close_stdin()
        assert talk.wait() == -signal.SIGKILL
        assert time.monotonic() - begun < GONE_MAX_S
        assert [e["t"] for e in talk.heard] == ["hello"], "there is nobody to say bye to"


# Stands in for the heavy modules, so that a worker is idle within milliseconds.
LIGHT = "import sys, types\nfor n in ('edit', 'model'): sys.modules['pyruntime.' + n] = types.ModuleType(n)"


def test_end_of_file_ends_an_idle_worker():
    with Talk(prelude(LIGHT)) as talk:
        talk.hear("hello")
        talk.settle()
        begun = time.monotonic()
        talk.close_stdin()
        assert talk.wait() == -signal.SIGKILL
        assert time.monotonic() - begun < GONE_MAX_S
        assert "bye" not in [e["t"] for e in talk.heard]


@pytest.mark.parametrize("sign", ["end of file", "hangup"])
def test_without_its_supervisor_the_worker_ends_what_it_started(sign):
    child = "import subprocess; subprocess.Popen(['sleep', '60'])"
    with Talk(prelude(LIGHT + "\n" + child)) as talk:
        talk.hear("hello")
        talk.settle()
        begun = time.monotonic()
        if sign == "hangup":
            talk.process.send_signal(signal.SIGHUP)
        else:
            talk.close_stdin()
        assert talk.wait() == -signal.SIGKILL
        # The child holds the pipes too, so their readers, for which wait() waits, end with the child.
        assert time.monotonic() - begun < GONE_MAX_S


def test_end_of_file_ends_a_worker_at_work_and_leaves_no_file(tmp_path):
    with Talk() as talk:
        talk.hear("hello")
        talk.say("configure", device="cpu", cpu_threads=1)
        talk.say("load", job="a", attempt=1, model="demo", dir=str(stock.DEMO))
        talk.say("generate", job="a", attempt=2, **edit_fields(tmp_path, steps=100_000))
        talk.hear("progress", job="a", attempt=2, step=1)
        begun = time.monotonic()
        talk.close_stdin()
        assert talk.wait() == -signal.SIGKILL
        assert time.monotonic() - begun < GONE_MAX_S
        assert [p.name for p in tmp_path.iterdir()] == ["source.png"]
        assert "result" not in [e["t"] for e in talk.heard]


# Python code in the middle of an edit that never looks at the flag: for each job whose prompt begins with "spin".
SPINNING = """
import pyruntime.edit as edit, time
real = edit.conditioning
def conditioning(request, *rest):
    end = time.monotonic() + (60 if request.prompt.startswith("spin") else 0)
    while time.monotonic() < end: pass
    return real(request, *rest)
edit.conditioning = conditioning
"""


def test_work_that_never_looks_at_the_flag_is_interrupted_and_the_weights_stay(tmp_path):
    with Talk(prelude(SPINNING)) as talk:
        talk.say("configure", device="cpu", cpu_threads=1, beat_ms=100)
        talk.say("load", job="a", attempt=1, model="demo", dir=str(stock.DEMO))
        loaded = talk.hear("loaded")
        talk.say("generate", job="a", attempt=1, **edit_fields(tmp_path, prompt="spin"))
        talk.hear("phase", job="a", phase="encode")
        begun = time.monotonic()
        talk.say("cancel", job="a", attempt=1, interrupt_ms=300)
        since = talk.now()
        talk.hear("beat", since)
        assert "canceled" not in [e["t"] for e in talk.heard], "it looked at the flag"
        assert talk.hear("canceled", job="a", attempt=1)["phase"] == "encode"
        assert 0.3 <= time.monotonic() - begun < 10
        talk.say("generate", job="b", attempt=1, **edit_fields(tmp_path))  # no load: they are there
        talk.hear("result", job="b", attempt=1)
        talk.say("mem")
        assert talk.hear("mem_report", talk.now() - 1)["bytes"] > loaded["bytes"] / 2
        assert talk.process.poll() is None


def test_shutdown_says_bye_and_exits_0_also_with_its_stdin_closed():
    with Talk(prelude(LIGHT)) as talk:
        talk.hear("hello")
        talk.say("shutdown")
        talk.close_stdin()
        assert talk.wait() == wire.EXIT_BYE
        assert (talk.heard[-1]["t"], talk.heard[-1]["reason"]) == ("bye", "shutdown")


def test_a_closed_stdout_ends_the_worker():
    read, write = os.pipe()
    process = subprocess.Popen(prelude(LIGHT), stdin=subprocess.PIPE, stdout=write, stderr=subprocess.DEVNULL)
    os.close(write)
    os.close(read)
    assert process.wait(30) == wire.EXIT_PARENT_GONE
    process.stdin.close()


def test_something_before_configure_is_a_protocol_fault():
    with Talk(prelude(LIGHT)) as talk:
        talk.say("load", job="a", attempt=1, dir="/")
        assert talk.wait() == wire.EXIT_PROTOCOL
        assert (talk.heard[-1]["t"], talk.heard[-1]["code"]) == ("fatal", "protocol")


def test_an_import_that_fails_is_named_and_has_its_code():
    with Talk(prelude("import sys; sys.modules['torch'] = None")) as talk:
        assert talk.wait() == wire.EXIT_IMPORT
        assert (talk.heard[-1]["t"], talk.heard[-1]["code"]) == ("fatal", "env_broken")
        assert "torch" in talk.heard[-1]["message"]


def test_ctrl_c_of_the_terminal_does_not_reach_the_work():
    with Talk(prelude(LIGHT)) as talk:
        talk.hear("hello")
        talk.process.send_signal(signal.SIGINT)
        talk.settle()
        assert talk.process.poll() is None


def test_sigterm_says_bye():
    with Talk(prelude(LIGHT)) as talk:
        talk.hear("hello")
        talk.settle()
        talk.process.send_signal(signal.SIGTERM)
        assert talk.wait() == wire.EXIT_BYE
        assert (talk.heard[-1]["t"], talk.heard[-1]["reason"]) == ("bye", "terminated")


def test_sigterm_inside_a_write_does_not_wait_for_itself():
    code = (
        "import os, signal, time\nfrom pyruntime import stdio, worker\nfds = stdio.take_fds()\n"
        "writer = stdio.Writer(fds.events, 3)\nsignal.signal(signal.SIGTERM, lambda *_: worker.terminated(writer))\n"
        "with writer._lock:\n    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(0.1)\ntime.sleep(30)"
    )
    with Talk([sys.executable, "-I", "-c", code]) as talk:
        begun = time.monotonic()
        assert talk.hear("bye")["reason"] == "terminated"
        assert talk.wait() == wire.EXIT_BYE and time.monotonic() - begun < 20


def test_sigusr1_dumps_the_stacks_and_goes_on():
    with Talk(prelude(LIGHT)) as talk:
        talk.hear("hello")
        talk.settle()
        talk.process.send_signal(signal.SIGUSR1)
        talk.settle()
        deadline = time.monotonic() + 10
        while b"most recent call first" not in talk.errors and time.monotonic() < deadline:
            time.sleep(0.02)
        assert b"most recent call first" in talk.errors and talk.process.poll() is None


# The reader of lines, for every cut and every noise

FRAMES = st.integers(0, 10**6).map(lambda n: b'{"qie":1,"t":"ping","id":%d}' % n)
NOISE = st.binary(max_size=60).map(lambda b: b.replace(b"\n", b" ").replace(b"{", b"("))
LIMIT = 100


@st.composite
def streams(draw):
    """Lines of (bytes, frames that must come out, 1 if it counts as dropped), and how the bytes are cut into reads."""
    lines = []
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(["frame", "noise", "glued", "long", "two"]))
        frame, noise = draw(FRAMES), draw(NOISE)
        match kind:
            case "frame":
                lines.append((frame, [frame], 0))
            case "noise":
                lines.append((noise, [], 1))
            case "glued":
                lines.append((noise + frame, [frame] if len(noise + frame) <= LIMIT else [], 0))
            case "long":
                lines.append((frame + b" " * draw(st.integers(LIMIT, 5 * LIMIT)), [], 1))
            case "two":
                lines.append((frame + frame, [frame, frame], 0))
    data = b"".join(line + b"\n" for line, _, _ in lines)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=20)))
    chunks = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]
    return lines, chunks


@given(streams())
def test_every_frame_comes_out_once_whatever_is_around_it(stream):
    lines, chunks = stream
    reads = iter([*chunks, b""])
    counts = [0]
    with mock.patch.object(stdio, "os", SimpleNamespace(read=lambda *_: next(reads))):
        found = list(stdio.Lines(-1, LIMIT, counts.append))
    assert found == [frame for _, frames, _ in lines for frame in frames]
    assert counts[-1] == sum(1 for line, frames, _ in lines if not frames)
    assert counts == list(range(len(counts))), "told one by one"
