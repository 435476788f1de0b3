"""Latents of pictures, and the cache of edited crops that training draws from.

Knows pixels, edits and the autoencoder; does not know prompts or optimisers.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from autoencoder import Autoencoder
from crops import Photos
from edits import FRAMES, GRADED, NAMES, PAIRS, REFERENCES, STRENGTHS, exact
from phrasings import LABELS
from safetensors.torch import load_file

PATCH = 16  # picture pixels per side of a token


@dataclass(frozen=True)
class Bucket:
    """Crops of one size. tokens: height and width; grid: of the condition picture; edits: of each crop."""

    tokens: tuple[int, int]
    grid: tuple[int, int]
    crops: int
    edits: int
    batch: int
    weight: float
    references: int  # targets that need other pictures

    @property
    def count(self) -> int:
        return self.tokens[0] * self.tokens[1]


SMALL = [
    Bucket((14, 18), (3, 4), 2200, 6, 192, 0.3, 2400),
    Bucket((18, 14), (4, 3), 1600, 6, 192, 0.25, 0),
    Bucket((12, 21), (3, 5), 2000, 6, 192, 0.3, 1600),
    Bucket((21, 12), (5, 3), 1200, 6, 192, 0.15, 0),
]
LARGE = [
    Bucket((32, 32), (4, 4), 900, 7, 48, 0.3, 0),
    Bucket((28, 36), (3, 4), 900, 7, 48, 0.28, 1200),
    Bucket((36, 28), (4, 3), 500, 7, 48, 0.16, 0),
    Bucket((24, 42), (3, 5), 500, 7, 48, 0.16, 800),
    Bucket((42, 24), (5, 3), 300, 7, 48, 0.1, 0),
]
# Seen more often because they are harder to draw, or less often because there are many of their kind. What moves rows
# is learnt late, by attention over the whole picture; unchanged is what every request that is not known comes to.
OFTEN = {"flip vertically": 5, "rotate 180": 5, "flip horizontally": 2, "mirror": 1.5, "unchanged": 3}
OFTEN |= dict.fromkeys(["edges", "sketch", "emboss", "threshold", "posterize", "solarize", "sharpen", "much sharpen"], 1.6)
PAIR_SHARE, PAIRS_EACH = 0.18, 150


def weight(name: str) -> float:
    """How often a crop gets the edit, against 1 for a plain one."""
    if " circle " in name:
        return 0.3
    if " square " in name:
        return 0.45  # their corners are learnt late
    if name.endswith(" half"):
        return 0.28
    value = OFTEN.get(name, 1.0)
    if any(word + kind == name for word in STRENGTHS if word for kind in GRADED):
        return 0.6 * value
    if name in [f"frame {c}" for c in FRAMES]:
        return 0.7
    return value


def some_pairs(rng: random.Random) -> list[str]:
    """Half of them with an edit that moves rows, which are a tenth of all."""
    moving = [p for p in PAIRS if "flip vertically" in p or "rotate 180" in p]
    return rng.sample(moving, PAIRS_EACH // 2) + rng.sample(PAIRS, PAIRS_EACH - PAIRS_EACH // 2)


def pack(z: torch.Tensor) -> torch.Tensor:
    n, c, h, w = z.shape
    z = z.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return z.reshape(n, h * w // 4, c * 4)


class Latents:
    """Normalised, packed latents (N, tokens, 64) of pictures in 0..1, in half precision."""

    def __init__(self, folder: Path, device: str) -> None:
        facts = json.loads((folder / "vae.json").read_text())
        self.model = Autoencoder().eval()
        self.model.load_state_dict({k: v.float() for k, v in load_file(folder / "vae.safetensors").items()})
        self.model.to(device, memory_format=torch.channels_last)
        self.mean = torch.tensor(facts["latents_mean"], device=device).view(1, -1, 1, 1)
        self.std = torch.tensor(facts["latents_std"], device=device).view(1, -1, 1, 1)
        self.device = device

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = (2 * x - 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            z = self.model.encode(x)
        return pack((z.float() - self.mean) / self.std).half()


@dataclass
class Cached:
    """Latents of crops and of edited crops; which crops each target shows (its own first), and its label."""

    crops: torch.Tensor
    targets: torch.Tensor
    pictures: torch.Tensor  # (N, 3)
    labels: torch.Tensor
    singles: int  # so many targets need one picture only; the rest need others


@torch.no_grad()
def cached(latents: Latents, photos: Photos, bucket: Bucket, rng: random.Random, part: float) -> Cached:
    count, batch = max(3, int(bucket.crops * part)), bucket.batch
    (th, tw), dev = bucket.tokens, latents.device
    x = torch.cat([photos.draw(min(batch, count - at), th * PATCH, tw * PATCH).half() for at in range(0, count, batch)])
    single = NAMES + some_pairs(rng)
    weights = [weight(n) for n in NAMES]
    weights += [sum(weights) * PAIR_SHARE / PAIRS_EACH] * PAIRS_EACH
    wanted = sorted((rng.choices(range(len(single)), weights)[0], i) for i in range(count) for _ in range(bucket.edits))
    chosen = [(single[e], i) for e, i in wanted]
    corners = [2 if name.startswith("corner") else 1 for name in REFERENCES]
    others = rng.choices(REFERENCES, corners, k=int(bucket.references * part))
    chosen += sorted((name, rng.randrange(count)) for name in others)
    pictures = torch.tensor([[i, rng.randrange(count), rng.randrange(count)] for _, i in chosen])
    targets: list[torch.Tensor] = []
    waiting: list[torch.Tensor] = []
    begin = 0
    while begin < len(chosen):
        end = begin + 1
        while end < len(chosen) and chosen[end][0] == chosen[begin][0] and end - begin < batch:
            end += 1
        which = pictures[begin:end].to(dev)
        waiting.append(exact(chosen[begin][0], [x[which[:, k]].float() for k in range(3)]).clamp(0, 1))
        begin = end
        if sum(len(w) for w in waiting) >= batch or begin == len(chosen):
            targets.append(latents(torch.cat(waiting)))
            waiting = []
    crops = torch.cat([latents(c.float()) for c in x.split(batch)])
    number = {label: i for i, label in enumerate(LABELS)}
    labels = torch.tensor([number[label] for label, _ in chosen])
    return Cached(crops, torch.cat(targets), pictures.to(dev), labels.to(dev), len(wanted))
