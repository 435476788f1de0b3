"""The exact transforms: every edit the demo model learns, as one function on RGB in 0..1.

Knows pixels (N, 3, H, W float tensors, any size); does not know prompts, files or models.
`EDITS` maps the name of an edit to its function. Lengths scale with the short side so that an
edit looks the same at every size.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

Tensor = torch.Tensor
COLOURS = {
    "red": (0.9, 0.1, 0.1),
    "green": (0.1, 0.75, 0.2),
    "blue": (0.1, 0.25, 0.9),
    "yellow": (0.95, 0.85, 0.1),
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
}
PLACES = {
    "middle": (0.5, 0.5),
    "top left": (0.25, 0.25),
    "top right": (0.25, 0.75),
    "bottom left": (0.75, 0.25),
    "bottom right": (0.75, 0.75),
}


def luma(x: Tensor) -> Tensor:
    weights = x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True)


def mix(x: Tensor, rows: list[list[float]]) -> Tensor:
    return torch.einsum("oc,nchw->nohw", x.new_tensor(rows), x).clamp(0, 1)


def gaussian(x: Tensor, sigma: float) -> Tensor:
    radius = max(1, math.ceil(3 * sigma))
    taps = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    taps = torch.exp(-0.5 * (taps / sigma) ** 2)
    taps = taps / taps.sum()
    count = x.shape[1]
    x = F.pad(x, (radius, radius, radius, radius), mode="replicate")
    x = F.conv2d(x, taps.view(1, 1, 1, -1).expand(count, 1, 1, -1), groups=count)
    return F.conv2d(x, taps.view(1, 1, -1, 1).expand(count, 1, -1, 1), groups=count)


def saturation(x: Tensor, amount: float) -> Tensor:
    grey = luma(x)
    return (grey + amount * (x - grey)).clamp(0, 1)


def sharpen(x: Tensor) -> Tensor:
    return (x + 0.8 * (x - gaussian(x, 1.5))).clamp(0, 1)


def pixelate(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    small = F.adaptive_avg_pool2d(x, (max(1, height // 16), max(1, width // 16)))
    return F.interpolate(small, (height, width), mode="nearest")


def posterize(x: Tensor) -> Tensor:
    return (x * 4).floor().clamp(0, 3) / 3


def emboss(x: Tensor) -> Tensor:
    grey = gaussian(luma(x), 1.0)
    moved = torch.roll(grey, (2, 2), (2, 3))
    moved[..., :2, :] = grey[..., :2, :]
    moved[..., :2] = grey[..., :2]
    return (0.5 + 1.5 * (grey - moved)).clamp(0, 1).expand(-1, 3, -1, -1)


def slope(x: Tensor) -> Tensor:
    grey = F.pad(gaussian(luma(x), 1.2), (1, 1, 1, 1), mode="replicate")
    across = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]
    down = grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    return (across**2 + down**2 + 1e-8).sqrt()


def edges(x: Tensor) -> Tensor:
    return (3 * slope(x)).clamp(0, 1).expand(-1, 3, -1, -1)


def sketch(x: Tensor) -> Tensor:
    return (1 - 3 * slope(x)).clamp(0, 1).expand(-1, 3, -1, -1)


def threshold(x: Tensor) -> Tensor:
    return torch.sigmoid(14 * (gaussian(luma(x), 1.0) - 0.5)).expand(-1, 3, -1, -1)


def vignette(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    down = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype).view(-1, 1)
    across = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype).view(1, -1)
    return x * (1.15 - 0.6 * (down**2 + across**2)).clamp(0.05, 1)


def mirror(x: Tensor) -> Tensor:
    left = x[..., : (x.shape[-1] + 1) // 2]
    return torch.cat([left, left.flip(-1)[..., x.shape[-1] % 2 :]], -1)


def frame(x: Tensor, colour: str) -> Tensor:
    out, width = x.clone(), round(0.07 * min(x.shape[-2:]))
    paint = x.new_tensor(COLOURS[colour]).view(1, 3, 1, 1)
    out[..., :width, :] = paint
    out[..., -width:, :] = paint
    out[..., :width] = paint
    out[..., -width:] = paint
    return out


def shape(x: Tensor, kind: str, colour: str, place: str) -> Tensor:
    height, width = x.shape[-2:]
    radius = 0.15 * min(height, width)
    middle = PLACES[place]
    down = (torch.arange(height, device=x.device) + 0.5 - middle[0] * height).abs().view(-1, 1)
    across = (torch.arange(width, device=x.device) + 0.5 - middle[1] * width).abs().view(1, -1)
    if kind == "circle":
        inside = down**2 + across**2 < radius**2
    else:
        inside = (down < radius * 0.9) & (across < radius * 0.9)
    return torch.where(inside, x.new_tensor(COLOURS[colour]).view(1, 3, 1, 1), x)


def tint(x: Tensor, colour: str) -> Tensor:
    return 0.7 * x + 0.3 * x.new_tensor(COLOURS[colour]).view(1, 3, 1, 1)


def channel(x: Tensor, order: list[int]) -> Tensor:
    return x[:, order]


def gain(x: Tensor, factors: tuple[float, float, float]) -> Tensor:
    return (x * x.new_tensor(factors).view(1, 3, 1, 1)).clamp(0, 1)


SEPIA = [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]]

EDITS: dict[str, Callable[[Tensor], Tensor]] = {
    "unchanged": lambda x: x,
    "invert": lambda x: 1 - x,
    "grayscale": lambda x: luma(x).expand(-1, 3, -1, -1),
    "sepia": lambda x: mix(x, SEPIA),
    "brighter": lambda x: (x * 1.4).clamp(0, 1),
    "darker": lambda x: x * 0.6,
    "more contrast": lambda x: (0.5 + 1.5 * (x - 0.5)).clamp(0, 1),
    "less contrast": lambda x: 0.5 + 0.5 * (x - 0.5),
    "more saturated": lambda x: saturation(x, 1.8),
    "less saturated": lambda x: saturation(x, 0.4),
    "warmer": lambda x: gain(x, (1.15, 1.0, 0.8)),
    "cooler": lambda x: gain(x, (0.8, 1.0, 1.2)),
    "blur": lambda x: gaussian(x, 3.0 * min(x.shape[-2:]) / 256),
    "sharpen": sharpen,
    "pixelate": pixelate,
    "posterize": posterize,
    "solarize": lambda x: torch.where(x > 0.5, 1 - x, x),
    "threshold": threshold,
    "emboss": emboss,
    "edges": edges,
    "sketch": sketch,
    "vignette": vignette,
    "mirror": mirror,
    "flip horizontally": lambda x: x.flip(-1),
    "flip vertically": lambda x: x.flip(-2),
    "rotate 180": lambda x: x.flip(-1, -2),
    "swap red and blue": lambda x: channel(x, [2, 1, 0]),
    "swap red and green": lambda x: channel(x, [1, 0, 2]),
    "swap green and blue": lambda x: channel(x, [0, 2, 1]),
}
for _c in ("red", "green", "blue"):
    EDITS[f"tint {_c}"] = lambda x, c=_c: tint(x, c)
for _c in ("white", "black", "red", "blue"):
    EDITS[f"frame {_c}"] = lambda x, c=_c: frame(x, c)
SHAPES = ("circle", "square")
for _k in SHAPES:
    for _c in ("red", "green", "blue", "yellow"):
        for _p in PLACES:
            EDITS[f"{_c} {_k} {_p}"] = lambda x, k=_k, c=_c, p=_p: shape(x, k, c, p)

NAMES = list(EDITS)
MAIN = [n for n in NAMES if " circle " not in n and " square " not in n]
MAIN += ["red circle middle", "blue square middle", "yellow circle top left"]
MAIN += ["green square bottom right"]
