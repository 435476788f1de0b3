"""Fixtures: small models of both classes, pictures, and the worker's road through one edit."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

# As the supervisor sets them for the worker: nothing of a test reaches a network.
os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
os.environ |= {"DIFFUSERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}

import numpy
import pytest
import stock
import torch
from PIL import Image

from pyruntime import denoise, edit, model, vae, wire
from pyruntime.device import Device
from pyruntime.errors import CancelFlag

CPU = Device("cpu", torch.float32, "CPU")
REF_AREA = 64 * 96
COND_AREA = 48 * 48


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    # Small products gain nothing from a second thread, and lose much when another process wants the core.
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Callable[..., Path]:
    """Model directory of a class, made once: folder("edit"), folder("plus", zero_cond_t=True)."""
    made: dict[tuple[str, bool], Path] = {}

    def get(kind: str, *, zero_cond_t: bool = False) -> Path:
        key = (kind, zero_cond_t)
        if key not in made:
            target = tmp_path_factory.mktemp(f"{kind}-{'zero' if zero_cond_t else 'plain'}")
            made[key] = stock.build(target, plus=kind == "plus", zero_cond_t=zero_cond_t)
        return made[key]

    return get


def load(
    path: Path, *, flag: CancelFlag | None = None, as_2d: bool = False, progress=lambda *_: None, profile: str = model.RESIDENT
) -> model.Model:
    """Load as the worker does; as_2d is off unless asked for, because it is of the float-order class."""
    return model.load(path, CPU, flag or CancelFlag(), progress, profile=profile, vae_as_2d=as_2d)


@pytest.fixture(scope="session")
def loaded(folder) -> Callable[..., model.Model]:
    """The same directory loaded by the worker, once, without a flag: loaded("plus", zero_cond_t=True)."""
    made: dict[tuple[str, bool], model.Model] = {}

    def get(kind: str, *, zero_cond_t: bool = False) -> model.Model:
        key = (kind, zero_cond_t)
        if key not in made:
            made[key] = load(folder(kind, zero_cond_t=zero_cond_t))
        return made[key]

    return get


def picture(width: int, height: int, seed: int = 1) -> Image.Image:
    """Soft colour fields with some noise: neither flat nor pure noise, so that resizing matters."""
    random = numpy.random.default_rng(seed)
    field = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=numpy.uint8)).resize((width, height), 3)
    values = numpy.asarray(field, numpy.int16) + random.integers(-20, 21, (height, width, 3))
    return Image.fromarray(values.clip(0, 255).astype(numpy.uint8))


def request(folder: Path, images: list[Image.Image], **changes) -> wire.Generate:
    """A generate request about these pictures, with result and preview in folder."""
    paths = [folder / f"source-{n}.png" for n in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    fields = {
        "prompt": "make it sepia, please", "steps": 2, "true_cfg_scale": 1.0, "seed": 7,
        "images": [str(p) for p in paths], "work_width": 64, "work_height": 96, "out_width": 64, "out_height": 96,
        "ref_area": REF_AREA, "cond_area": COND_AREA, "result_path": str(folder / "result.png"),
    }  # fmt: skip
    return wire.Generate(**(fields | changes))


@dataclasses.dataclass
class Run:
    """What one edit of the worker gave, with the tensors on its way."""

    result: wire.Result
    image: Image.Image
    latents: torch.Tensor
    pixels: torch.Tensor
    events: list[wire.Message]


@pytest.fixture
def run(monkeypatch) -> Callable[..., Run]:
    """Run edit.edit and keep the last latents and the decoded pixels."""
    kept: dict[str, torch.Tensor] = {}

    def keep(name: str, work: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def kept_too(*args, **kwargs):
            kept[name] = work(*args, **kwargs)
            return kept[name]

        return kept_too

    monkeypatch.setattr(edit, "denoise", keep("latents", denoise.denoise))
    monkeypatch.setattr(vae.VAE, "decode", keep("pixels", vae.VAE.decode))

    def go(m: model.Model, asked: wire.Generate, flag: CancelFlag | None = None, preview_side: int = 0) -> Run:
        events: list[wire.Message] = []
        result = edit.edit(asked, m, events.append, flag or CancelFlag(), preview_side)
        with Image.open(result.path) as saved:
            image = saved.convert("RGB")
        return Run(result, image, kept["latents"], kept["pixels"], events)

    return go
