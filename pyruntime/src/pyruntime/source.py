"""What this worker is: the hash of its own source tree and the Python it runs on.

The supervisor carries the same tree and compares the hash in `hello`, so that an edited or half-copied tree is named
instead of misbehaving. Knows nothing of the wire.
"""

import hashlib
import platform
from pathlib import Path


def python_version() -> str:
    """Version of the interpreter, for example 3.11.7."""
    return platform.python_version()


def source_hash() -> str:
    """sha256 over every file of the package, as `relative/path NUL content NUL`, in the order of the paths.

    Same sum as SourceHash in pyruntime/embed.go; byte code and editor leftovers do not count.
    """
    root = Path(__file__).parent
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.py"))
    digest = hashlib.sha256()
    for name in files:
        digest.update(name.encode() + b"\0" + (root / name).read_bytes() + b"\0")
    return digest.hexdigest()
