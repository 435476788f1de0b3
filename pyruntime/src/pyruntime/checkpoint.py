"""Where a broken-off denoise goes on: the latents behind a step, in one small file beside the job.

Latents and step are the whole state. The only random numbers of an edit are the noise that it starts from, which the
seed draws again, and the schedule follows from the request: so the finished picture is the same to the last byte as
that of a run without a break. What the latents were made from is in the file as a hash; a file of another request,
model or program, a torn or a changed one is as good as none, and the edit begins at its first step.
"""

import dataclasses
import functools
import hashlib
import json
import os
import time
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from pyruntime import lora, source, weights, wire
from pyruntime.model import PARTS, Model

# The part of the denoise time that saving may take.
SHARE_MAX = 0.02
# What says where a request's files are, not what they hold.
PLACES = ("images", "result_path", "preview_path", "checkpoint_path", "loras")


def key_of(request: wire.Generate, model: Model) -> str:
    """sha256 over everything that the latents depend on: request, pictures, LoRAs, weights, source, torch and device.

    Weights and LoRAs count by name, size and time of their files: to read 58 GB again would cost more than the steps.
    """
    facts = {name: value for name, value in msgspec.structs.asdict(request).items() if name not in PLACES}
    facts["images"] = [hashlib.sha256(Path(p).read_bytes()).hexdigest() for p in request.images]
    facts["loras"] = [[each.strength, time_ns, size] for each, time_ns, size in map(lora.identity, request.loras)]
    states = [(path, path.stat()) for part in PARTS for path in weights.shards(model.folder / part)]
    facts["weights"] = [[path.parent.name, path.name, state.st_size, state.st_mtime_ns] for path, state in states]
    facts["program"] = [program(), str(torch.__version__), str(model.vae.mean.device), str(model.dtype)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@functools.cache
def program() -> str:
    """The hash of this worker's source. It was read into memory once, so it is hashed once."""
    return source.source_hash()


@dataclasses.dataclass
class Checkpoint:
    """One attempt's file. An empty path is none."""

    path: str
    key: str
    _spent: float = 0.0
    _longest: float = 0.0
    _began: float = dataclasses.field(default_factory=lambda: time.monotonic())

    def last(self) -> tuple[int, torch.Tensor] | None:
        """(steps done, latents (1, S, 64)) of the attempt that broke off; None when there is nothing to go on from."""
        if not self.path:
            return None
        try:
            data = Path(self.path).read_bytes()
            head = json.loads(data[:200].split(b"\n", 1)[0])
            body = data.split(b"\n", 1)[1]
            if head["key"] != self.key or head["sha256"] != hashlib.sha256(body).hexdigest():
                return None
            return int(head["step"]), load(body)["latents"]
        except (OSError, ValueError, KeyError, IndexError, TypeError, SafetensorError):
            return None

    def save(self, step: int, latents: torch.Tensor) -> None:
        """Write the state behind a step, unless that would take more than SHARE_MAX of the denoise time.

        By temporary file and rename, without a sync: a kill of any process leaves one whole file, and what a power cut
        tears shows by its hash. A full disk loses the checkpoint, never the edit.
        """
        began = time.monotonic()
        if not self.path or self._spent + self._longest > SHARE_MAX * (began - self._began):
            return
        body = save({"latents": latents.contiguous().cpu()})
        head = json.dumps({"step": step, "sha256": hashlib.sha256(body).hexdigest(), "key": self.key}).encode()
        temporary = Path(self.path + ".part")
        try:
            temporary.write_bytes(head + b"\n" + body)
            os.replace(temporary, self.path)
        except OSError:
            temporary.unlink(missing_ok=True)
        took = time.monotonic() - began
        self._spent, self._longest = self._spent + took, max(self._longest, took)
