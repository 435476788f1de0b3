"""A cancel is honoured in every phase, and its latency is counted in layers, not in seconds."""

import os
import threading
import time

import pytest
import test_lora
import torch
from conftest import CPU, load, picture, request

from pyruntime import edit, errors, interrupt, model, stdio, weights, wire
from pyruntime.errors import CancelFlag, Cancelled
from pyruntime.worker import Inbox, Request, Worker

STEPS = 3
CHECKED = {
    "text layer": lambda m: list(m.text.encoder.language_model.layers),
    "vision block": lambda m: list(m.text.encoder.visual.blocks),
    "vae encoder": lambda m: leaves(m.vae.model.encoder),
    "transformer block": lambda m: list(m.transformer.transformer_blocks),
    "vae decoder": lambda m: leaves(m.vae.model.decoder),
}


def leaves(module):
    # A time_conv works between frames; one frame never reaches it.
    named = module.named_modules()
    return [m for name, m in named if not any(m.children()) and "time_conv" not in name]


class Trap:
    """Sets the flag when a layer begins its n-th forward, and counts the layers that begin afterwards."""

    def __init__(self, m, flag, target, nth):
        self.fired, self.after, self.left = False, [], nth
        self.handles = []
        for name, layers in CHECKED.items():
            for layer in layers(m):
                # Registered after the worker's own hook: it counts only what that hook let pass.
                self.handles.append(layer.register_forward_pre_hook(self.hook(name, layer is target, flag)))

    def hook(self, name, is_target, flag):
        def before(*_):
            if self.fired:
                self.after.append(name)
            elif is_target:
                self.left -= 1
                if self.left == 0:
                    self.fired = True
                    flag.set()

        return before

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


@pytest.fixture(scope="module")
def flagged(folder):
    flag = CancelFlag()
    return load(folder("edit"), flag=flag), flag


def targets(kind, layers):
    """Every text and vision layer, every block of every step, and a spread of the VAE's many layers."""
    if kind == "transformer block":
        # The same block runs once for each guidance half of each step.
        return [(layer, n) for layer in layers for n in range(1, 2 * STEPS + 1)]
    if kind.startswith("vae"):
        return [(layer, 1) for layer in (*layers[:2], *layers[2:-1:7], layers[-1])]
    return [(layer, 1) for layer in layers]


@pytest.mark.parametrize("kind", CHECKED)
def test_a_cancel_inside_a_layer_stops_before_the_next(flagged, tmp_path, kind):
    m, flag = flagged
    asked = request(tmp_path, [picture(64, 96)], steps=STEPS, negative_prompt="blurry", true_cfg_scale=3.0)
    for layer, nth in targets(kind, CHECKED[kind](m)):
        flag.clear()
        with Trap(m, flag, layer, nth) as trap, pytest.raises(Cancelled):
            edit.edit(asked, m, lambda _: None, flag)
        assert trap.fired, f"{kind}: {layer} ran {nth} times or more"
        assert trap.after == [], f"{kind}: layers ran after the cancel"
        assert [p.name for p in tmp_path.iterdir()] == ["source-0.png"]


def test_nothing_sticks_after_a_cancel(flagged, run, tmp_path):
    m, flag = flagged
    flag.clear()
    asked = request(tmp_path, [picture(64, 96)], steps=STEPS)
    before = run(m, asked, flag).latents
    with Trap(m, flag, m.transformer.transformer_blocks[1], 2), pytest.raises(Cancelled):
        edit.edit(asked, m, lambda _: None, flag)
    flag.clear()
    assert torch.equal(run(m, asked, flag).latents, before)


def test_a_cancel_after_the_last_layer_still_saves_nothing(flagged, tmp_path):
    m, flag = flagged
    flag.clear()
    asked = request(tmp_path, [picture(64, 96)], steps=1)
    handle = m.vae.model.decoder.conv_out.register_forward_hook(lambda *_: flag.set())
    try:
        with pytest.raises(Cancelled):
            edit.edit(asked, m, lambda _: None, flag)
    finally:
        handle.remove()
    assert not (tmp_path / "result.png").exists()


def test_loading_stops_at_the_next_tensor(folder):
    flag = CancelFlag()
    done = []

    def progress(*args):
        done.append(args)
        if len(done) == 5:
            flag.set()

    with pytest.raises(Cancelled):
        model.load(folder("edit"), CPU, flag, progress)
    assert len(done) == 5


# The worker around it: which phase is named, and which cancel is meant.


class Wire:
    """A worker whose lines a test gives by hand, and the events that it wrote."""

    def __init__(self):
        self.read, write = os.pipe()
        self.inbox = Inbox(self.read, stdio.Writer(write, 1), 1)
        self.events = []
        self.worker = Worker(self.inbox, self)
        self.on_event = lambda *_: None
        self.worker.configure(wire.Configure(device="cpu"), 0.0)

    def send(self, message, job="", attempt=0):
        self.events.append((message, job, attempt))
        self.on_event(message)

    def ask(self, message, job="a", attempt=1):
        self.worker.do(Request(wire.Envelope(job=job, attempt=attempt), message))

    def take(self, message, job="a", attempt=1):
        self.inbox._take(Request(wire.Envelope(job=job, attempt=attempt), message))

    def of(self, kind):
        return [e for e, _, _ in self.events if isinstance(e, kind)]


@pytest.fixture
def worker():
    return Wire()


@pytest.mark.parametrize("phase", ["encode", "denoise", "decode", "save"])
def test_the_cancelled_phase_is_named(worker, folder, tmp_path, phase):
    worker.ask(wire.Load(dir=str(folder("edit"))))

    def cancel(event):
        if isinstance(event, wire.Phase) and event.phase == phase:
            worker.take(wire.Cancel())

    worker.on_event = cancel
    worker.ask(request(tmp_path, [picture(64, 96)]))
    ended = [e for e in worker.events if isinstance(e[0], wire.Canceled | wire.Result | wire.Error)]
    if phase == "save":  # the picture is done: the few milliseconds to its file are not worth a check
        assert isinstance(ended[0][0], wire.Result)
    else:
        assert ended == [(wire.Canceled(phase=phase), "a", 1)]
        assert not (tmp_path / "result.png").exists()


def test_a_cancel_while_loading_leaves_no_model(worker, folder):
    worker.on_event = lambda event: isinstance(event, wire.LoadProgress) and worker.take(wire.Cancel())
    worker.ask(wire.Load(dir=str(folder("edit"))))
    assert worker.of(wire.Canceled) == [wire.Canceled(phase="loading")]
    assert worker.of(wire.Loaded) == []
    worker.on_event = lambda _: None
    worker.ask(wire.Load(dir=str(folder("edit"))))
    assert len(worker.of(wire.Loaded)) == 1


def test_a_cancel_that_overtakes_its_job_is_remembered(worker, folder, tmp_path):
    worker.ask(wire.Load(dir=str(folder("edit"))))
    worker.take(wire.Cancel(), "b", 2)
    worker.ask(request(tmp_path, [picture(64, 96)]), "b", 2)
    assert worker.of(wire.Canceled) == [wire.Canceled(phase="encode")]
    worker.ask(request(tmp_path, [picture(64, 96)]), "b", 3)
    assert len(worker.of(wire.Result)) == 1


def test_a_cancel_for_another_attempt_does_nothing(worker, folder, tmp_path):
    worker.ask(wire.Load(dir=str(folder("edit"))))

    def cancel(event):
        if isinstance(event, wire.Phase):
            worker.take(wire.Cancel(), "a", 1)  # the attempt before
            worker.take(wire.Cancel(), "z", 2)

    worker.on_event = cancel
    worker.ask(request(tmp_path, [picture(64, 96)]), "a", 2)
    assert worker.of(wire.Canceled) == [] and len(worker.of(wire.Result)) == 1


def test_a_shutdown_also_stops_what_still_waits(worker, folder, tmp_path):
    worker.ask(wire.Load(dir=str(folder("edit"))))
    worker.take(wire.Shutdown())
    worker.ask(request(tmp_path, [picture(64, 96)]), "waited", 1)
    assert worker.of(wire.Canceled) == [wire.Canceled(phase="encode")]
    assert worker.inbox.get() is None


def test_no_except_exception_of_a_library_swallows_a_cancel():
    assert not issubclass(Cancelled, Exception)
    flag = CancelFlag()
    flag.set()
    with pytest.raises(Cancelled):
        try:
            flag.check()
        except Exception:
            pytest.fail("swallowed")
    assert errors.CancelFlag().checks == 0 and flag.checks == 1


# Python code that never looks at the flag: the interrupt, and what it must not break.


def spin(until=60.0):
    end = time.monotonic() + until
    while time.monotonic() < end:
        pass
    pytest.fail("nothing interrupted it")


def test_an_interrupt_ends_code_that_never_looks_at_the_flag(worker):
    def work():
        worker.take(wire.Cancel(interrupt_ms=20))
        spin()

    worker.worker._attempt(("a", 1), "encode", work)
    assert worker.events[1:] == [(wire.Canceled(phase="encode"), "a", 1)]


def test_no_interrupt_without_a_time_for_it(worker):
    worker.worker._attempt(("a", 1), "encode", lambda: worker.take(wire.Cancel()))
    assert [t for t in threading.enumerate() if isinstance(t, threading.Timer)] == []


def test_an_interrupt_that_comes_while_the_work_ends_is_its_end(worker):
    """Set while the main thread waits to leave the attempt: it may not escape, nor hit what follows."""
    inside, inbox = threading.Event(), worker.inbox

    def late():
        with inbox._lock:
            inside.set()
            end = time.monotonic() + 0.05  # the main thread comes to the lock
            while time.monotonic() < end:
                time.sleep(0.001)
            interrupt.main_thread(Cancelled)

    for n in range(5):
        thread = threading.Thread(target=late)

        def work(thread=thread):
            thread.start()
            assert inside.wait(10)

        worker.worker._attempt(("a", n), "encode", work)
        thread.join()
        inside.clear()
    assert [e for e, _, _ in worker.events[1:]] == [wire.Canceled(phase="encode")] * 5


def test_an_interrupt_for_a_work_that_is_over_does_nothing(worker):
    worker.inbox.begin(("a", 1))
    worker.take(wire.Cancel(interrupt_ms=60_000))
    (timer,) = [t for t in threading.enumerate() if isinstance(t, threading.Timer)]
    worker.inbox.end()
    worker.inbox.begin(("a", 2))
    worker.take(wire.Cancel(), attempt=2)
    timer.cancel()
    timer.function(*timer.args)  # its time comes
    worker.inbox.end()


def test_an_interrupt_inside_a_merge_is_repaired_by_the_next(worker, folder, tmp_path, monkeypatch):
    """The weights that were touched are read again, so the picture afterwards is that of a fresh model."""
    worker.ask(wire.Load(dir=str(folder("edit"))))
    worker.ask(request(tmp_path, [picture(64, 96)]))
    clean = worker.of(wire.Result)[-1].sha256
    m = worker.worker._model
    file = test_lora.write(tmp_path / "change.safetensors", test_lora.factors(m))
    assign = weights.assign

    def slow(*args):
        assign(*args)
        worker.take(wire.Cancel(interrupt_ms=1), "b")
        spin()

    monkeypatch.setattr(weights, "assign", slow)
    worker.ask(request(tmp_path, [picture(64, 96)], loras=[wire.LoRA(path=str(file), strength=1.0)]), "b")
    assert worker.of(wire.Canceled) == [wire.Canceled(phase="encode")]
    monkeypatch.setattr(weights, "assign", assign)
    worker.ask(request(tmp_path, [picture(64, 96)]), "c")
    assert worker.of(wire.Result)[-1].sha256 == clean and worker.worker._model is m
