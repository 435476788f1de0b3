"""How many bytes tensors hold at the most while something runs: a count of storages, also on torch's meta device.

Sees what torch allocates for the results of operations; not what a kernel takes for itself and gives back before it ends.
"""

import typing
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class Gauge(TorchDispatchMode):
    """While entered, counts. now and peak are bytes of the storages of a device that were born inside and live."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self._device = device
        self.now = self.peak = 0
        self._seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(self, func: typing.Any, types: typing.Any, args: typing.Any = (), kwargs: typing.Any = None) -> typing.Any:
        """Run the operation and count the storages of its results that none of its arguments had."""
        known = {t.untyped_storage()._cdata for t in tree_iter((args, kwargs)) if isinstance(t, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        for t in tree_iter(out):
            if not isinstance(t, torch.Tensor) or t.device.type != self._device:
                continue
            storage = t.untyped_storage()
            if storage._cdata in known or storage in self._seen:
                continue
            self._seen.add(storage)
            size = storage.nbytes()
            weakref.finalize(storage, self._gone, size)
            self.now += size
            self.peak = max(self.peak, self.now)
        return out

    def _gone(self, size: int) -> None:
        self.now -= size
