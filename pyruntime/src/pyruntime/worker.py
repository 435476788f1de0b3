"""The worker's life after hello: imports, device, requests one by one, beats, and an end with a reason.

The main thread works; a reader thread takes lines and sets the cancel flag; a beat thread proves both alive. The one
broad `except` of the worker is here, and it makes a typed error.
"""

import _thread
import contextlib
import errno
import os
import queue
import signal
import sys
import threading
import time
import traceback
import typing
from pathlib import Path

import msgspec

from pyruntime import interrupt, stdio, wire
from pyruntime.errors import CancelFlag, Cancelled, WorkerError

if typing.TYPE_CHECKING:
    from pyruntime.device import Device
    from pyruntime.model import Model

# After the supervisor is gone: how long the running work may take to notice its flag.
PARENT_GONE_S = 2.0
# Lines of a traceback that travel with an error.
TRACE_LINES = 12
# What torch's allocators say: CUDA's and MPS's, MPS's of one buffer, the CPU's in two versions; and the C library's word,
# which safetensors hands on.
OUT_OF_MEMORY = ("out of memory", "Invalid buffer size", "not enough memory", "can't allocate memory", "Cannot allocate memory")
# Cancels for attempts that have not arrived yet are remembered, so many of them.
EARLY_CANCELS_MAX = 1000
# Least time between two load_progress events.
LOAD_PROGRESS_S = 0.1

Key = tuple[str, int]  # job and attempt


class Request(typing.NamedTuple):
    """A decoded line."""

    envelope: wire.Envelope
    message: wire.Message

    @property
    def key(self) -> Key:
        """Which attempt it is about."""
        return self.envelope.job, self.envelope.attempt


class Inbox:
    """Requests from the wire, in order; cancel and ping are answered by the reader thread itself."""

    def __init__(self, fd: int, writer: stdio.Writer, generation: int) -> None:
        self._lines = stdio.Lines(fd, wire.REQUEST_LINE_MAX, lambda count: writer.send(wire.Dropped(count=count)))
        self._writer = writer
        self._generation = generation
        self._queue: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._current: Key | None = None  # under _lock, as are the next three
        self._interrupted = False  # the current one, at most once
        self._early: list[Key] = []
        self._stopping = False  # once true, no work runs to its end
        self.told_to_stop = False
        self.flag = CancelFlag()

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._read, name="reader", daemon=True).start()

    def get(self) -> Request | None:
        """The next request; None when the supervisor is gone or said shutdown."""
        return self._queue.get()

    def begin(self, key: Key) -> None:
        """The work on an attempt starts: from now on a cancel for it sets the flag. An old flag is forgotten."""
        with self._lock:
            self._current, self._interrupted = key, False
            self.flag.clear()
            if key in self._early:
                self._early.remove(key)
                self.flag.set()
            if self._stopping:  # a shutdown that came while this attempt still waited in the queue
                self.flag.set()

    def end(self) -> None:
        """The work on the attempt is over; a late cancel for it does nothing.

        An interrupt is set under the lock, so one that is under way arrives in here at the latest, as Cancelled.
        """
        with self._lock:
            self._current = None
            self.flag.clear()

    def _read(self) -> None:
        for line in self._lines:
            request = self._decode(line)
            if request is not None:
                self._take(request)
        self._stop()
        if not self.told_to_stop:
            # The supervisor is gone. Work that does not notice its flag is ended with the process; a daemon thread that
            # only set a flag would never act under a long call.
            time.sleep(PARENT_GONE_S)
            stdio.orphaned(wire.EXIT_PARENT_GONE)

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            self.flag.set()
        self._queue.put(None)

    def _decode(self, line: bytes) -> Request | None:
        try:
            envelope = msgspec.json.decode(line, type=wire.Envelope)
            kind = wire.REQUESTS.get(envelope.t)
            if kind is None or envelope.gen != self._generation:
                self._lines.drop()
                return None
            return Request(envelope, msgspec.json.decode(line, type=kind))
        except (msgspec.MsgspecError, ValueError, RecursionError):  # the last: [[[[[... in an unknown field
            self._lines.drop()
            return None

    def _take(self, request: Request) -> None:
        match request.message:
            case wire.Ping(id=number):
                self._writer.send(wire.Pong(id=number))
            case wire.Cancel(interrupt_ms=patience_ms):
                self._cancel(request.key, patience_ms)
            case wire.Shutdown():
                self.told_to_stop = True
                self._stop()
            case _:
                self._queue.put(request)

    def _cancel(self, key: Key, patience_ms: int) -> None:
        with self._lock:
            if key != self._current:
                self._early = [*self._early, key][-EARLY_CANCELS_MAX:]
                return
            self.flag.set()
        if patience_ms > 0:
            timer = threading.Timer(patience_ms / 1000, self._interrupt, (key,))
            timer.daemon = True
            timer.start()

    def _interrupt(self, key: Key) -> None:
        with self._writer.quiet(), self._lock:  # no line is torn by it
            if key == self._current and self.flag.is_set() and not self._interrupted:
                self._interrupted = True
                interrupt.main_thread(Cancelled)


class Worker:
    """Device and model, and what is done with them."""

    def __init__(self, inbox: Inbox, writer: stdio.Writer) -> None:
        self._inbox = inbox
        self._writer = writer
        self._model: Model | None = None
        self._device: Device
        self._preview_side = self._max_pixels = 0

    def configure(self, request: wire.Configure, import_s: float) -> None:
        """Choose the device and say ready."""
        import diffusers
        import torch
        import transformers

        from pyruntime import device

        self._device = device.choose(request.device or "auto")
        self._preview_side, self._max_pixels = request.preview_side, request.max_pixels
        if request.cpu_threads:
            torch.set_num_threads(request.cpu_threads)
        self._writer.send(
            wire.Ready(
                device=self._device.kind,
                dtype=device.dtype_name(self._device.dtype),
                device_name=self._device.name,
                torch=str(torch.__version__),  # a TorchVersion, which msgspec refuses
                diffusers=diffusers.__version__,
                transformers=transformers.__version__,
                import_s=import_s,
                threads=torch.get_num_threads(),
                device_max=device.device_max(),
                device_free=device.device_free(),
            )
        )

    def do(self, request: Request) -> None:
        """Answer one request; a failure becomes an error event."""
        from pyruntime import device

        match request.message:
            case wire.Load() as message:
                self._attempt(request.key, "loading", lambda: self._load(message, request.key))
            case wire.Generate() as message:
                self._attempt(request.key, "encode", lambda: self._generate(message, request.key))
            case wire.Unload():
                self._model = None
                device.empty_cache()
                self._writer.send(wire.Unloaded(bytes=device.footprint()))
            case wire.Mem():
                free = 0
                with contextlib.suppress(RuntimeError):  # a GPU that is gone shows in the work
                    free = device.device_free()
                self._writer.send(
                    wire.MemReport(
                        bytes=device.footprint(),
                        device_bytes=device.device_bytes(),
                        device_max=device.device_max(),
                        device_free=free,
                    )
                )
            case _:
                self._writer.send(wire.Log(level="warn", text=f"{request.envelope.t} is not expected now"))

    def _attempt(self, key: Key, phase: str, work: typing.Callable[[], None]) -> None:
        self._phase = phase
        try:
            try:
                self._inbox.begin(key)
                self._inbox.flag.check()
                work()
            finally:
                self._inbox.end()
        except Cancelled:
            self._inbox.end()  # once more: an interrupt may have come in the first. There is never a second
            self._writer.send(wire.Canceled(phase=self._phase), *key)
        except Exception as err:
            fault = as_error(err, loading=phase == "loading")
            self._writer.send(
                wire.Error(
                    code=fault.code,
                    message=fault.message,
                    retryable=fault.retryable,
                    fatal_process=fault.exit_code is not None,
                    trace=trace(err),
                ),
                *key,
            )
            if fault.exit_code is not None:
                sys.exit(fault.exit_code)

    def _load(self, request: wire.Load, key: Key) -> None:
        from pyruntime import device, model

        wanted = (request.dir, request.profile or model.RESIDENT)
        if self._model is None or (str(self._model.folder), self._model.profile) != wanted:
            self._model = None  # two models at once fit nowhere
            device.empty_cache()
        began, told = time.monotonic(), 0.0

        def progress(done: int, total: int, shard: int, shards: int, part: str) -> None:
            nonlocal told
            if time.monotonic() - told >= LOAD_PROGRESS_S or done == total:
                told = time.monotonic()
                event = wire.LoadProgress(bytes_done=done, bytes_total=total, shard=shard, shards=shards, part=part)
                self._writer.send(event, *key)

        if self._model is None:
            self._model = model.load(Path(request.dir), self._device, self._inbox.flag, progress, profile=wanted[1])
        seconds = time.monotonic() - began
        self._writer.send(wire.Loaded(model=request.model, seconds=seconds, bytes=device.footprint()), *key)

    def _generate(self, request: wire.Generate, key: Key) -> None:
        from pyruntime import edit

        if self._model is None:
            raise WorkerError("internal", "generate came before load")
        self._writer.send(wire.Accepted(), *key)

        def emit(event: wire.Message) -> None:
            if isinstance(event, wire.Phase):
                self._phase = event.phase
            self._writer.send(event, *key)

        result = edit.edit(request, self._model, emit, self._inbox.flag, self._preview_side, self._max_pixels)
        self._writer.send(result, *key)


def as_error(err: Exception, *, loading: bool) -> WorkerError:
    """What an exception means. Messages of torch are searched by text, because most have no type of their own."""
    if isinstance(err, WorkerError):
        return err
    text = str(err)
    if isinstance(err, MemoryError) or any(sign in text for sign in OUT_OF_MEMORY):
        return WorkerError(
            "oom_load" if loading else "oom_run",
            "not enough memory to load the model" if loading else "not enough memory for this edit",
            retryable=True,
            exit_code=wire.EXIT_OOM,  # what was allocated may stay stuck; a new process starts clean
        )
    if "CUDA error" in text or "device-side assert" in text:
        return WorkerError("gpu_context", "the GPU gave up on this process", retryable=True, exit_code=wire.EXIT_GPU_CONTEXT)
    if isinstance(err, OSError) and err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return WorkerError("disk_full", "the disk is full")
    if loading and isinstance(err, OSError | ValueError):
        return WorkerError("weights_corrupt", f"the model directory cannot be read: {type(err).__name__}")
    # The text of an unknown exception may hold a prompt or a path; its type does not.
    return WorkerError("internal", f"the edit failed inside the worker: {type(err).__name__}", retryable=True)


def trace(err: BaseException) -> str:
    """The last lines of the traceback: files and lines of code, no values."""
    frames = traceback.extract_tb(err.__traceback__)[-TRACE_LINES:]
    return "\n".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames)


def beat(writer: stdio.Writer, flag: CancelFlag, period_ms: int) -> None:
    """Say twice a second or so that this process lives. The tick moves with the work, so a dead loop shows."""
    from pyruntime import device

    while True:
        time.sleep(period_ms / 1000)
        writer.send(wire.Beat(tick=flag.checks, bytes=device.footprint()))


def leave(writer: stdio.Writer, code: int, reason: str) -> typing.NoReturn:
    """End at once. os._exit: interpreter shutdown after torch can take seconds or crash, and nothing is left to do."""
    writer.send(wire.Bye(reason=reason))
    os._exit(code)


def terminated(writer: stdio.Writer) -> None:
    """SIGTERM: say bye and end, from a thread of its own.

    The handler interrupts the main thread anywhere, also while it holds the writer's lock: a bye sent from here would
    wait for itself. start_new_thread takes no lock that the main thread could hold.
    """
    _thread.start_new_thread(leave, (writer, wire.EXIT_BYE, "terminated"))


def stopped(inbox: Inbox, writer: stdio.Writer) -> typing.NoReturn:
    """No more requests: the supervisor said shutdown, or it is gone and there is nobody to say bye to."""
    if inbox.told_to_stop:
        leave(writer, wire.EXIT_BYE, "shutdown")
    stdio.orphaned(wire.EXIT_PARENT_GONE)


def fatal(writer: stdio.Writer, error: WorkerError, code: int) -> typing.NoReturn:
    """Say why the process cannot go on, and end it."""
    writer.send(wire.Fatal(code=error.code, message=error.message, exit=code))
    os._exit(code)


def run(fd: int, writer: stdio.Writer) -> None:
    """Work until told to stop. Never returns normally."""
    inbox = Inbox(fd, writer, int(os.environ.get("QIE_GENERATION", "0")))
    signal.signal(signal.SIGTERM, lambda *_: terminated(writer))
    signal.signal(signal.SIGHUP, lambda *_: stdio.orphaned(wire.EXIT_PARENT_GONE))  # asked of the kernel by spawn_linux.go
    inbox.start()
    began = time.monotonic()
    try:
        from pyruntime import edit, model  # torch and the model classes come in here

        _ = edit, model
    except Exception as err:
        fatal(writer, WorkerError("env_broken", f"cannot import {type(err).__name__}: {err}"), wire.EXIT_IMPORT)
    import_s = time.monotonic() - began
    worker = Worker(inbox, writer)
    request = inbox.get()
    if request is None:
        stopped(inbox, writer)
    if not isinstance(request.message, wire.Configure):
        fatal(writer, WorkerError("protocol", f"{request.envelope.t} came before configure"), wire.EXIT_PROTOCOL)
    try:
        worker.configure(request.message, import_s)
    except Exception as err:
        fatal(writer, as_error(err, loading=False), wire.EXIT_CONFIG)
    period = request.message.beat_ms
    if period > 0:
        threading.Thread(target=beat, args=(writer, inbox.flag, period), name="beat", daemon=True).start()
    while (request := inbox.get()) is not None:
        try:
            worker.do(request)
        except SystemExit as stop:
            leave(writer, int(stop.code or 0), "error")
    stopped(inbox, writer)
