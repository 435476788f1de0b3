"""A real worker process and the supervisor's side of its wire, for tests."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import typing
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
# As in supervisor/python/command.go. -I hides PYTHON* variables, so the source comes by a .pth of the environment.
COMMAND = [sys.executable, "-I", "-u", "-X", "faulthandler", "-m", "pyruntime"]
GENERATION = 3
# A worker's imports take 8 s on two idle cores; a busy machine gets time.
PATIENCE_S = 120.0

Event = dict[str, typing.Any]


def prelude(code: str) -> list[str]:
    """The command, but code runs first in the same process. It sees nothing of the worker yet."""
    start = "import sys; sys.argv = ['pyruntime']; import runpy; runpy.run_module('pyruntime', run_name='__main__')"
    return [sys.executable, "-I", "-u", "-X", "faulthandler", "-c", f"{code}\n{start}"]


class Talk:
    """One worker process. Lines of its stdout that are no frame are kept in strays."""

    def __init__(self, command: list[str] | None = None) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment |= {"QIE_NONCE": "nonce of this test", "QIE_GENERATION": str(GENERATION)}
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            command or COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
            start_new_session=True,
        )  # fmt: skip
        self.strays: list[bytes] = []
        self.heard: list[Event] = []
        self.errors = b""
        self._seq = 0
        self._news = threading.Condition()
        self._ended = False
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            with self._news:
                if line.startswith(b'{"qie":1,') and line.endswith(b"\n"):
                    self.heard.append(json.loads(line))
                else:
                    self.strays.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _read_errors(self) -> None:
        for line in self.process.stderr:
            self.errors += line

    def raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def frame(self, kind: str, *, job: str = "", attempt: int = 0, gen: int = GENERATION, **fields: object) -> bytes:
        """A line without its newline."""
        self._seq += 1
        head = {"qie": 1, "t": kind, "seq": self._seq, "gen": gen} | ({"job": job, "attempt": attempt} if job else {})
        return json.dumps(head | {"ms": 0} | fields, separators=(",", ":")).encode()

    def say(self, kind: str, **fields: typing.Any) -> None:
        """Send one request."""
        self.raw(self.frame(kind, **fields) + b"\n")

    def hear(self, kind: str, since: int = 0, **match: object) -> Event:
        """Wait for an event of this type, not before place `since` in what was heard."""
        deadline = time.monotonic() + PATIENCE_S
        with self._news:
            while True:
                for event in self.heard[since:]:
                    if event["t"] == kind and match.items() <= event.items():
                        return event
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    last = [e for e in self.heard[since:] if e["t"] != "beat"][-5:]
                    raise AssertionError(f"no {kind} {match}; heard {last}; stderr ends {self.errors[-2000:]!r}")
                self._news.wait(left)

    def now(self) -> int:
        """The place in what was heard up to now."""
        with self._news:
            return len(self.heard)

    def settle(self) -> None:
        """Wait until the reader of the worker has taken every line sent so far."""
        self._seq += 1
        number = self._seq
        self.say("ping", id=number)
        self.hear("pong", id=number)

    def dropped(self) -> int:
        """The worker's count of lines that were no request."""
        self.settle()
        return max((e["count"] for e in self.heard if e["t"] == "dropped"), default=0)

    def close_stdin(self) -> None:
        """The supervisor's death, as the worker sees it."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def wait(self) -> int:
        """The exit code, with everything that was written read."""
        code = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        return code

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.close_stdin()
        self.wait()
        self.process.stdout.close()
        self.process.stderr.close()
