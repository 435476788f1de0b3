"""Random crops of the training photographs, drawn on the device without leaving it.

Knows pixels and randomness; does not know edits, prompts or models. Every picture is kept at four
scales in one flat byte buffer, so that a batch of crops is one gather.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

LEVELS = (1.0, 0.75, 0.55, 0.4)
LEAVES, LEAF_SIDE, LEAF_SHARE = 64, 640, 0.15


def read(path: Path) -> list[torch.Tensor]:
    """The picture at every scale, as (H, W, 3) bytes."""
    with Image.open(path) as opened:
        whole = opened.convert("RGB")
    out = []
    for level in LEVELS:
        size = (round(whole.width * level), round(whole.height * level))
        scaled = whole if level == 1 else whole.resize(size, Image.Resampling.LANCZOS)
        out.append(torch.from_numpy(np.array(scaled)))
    return out


def dead_leaves(count: int, side: int, generator: torch.Generator) -> torch.Tensor:
    """Overlapping discs and boxes of random colour, (count, side, side, 3) bytes: sharp edges of every size."""

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    axis = torch.arange(side)
    out = uniform(count, 1, 1, 3).expand(-1, side, side, -1).clone()
    for _ in range(90):
        radius = 6 * (1 - 0.97 * uniform(count, 1, 1)).rsqrt() ** 2
        down = (axis.view(1, -1, 1) - uniform(count, 1, 1) * side).abs()
        across = (axis.view(1, 1, -1) - uniform(count, 1, 1) * side).abs()
        box = (uniform(count, 1, 1) < 0.4).expand(-1, side, side)
        inside = torch.where(box, torch.maximum(down, across) < radius, down**2 + across**2 < radius**2)
        out = torch.where(inside[..., None], uniform(count, 1, 1, 3), out)
    return (out * 255).to(torch.uint8)


class Photos:
    """All training pictures on the device."""

    def __init__(self, folder: Path, device: str, seed: int) -> None:
        paths = sorted(folder.iterdir())
        with ThreadPoolExecutor(8) as pool:
            pictures = list(pool.map(read, paths))
        leaves = dead_leaves(LEAVES, LEAF_SIDE, torch.Generator().manual_seed(seed))
        flat, heights, widths, weights = [], [], [], []
        photo_weight = [path.stat().st_size ** 0.5 for path in paths]
        share = sum(photo_weight) * LEAF_SHARE / (1 - LEAF_SHARE) / LEAVES
        for levels, weight in zip(pictures, photo_weight, strict=True):
            for level in levels:
                flat.append(level)
                weights.append(weight / len(LEVELS))
        for leaf in leaves:
            flat.append(leaf)
            weights.append(share)
        heights = torch.tensor([p.shape[0] for p in flat])
        widths = torch.tensor([p.shape[1] for p in flat])
        self.heights, self.widths = heights.to(device), widths.to(device)
        self.starts = torch.cat([torch.zeros(1, dtype=torch.long), (heights * widths).cumsum(0)[:-1]]).to(device)
        self.weights = torch.tensor(weights, device=device)
        self.pixels = torch.cat([p.reshape(-1, 3) for p in flat]).to(device)
        self.device = device

    def draw(self, count: int, height: int, width: int) -> torch.Tensor:
        """(count, 3, height, width) in 0..1: mirrored and of changed colour at random."""
        dev = self.device
        fits = self.weights * ((self.heights >= height) & (self.widths >= width))
        which = torch.multinomial(fits, count, replacement=True)
        top = (torch.rand(count, device=dev) * (self.heights[which] - height + 1)).long()
        left = (torch.rand(count, device=dev) * (self.widths[which] - width + 1)).long()
        rows = top.view(-1, 1, 1) + torch.arange(height, device=dev).view(1, -1, 1)
        columns = torch.arange(width, device=dev).view(1, 1, -1)
        columns = torch.where(torch.rand(count, 1, 1, device=dev) < 0.5, columns, width - 1 - columns)
        columns = columns + left.view(-1, 1, 1)
        place = self.starts[which].view(-1, 1, 1) + rows * self.widths[which].view(-1, 1, 1) + columns
        x = self.pixels[place].permute(0, 3, 1, 2).float() / 255
        gamma = 0.75 + 0.6 * torch.rand(count, 1, 1, 1, device=dev)
        gains = 0.85 + 0.3 * torch.rand(count, 3, 1, 1, device=dev)
        changed = (x.clamp_min(1e-4) ** gamma * gains).clamp(0, 1)
        return torch.where(torch.rand(count, 1, 1, 1, device=dev) < 0.6, changed, x)
