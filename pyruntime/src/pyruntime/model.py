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
from pyruntime.errors import CancelFlag, Check, WorkerError
from pyruntime.part import Part

PIPELINES = {"QwenImageEditPipeline": False, "QwenImageEditPlusPipeline": True}

# The components of a model directory that hold weights.
PARTS = ("text_encoder", "transformer", "vae")

# How memory is used, from the most to the least (supervisor/plan/memory.go). resident: all weights stay. staged: the text
# encoder is freed behind the encode, the transformer comes then and is freed before the decode; equal bits. tiled: staged,
# and the VAE works on overlapping tiles, which changes the picture a little (tests/test_tiles.py).
RESIDENT, STAGED, TILED = PROFILES = ("resident", "staged", "tiled")

# Called with (bytes done, bytes of all shards, shard number from 1, number of shards, component).
OnProgress = collections.abc.Callable[[int, int, int, int, str], None]
# Called with the fraction that is done, 0 to 1.
OnFraction = collections.abc.Callable[[float], None]


@dataclasses.dataclass(frozen=True)
class Model:
    """All that an edit needs. plus: condition pictures are numbered and resized on their own (Edit-Plus)."""

    folder: Path
    profile: str
    plus: bool
    text: text.TextModel
    transformer: QwenImageTransformer2DModel
    core: Part  # of the transformer
    loras: lora.Merger
    vae: vae.VAE
    scheduler: FlowMatchEulerDiscreteScheduler
    dtype: torch.dtype
    preview: tuple[torch.Tensor, torch.Tensor] | None

    @property
    def staged(self) -> bool:
        """Whether weights are in memory only while they are needed."""
        return self.profile != RESIDENT

    def only(self, part: Part | None, check: Check, progress: OnFraction) -> None:
        """Of text encoder and transformer have this one in memory, or neither; nothing to do when all stay."""
        if not self.staged:
            return
        for other in (self.text.part, self.core):
            if other is not part:
                other.free()
        if not self.core.here:
            self.loras.forget()  # what was merged went with the weights
        if part is None:
            return
        total, done = sum(path.stat().st_size for path in part.files), 0

        def loaded(size: int) -> None:
            nonlocal done
            done += size
            progress(min(done / max(total, 1), 1.0))

        part.bring(check, loaded)


def load(
    folder: Path, device: Device, flag: CancelFlag, progress: OnProgress, *, profile: str = RESIDENT, vae_as_2d: bool = True
) -> Model:
    """Read a model directory: all of its weights, or for a profile that stages them those that an edit needs first.

    weights_missing or weights_corrupt names the first file that is not as it should be.
    """
    if profile not in PROFILES:
        raise WorkerError("out_of_range", f"the memory profile {profile!r} is not known; these are: {', '.join(PROFILES)}")
    index = folder / "model_index.json"
    if not index.is_file():
        raise WorkerError("weights_missing", f"no model_index.json in the model directory {folder.name}")
    name = json.loads(index.read_text()).get("_class_name")
    if name not in PIPELINES:
        raise WorkerError("weights_corrupt", f"the model directory is for {name}, qie runs " + " and ".join(PIPELINES))
    files = {part: weights.shards(folder / part) for part in PARTS}
    sizes = {path: weights.verify(path) for paths in files.values() for path in paths}
    now = [part for part in PARTS if part != "transformer" or profile == RESIDENT]
    order = [path for part in now for path in files[part]]
    total, done, part = sum(sizes[path] for path in order), 0, ""

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
    text_model = text.build(folder, plus, device, check)
    dit, core = transformer.build(folder, device, check)
    part = "text_encoder"
    text_model.part.bring(check, loaded)
    if "transformer" in now:
        part = "transformer"
        core.bring(check, loaded)
    part = "vae"
    tile = vae.TILE if profile == TILED else 0
    autoencoder = vae.load(folder, target, device.dtype, check, loaded, as_2d=vae_as_2d, tile=tile)
    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    loras = lora.Merger(dit, files["transformer"], target, device.dtype)
    return Model(folder, profile, plus, text_model, dit, core, loras, autoencoder, scheduler, device.dtype, _preview(folder))


def _preview(folder: Path) -> tuple[torch.Tensor, torch.Tensor] | None:
    spec = folder / "qie.json"
    if not spec.is_file():
        return None
    raw = json.loads(spec.read_text()).get("preview")
    return (torch.tensor(raw["matrix"]), torch.tensor(raw["bias"])) if raw else None
