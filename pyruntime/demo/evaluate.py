"""Measures a model directory by the product's own loop: pictures against the exact edits, and wording.

Knows held-out photographs, held-out sentences and the exact transforms; does not know training. Wording
counts as read right when the result is nearer to the asked edit's exact picture than to any other's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from edits import EDITS, MAIN, NAMES
from phrasings import HELDOUT
from PIL import Image

from pyruntime import model as models
from pyruntime import vae
from pyruntime.denoise import denoise
from pyruntime.device import Device
from pyruntime.edit import area_size, to_image, to_tensor
from pyruntime.errors import CancelFlag

HERE = Path(__file__).resolve().parent
AREA, STEPS, SEED = 512 * 512, 4, 1


class Photo:
    """A held-out photograph at the product's working size, with its reference latents."""

    def __init__(self, path: Path, model: models.Model) -> None:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        self.name, self.model = path.stem, model
        self.picture = picture.resize(area_size(AREA, *picture.size), Image.Resampling.LANCZOS)
        self.exact = torch.from_numpy(np.array(self.picture)).permute(2, 0, 1)[None].float() / 255
        self.latents = model.vae.encode(to_tensor(self.picture, model))

    def edited(self, prompt: str) -> torch.Tensor:
        """What the product makes of it, (1, 3, H, W) in 0..1."""
        h, w = self.latents.shape[-2:]
        noise = torch.randn(self.latents.shape, generator=torch.Generator().manual_seed(SEED))
        latents = denoise(
            self.model.transformer,
            self.model.scheduler,
            vae.pack(noise.to(self.latents)),
            vae.pack(self.latents),
            [(1, h // 2, w // 2)] * 2,
            self.model.text.encode(prompt, [self.picture]),
            None,
            1.0,
            STEPS,
            lambda *_: None,
        )
        made = to_image(self.model.vae.decode(vae.unpack(latents, h, w)))
        return torch.from_numpy(np.array(made)).permute(2, 0, 1)[None].float() / 255


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """In dB, of values in 0..1."""
    return float(-10 * torch.log10((a - b).square().mean().clamp_min(1e-9)))


@torch.inference_mode()
def pictures(photos: list[Photo], names: list[str]) -> None:
    """A table of the mean PSNR for each edit, asked for by the first held-out sentence that names it."""
    means = []
    for name in names:
        prompt = next(text for asked, text in HELDOUT if asked == name)
        values = [psnr(p.edited(prompt), EDITS[name](p.exact).clamp(0, 1)) for p in photos]
        means.append(sum(values) / len(values))
        print(f"| {name} | {means[-1]:.1f} | {min(values):.1f} |", flush=True)
    print(f"mean {sum(means) / len(means):.2f} dB; {sum(m >= 27 for m in means)} of {len(means)} edits at 27 dB or more")


@torch.inference_mode()
def wording(photo: Photo) -> None:
    """How many held-out sentences give the picture of the edit that they name."""
    targets = {name: EDITS[name](photo.exact).clamp(0, 1) for name in NAMES}
    right = 0
    for name, prompt in HELDOUT:
        made = photo.edited(prompt)
        nearest = max(NAMES, key=lambda n, made=made: psnr(made, targets[n]))
        right += nearest == name
        if nearest != name:
            print(f"misread: {prompt!r} gave {nearest}, not {name}", flush=True)
    print(f"wording: {right} of {len(HELDOUT)} read right")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--model", type=Path, default=HERE / "model")
    p.add_argument("--device", default="cpu")
    p.add_argument("--photos", type=int, default=12)
    p.add_argument("--edits", nargs="*", default=[n for n in MAIN if any(n == asked for asked, _ in HELDOUT)])
    p.add_argument("--wording", action="store_true", help="only the wording")
    a = p.parse_args()
    loaded = models.load(a.model, Device(a.device, torch.float32, a.device), CancelFlag(), lambda *_: None)
    with torch.inference_mode():
        chosen = [Photo(path, loaded) for path in sorted((HERE / ".work/test").iterdir())[: a.photos]]
    if a.wording:
        wording(chosen[0])
    else:
        pictures(chosen, a.edits)
