"""Muon: momentum whose update is orthogonalised, for matrices. Knows gradients, not models."""

from __future__ import annotations

import math

import torch


class Muon:
    """Updates matrices (and kernels, seen as matrices) of equal shape together. Adam should have the rest."""

    def __init__(self, params: list[torch.nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        self.lr, self.keep = lr, momentum
        self.groups: dict[tuple[int, ...], list[torch.nn.Parameter]] = {}
        for p in params:
            self.groups.setdefault(tuple(p.shape), []).append(p)
            p.grad = torch.zeros_like(p)  # also where it takes no part: the last block's text half leads nowhere
        self.momentum = {
            shape: torch.zeros(len(group), shape[0], math.prod(shape[1:]), device=group[0].device)
            for shape, group in self.groups.items()
        }

    @torch.no_grad()
    def step(self, factor: torch.Tensor) -> None:
        """One update at lr * factor, a scalar on the device so that a CUDA graph can hold it; clears the gradients."""
        for shape, group in self.groups.items():
            gradient = torch.stack([p.grad.flatten(1) for p in group])
            moment = self.momentum[shape].mul_(self.keep).add_(gradient, alpha=1 - self.keep)
            update = orthogonal(gradient.lerp(moment, self.keep))
            update = update * (factor * (-self.lr * 0.2 * math.sqrt(max(update.shape[-2:]))))
            torch._foreach_add_([p.data for p in group], [d.view(shape) for d in update.unbind(0)])
            torch._foreach_zero_([p.grad for p in group])


def orthogonal(x: torch.Tensor) -> torch.Tensor:
    """The nearest matrices with singular values about 1, by five Newton-Schulz steps in bfloat16."""
    tall = x.shape[-2] > x.shape[-1]
    y = (x.mT if tall else x).bfloat16()
    y = y / (y.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        a = y @ y.mT
        y = 3.4445 * y + (-4.775 * a + 2.0315 * a @ a) @ y
    return (y.mT if tall else y).float()
