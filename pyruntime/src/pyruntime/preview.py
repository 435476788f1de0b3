"""A quick look at unfinished latents: one small matrix product, no decoder. Knows colours, not steps."""

import os
from pathlib import Path

import torch
from PIL import Image

# Quality of the JPEG; a preview is looked at for a second.
QUALITY = 80


def to_image(latents: torch.Tensor, matrix: torch.Tensor, bias: torch.Tensor, side: int) -> Image.Image:
    """Normalised latents (1, z, 1, h, w) by matrix (z, 3) and bias (3,) to a picture whose longer side is `side`."""
    colours = latents[0, :, 0].float().permute(1, 2, 0).cpu() @ matrix + bias  # (h, w, z) -> (h, w, 3)
    pixels = (colours.nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    image = Image.fromarray(pixels)
    factor = side / max(image.size)
    return image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))), Image.Resampling.BICUBIC)


def save(image: Image.Image, path: Path) -> None:
    """Write a JPEG so that a reader sees the old or the new one, never half of it."""
    temporary = path.with_name(path.name + ".part")
    try:
        image.save(temporary, format="JPEG", quality=QUALITY)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
