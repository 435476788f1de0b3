"""The device that computes: which one, in which number format, and how much memory it holds.

Knows torch, not models. MPS before CUDA before CPU, because a Mac has no CUDA and a CUDA machine no MPS.
"""

import contextlib
import ctypes
import dataclasses
import resource
import sys

import torch

from pyruntime.errors import WorkerError


@dataclasses.dataclass(frozen=True)
class Device:
    """A torch device with the number format that it works in."""

    kind: str
    dtype: torch.dtype
    name: str

    @property
    def torch(self) -> torch.device:
        """The torch device. Plain "mps": safetensors refuses "mps:0"."""
        return torch.device(self.kind)


def choose(wanted: str) -> Device:
    """The wanted device ("auto", "mps", "cuda" or "cpu"), or bad_config when this machine has none such."""
    have = {
        "mps": torch.backends.mps.is_available(),
        "cuda": torch.cuda.is_available(),
        "cpu": True,
    }
    kind = next(k for k in have if have[k]) if wanted == "auto" else wanted
    if not have.get(kind):
        raise WorkerError("env_broken", f"device {wanted} is not on this machine; have " + ", ".join(k for k in have if have[k]))
    if kind == "cpu":
        return Device("cpu", torch.float32, "CPU")
    # float16 is no option: Qwen-Image overflows to NaN in it.
    name = torch.cuda.get_device_name() if kind == "cuda" else "Apple GPU"
    return Device(kind, torch.bfloat16, name)


def dtype_name(dtype: torch.dtype) -> str:
    """For example bfloat16."""
    return str(dtype).removeprefix("torch.")


def footprint() -> int:
    """Memory of this process in bytes: what is resident, plus what the device holds for it."""
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as f:
            resident = int(f.read().split()[1]) * resource.getpagesize()
    else:  # macOS tells the peak in bytes; no current figure without another package
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident + device_bytes()


def device_bytes() -> int:
    """Bytes that torch holds on the accelerator; 0 on CPU or before the first use."""
    if torch.backends.mps.is_available():
        return torch.mps.driver_allocated_memory()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.memory_reserved()
    return 0


def device_max() -> int:
    """Bytes that the accelerator should hold at most; 0 when there is no such limit."""
    if torch.backends.mps.is_available():
        return torch.mps.recommended_max_memory()
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory
    return 0


def device_free() -> int:
    """Bytes of the accelerator that no program holds; 0 where it has no memory of its own."""
    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else 0


def empty_cache() -> None:
    """Give freed memory back to the system, so that the next phase finds it."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # musl has no such call, and keeps nothing
            ctypes.CDLL(None).malloc_trim(0)  # freed weights otherwise stay in the C library's heap
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    elif torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
