"""The wire's two ends: file descriptors taken before anything can print, a reader that no line can swell, one writer.

Knows lines and envelopes, not what the messages mean. Imports the standard library only, because it runs first.
"""

import collections.abc
import fcntl
import json
import os
import signal
import threading
import time
import typing

if typing.TYPE_CHECKING:
    import contextlib

    from pyruntime import wire

# Every line of the protocol starts so (supervisor/wire/codec.go); anything else is text that somebody printed.
MAGIC = b'{"qie":1,'


class Fds(typing.NamedTuple):
    """Private descriptors of the wire, 3 or higher and closed in child processes."""

    requests: int
    events: int


def take_fds() -> Fds:
    """Move the wire away from fd 0 and 1. Later prints of Python and of C code land on stderr, and reads find nothing.

    Close-on-exec matters: a child of the worker that held the wire would keep the supervisor waiting for its end.
    """
    requests = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    events = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return Fds(requests, events)


def orphaned(code: int) -> typing.NoReturn:
    """The supervisor is gone: end at once, with every process that this one started.

    The guard does the same from outside, but it may have been killed as well, and macOS has nothing else. A worker that
    leads no group of its own (a trial by set-up, a test) ends alone.
    """
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(code)


class Writer:
    """The one place that writes events. Safe from any thread; a line is never interleaved with another."""

    def __init__(self, fd: int, generation: int) -> None:
        self._fd = fd
        self._generation = generation
        self._lock = threading.Lock()
        self._seq = 0

    def quiet(self) -> "contextlib.AbstractContextManager[object]":
        """No line is being written inside."""
        return self._lock

    def send(self, message: "wire.Message", job: str = "", attempt: int = 0) -> None:
        """Write one event. A closed pipe means that the supervisor is gone."""
        import msgspec

        from pyruntime import wire

        body = msgspec.to_builtins(message)
        with self._lock:
            self._seq += 1
            line: dict[str, object] = {"qie": wire.VERSION, "t": wire.TYPE_OF[type(message)]}
            line |= {"seq": self._seq, "gen": self._generation}
            if job:
                line |= {"job": job, "attempt": attempt}
            line["ms"] = time.monotonic_ns() // 1_000_000
            data = json.dumps(line | body, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except BrokenPipeError:
                orphaned(wire.EXIT_PARENT_GONE)


class Lines:
    """Splits a descriptor into request lines in bounded memory; counts what was no request."""

    def __init__(self, fd: int, limit: int, told: collections.abc.Callable[[int], None]) -> None:
        self._fd = fd
        self._limit = limit
        self._told = told  # hears the count each time it grows
        self._dropped = 0

    def drop(self) -> None:
        """Count a line that was no request."""
        self._dropped += 1
        self._told(self._dropped)

    def __iter__(self) -> collections.abc.Iterator[bytes]:
        """Yield what starts with the magic, without the newline. Ends at end-of-file.

        A line with several starts is cut at each: half a frame glued to a whole one does not hide it. A frame never
        holds the magic inside, because quotes in its strings are escaped and its objects are flat.
        """
        buffer = b""
        skipping = False
        while chunk := os.read(self._fd, 1 << 16):
            buffer += chunk
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                if skipping:  # the rest of a line that was too long
                    skipping = False
                    continue
                _, *frames = line.split(MAGIC) if len(line) <= self._limit else [line]
                if not frames:
                    self.drop()
                yield from (MAGIC + frame for frame in frames)
            if len(buffer) > self._limit:
                if not skipping:
                    self.drop()
                skipping = True
                buffer = b""
        if buffer and not skipping:  # half a line is no message
            self.drop()
