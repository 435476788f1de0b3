"""Flow matching: times, the sampler's schedule, and training on the model's own way.

A net that only ever saw noised exact pictures trusts what it is given: what it drew wrong in the first step stays
wrong, and more steps made the picture worse. So a part of the batches starts from noise, walks by the model's own
steps, and is asked for the exact picture from there. Then every later step mends the picture.
"""

from __future__ import annotations

import functools
import math
import random
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from pyruntime.denoise import schedule, shifted

PURE_NOISE = 0.15  # part of the noised times that are 1, where the whole result is decided
HERE = Path(__file__).resolve().parent


def shift(tokens: int) -> float:
    """exp(mu) for so many tokens, as scheduler_config.json says."""
    return math.exp(0.5 + 0.4 * (tokens - 256) / (8192 - 256))


def draw_time(n: int, tokens: int, device: str) -> torch.Tensor:
    """Times in 0..1, shifted as the scheduler shifts its sigmas for this many tokens."""
    u = torch.rand(n, device=device).clamp(1e-4, 1)
    t = shift(tokens) / (shift(tokens) + 1 / u - 1)
    return torch.where(torch.rand(n, device=device) < PURE_NOISE, torch.ones_like(t), t)


@functools.cache
def scheduler() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler.from_pretrained(HERE / "model/scheduler", local_files_only=True)


@functools.cache
def sigmas(steps: int, tokens: int, fixed: float = 0) -> list[float]:
    """What the product denoises by, without the last 0. fixed: the shift of a few-step LoRA, as Lightning has it."""
    chosen = shifted(scheduler(), fixed)
    schedule(chosen, steps, tokens, torch.device("cpu"))
    return chosen.sigmas[:-1].tolist()


def walk(tokens: int, rng: random.Random) -> list[float]:
    """Sigmas from 1 to where the model is asked, by at most two of its own steps."""
    steps = rng.choice([3, 4, 4, 4, 5, 6, 8])
    path = sigmas(steps, tokens)[: rng.randrange(1, steps) + 1]
    return path if len(path) <= 3 else [path[0], path[1 if len(path) < 5 else len(path) // 2], path[-1]]
