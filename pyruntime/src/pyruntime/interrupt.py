"""An exception raised in the main thread from another one: the way out of Python code that never looks at the flag.

It arrives between two byte codes, so never inside a long call of C code: that is what SIGTERM and SIGKILL are for.
"""

import ctypes
import threading


def main_thread(kind: type[BaseException]) -> None:
    """Raise an exception of this kind in the main thread, at its next byte code."""
    thread = ctypes.c_ulong(threading.main_thread().ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(kind))
