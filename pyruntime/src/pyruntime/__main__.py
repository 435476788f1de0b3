"""Entry point. Takes the wire's file descriptors, says hello, and only then lets anything heavy in.

It knows nothing of models. The order matters: a library that prints at import must find stdout already moved.
"""

from pyruntime import stdio

_FDS = stdio.take_fds()  # before any other import

import faulthandler  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402


def main() -> None:
    """Say hello, import the rest, work until told to stop."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    # Ctrl+C in a terminal goes to the whole session; only the supervisor decides when a worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    from pyruntime import source, wire

    writer = stdio.Writer(_FDS.events, int(os.environ.get("QIE_GENERATION", "0")))
    writer.send(
        wire.Hello(
            nonce=os.environ.get("QIE_NONCE", ""),
            protocol=wire.VERSION,
            pid=os.getpid(),
            python=source.python_version(),
            source_hash=source.source_hash(),
        )
    )

    from pyruntime import worker

    worker.run(_FDS.requests, writer)


if __name__ == "__main__":
    main()
