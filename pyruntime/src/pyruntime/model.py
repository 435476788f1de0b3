"""One model directory in the diffusers layout, loaded: text encoder, transformer, VAE, scheduler and its facts.

Knows which class of pipeline the directory is for. The demo model goes the same way as the full one.
"""

import collections.abc
import dataclasses
import json
from pathlib import Path

import torch
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from pyruntime import lora, text, transformer, vae, weights
from pyruntime.device import Device
from pyruntime.errors import CancelFlag, WorkerError

PIPELINES = {"QwenImageEditPipeline": False, "QwenImageEditPlusPipeline": True}

# The components of a model directory that hold weights.
PARTS = ("text_encoder", "transformer", "vae")

# Called with (bytes done, bytes of all shards, shard number from 1, number of shards, component).
OnProgress = collections.abc.Callable[[int, int, int, int, str], None]


@dataclasses.dataclass(frozen=True)
class Model:
    """All that an edit needs. plus: condition pictures are numbered and resized on their own (Edit-Plus)."""

    folder: Path
    plus: bool
    text: text.TextModel
    transformer: QwenImageTransformer2DModel
    loras: lora.Merger
    vae: vae.VAE
    scheduler: FlowMatchEulerDiscreteScheduler
    dtype: torch.dtype
    preview: tuple[torch.Tensor, torch.Tensor] | None


def load(folder: Path, device: Device, flag: CancelFlag, progress: OnProgress, *, vae_as_2d: bool = True) -> Model:
    """Read a model directory. weights_missing or weights_corrupt names the first file that is not as it should be."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise WorkerError("weights_missing", f"no model_index.json in the model directory {folder.name}")
    name = json.loads(index.read_text()).get("_class_name")
    if name not in PIPELINES:
        raise WorkerError("weights_corrupt", f"the model directory is for {name}, qie runs " + " and ".join(PIPELINES))
    files = {part: weights.shards(folder / part) for part in PARTS}
    sizes = {path: weights.verify(path) for paths in files.values() for path in paths}
    order = list(sizes)
    total, done, part = sum(sizes.values()), 0, ""

    def loaded(size: int) -> None:
        nonlocal done
        done = min(done + size, total)
        # The shard follows from the bytes: tensors come in the order of the files.
        reached, shard = 0, 0
        while shard < len(order) and reached + sizes[order[shard]] <= done:
            reached += sizes[order[shard]]
            shard += 1
        progress(done, total, min(shard + 1, len(order)), len(order), part)

    check, target = flag.check, device.torch
    plus = PIPELINES[name]
    part = "text_encoder"
    text_model = text.load(folder, plus, target, device.dtype, check, loaded)
    part = "transformer"
    dit = transformer.load(folder, target, device.dtype, check, loaded)
    part = "vae"
    autoencoder = vae.load(folder, target, device.dtype, check, loaded, as_2d=vae_as_2d)
    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    loras = lora.Merger(dit, files["transformer"], target, device.dtype)
    return Model(folder, plus, text_model, dit, loras, autoencoder, scheduler, device.dtype, _preview(folder))


def _preview(folder: Path) -> tuple[torch.Tensor, torch.Tensor] | None:
    spec = folder / "qie.json"
    if not spec.is_file():
        return None
    raw = json.loads(spec.read_text()).get("preview")
    return (torch.tensor(raw["matrix"]), torch.tensor(raw["bias"])) if raw else None
