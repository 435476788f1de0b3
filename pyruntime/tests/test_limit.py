"""A real worker that runs out of memory, by a limit of the system that really bites: the error is typed and the process ends.

The limit is set while the worker runs, below what it has: from then on the system gives it nothing more.
"""

import resource
import sys
from pathlib import Path

import msgspec
import pytest
import stock
import talk
from conftest import picture, request

from pyruntime import wire

# The C library asks the system for each tensor, instead of keeping what was freed.
EAGER = "import ctypes; ctypes.CDLL(None).mallopt(-3, 65536)"
JOB = {"job": "j", "attempt": 1}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="macOS has no limit that can be set on another process")


def starve(t: talk.Talk) -> None:
    """From now on the worker gets no more memory."""
    _, hard = resource.prlimit(t.process.pid, resource.RLIMIT_AS)
    resource.prlimit(t.process.pid, resource.RLIMIT_AS, (1 << 20, hard))


def begun(profile: str) -> talk.Talk:
    t = talk.Talk(talk.prelude(EAGER))
    t.hear("hello")
    t.say("configure", device="cpu", scratch_dir="", beat_ms=0, max_pixels=1 << 26, preview_side=0, cpu_threads=1)
    t.hear("ready")
    if profile:
        t.say("load", model="demo", dir=str(stock.DEMO), profile=profile, **JOB)
        t.hear("loaded")
    return t


def asked(folder: Path) -> dict:
    folder.mkdir()
    message = request(
        folder, [picture(200, 200)], work_width=160, work_height=160, ref_area=160 * 160, cond_area=160 * 160, steps=3,
        checkpoint_path=str(folder / "checkpoint"),
    )  # fmt: skip
    return msgspec.to_builtins(message)


def typed(t: talk.Talk, code: str, since: int = 0) -> None:
    error = t.hear("error", since)
    assert (error["code"], error["fatal_process"]) == (code, True)
    assert t.wait() == wire.EXIT_OOM


def test_out_of_memory_is_typed_in_each_phase_and_the_next_plan_gives_the_picture(tmp_path):
    whole, broken, again = (asked(tmp_path / name) for name in ("whole", "broken", "again"))
    with begun("resident") as t:
        t.say("generate", **JOB, **whole)
        want = t.hear("result")["sha256"]
        since = t.now()
        t.say("generate", **JOB, **broken)
        t.hear("phase", since, phase="decode")
        starve(t)
        typed(t, "oom_run", since)
    with begun("staged") as t:
        t.say("generate", **JOB, **broken)
        assert t.hear("result")["sha256"] == want
        assert len([e for e in t.heard if e["t"] == "resumed"]) == 1
        since = t.now()
        t.say("generate", **JOB, **again)
        t.hear("phase", since, phase="denoise")
        starve(t)
        typed(t, "oom_run", since)
    with begun("") as t:
        starve(t)
        t.say("load", model="demo", dir=str(stock.DEMO), profile="tiled", **JOB)
        typed(t, "oom_load")
