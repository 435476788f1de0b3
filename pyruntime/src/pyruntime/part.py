"""One component of a model whose weights come and go: the module stays, its parameters are in memory or are not.

Knows files and bytes, not what the component computes. What is not here has shapes and takes no memory.
"""

import dataclasses
from pathlib import Path

import torch

from pyruntime import device, weights
from pyruntime.errors import Check


@dataclasses.dataclass
class Part:
    """A module with the files of its weights; rename gives the module's key of a file's key, or None to skip it."""

    module: torch.nn.Module
    files: list[Path]
    device: torch.device
    dtype: torch.dtype
    rename: weights.Rename = weights.same
    here: bool = False

    def bring(self, check: Check, loaded: weights.Loaded) -> None:
        """Read the weights, unless they are here. Calls check before every tensor, and loaded with its bytes after."""
        if self.here:
            return
        weights.load(self.module, self.files, self.device, self.dtype, check, loaded, self.rename)
        self.here = True

    def free(self) -> None:
        """Give the memory of the weights back, also of those that a load that broke off has left."""
        self.here = False
        weights.drop(self.module)
        device.empty_cache()

    def bytes(self) -> int:
        """What the parameters hold now."""
        return sum(p.nbytes for p in self.module.parameters() if p.device.type != "meta")
