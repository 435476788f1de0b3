"""Typed failures and the cancel flag. Knows codes (supervisor/job/code.go), not where they come from."""

import collections.abc
import contextlib
import threading


class WorkerError(Exception):
    """A failure with a stable code and a sentence for a person. The sentence never holds a prompt."""

    def __init__(self, code: str, message: str, *, retryable: bool = False, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.exit_code = exit_code


class Cancelled(BaseException):
    """The attempt was asked to stop. A BaseException, so that no `except Exception` of a library swallows it."""


class CancelFlag:
    """Whether the running work was asked to stop. Set by the reader thread, checked by the work at every block."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.checks = 0  # the beat's tick: proves that the work loop goes on
        self._watch: Check | None = None

    def set(self) -> None:
        """Ask to stop."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether it was asked."""
        return self._event.is_set()

    def clear(self) -> None:
        """Forget it; the next work starts fresh."""
        self._event.clear()

    def check(self) -> None:
        """Raise Cancelled when asked to stop."""
        self.checks += 1
        if self._event.is_set():
            raise Cancelled
        if self._watch:
            self._watch()

    @contextlib.contextmanager
    def watched(self, watch: "Check") -> collections.abc.Generator[None]:
        """Call watch at every check inside: how a phase of one long call tells how far it is."""
        self._watch = watch
        try:
            yield
        finally:
            self._watch = None


Check = collections.abc.Callable[[], None]
