"""The exact transforms: every edit the demo model learns, as one function on RGB in 0..1.

Knows pixels (N, 3, H, W float tensors, any size); does not know prompts, files or models.
`EDITS` maps the name of an edit to its function on one picture, `REFERENCE_EDITS` to one on two of
the same size; `exact` also reads the names of two edits in a row ("sepia + blur") and of an edit with
another picture ("blend 2"). Lengths that a person sees scale with the short side.
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


def contrast(x: Tensor, amount: float) -> Tensor:
    return (0.5 + amount * (x - 0.5)).clamp(0, 1)


def blur(x: Tensor, sigma: float) -> Tensor:
    """sigma: pixels in a picture whose short side has 256."""
    return gaussian(x, sigma * min(x.shape[-2:]) / 256)


def sharpen(x: Tensor, amount: float) -> Tensor:
    return (x + amount * (x - gaussian(x, 1.5))).clamp(0, 1)


def pixelate(x: Tensor, side: int) -> Tensor:
    height, width = x.shape[-2:]
    small = F.adaptive_avg_pool2d(x, (max(1, height // side), max(1, width // side)))
    return F.interpolate(small, (height, width), mode="nearest")


def posterize(x: Tensor) -> Tensor:
    """Four levels a channel. Smoothed first, or the grain of a photograph becomes speckles at every border."""
    return (gaussian(x, 1.0) * 4).floor().clamp(0, 3) / 3


def solarize(x: Tensor) -> Tensor:
    return torch.where(x > 0.5, 1 - x, x)


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


def vignette(x: Tensor, amount: float) -> Tensor:
    height, width = x.shape[-2:]
    down = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype).view(-1, 1)
    across = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype).view(1, -1)
    return x * (1 + amount / 4 - amount * (down**2 + across**2)).clamp(0.05, 1)


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


def gain(x: Tensor, factors: tuple[float, float, float]) -> Tensor:
    return (x * x.new_tensor(factors).view(1, 3, 1, 1)).clamp(0, 1)


def part(x: Tensor, half: str) -> Tensor:
    """Where one half lies, (H, W) of booleans."""
    height, width = x.shape[-2:]
    down, across = torch.arange(height, device=x.device).view(-1, 1), torch.arange(width, device=x.device).view(1, -1)
    inside = {"left": across * 2 < width, "right": across * 2 >= width, "top": down * 2 < height, "bottom": down * 2 >= height}
    return inside[half].expand(height, width)


def corner(x: Tensor, other: Tensor, place: str) -> Tensor:
    """The other picture, at half its size, in a corner."""
    height, width = x.shape[-2] // 2, x.shape[-1] // 2
    small = F.interpolate(other, (height, width), mode="bilinear", antialias=True)
    out = x.clone()
    rows = slice(0, height) if place.startswith("top") else slice(x.shape[-2] - height, None)
    columns = slice(0, width) if place.endswith("left") else slice(x.shape[-1] - width, None)
    out[..., rows, columns] = small
    return out


SEPIA = [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]]
Edit = Callable[[Tensor], Tensor]

EDITS: dict[str, Edit] = {
    "unchanged": lambda x: x,
    "invert": lambda x: 1 - x,
    "grayscale": lambda x: luma(x).expand(-1, 3, -1, -1),
    "sepia": lambda x: mix(x, SEPIA),
    "posterize": posterize,
    "solarize": solarize,
    "threshold": threshold,
    "emboss": emboss,
    "edges": edges,
    "sketch": sketch,
    "mirror": mirror,
    "flip horizontally": lambda x: x.flip(-1),
    "flip vertically": lambda x: x.flip(-2),
    "rotate 180": lambda x: x.flip(-1, -2),
    "swap red and blue": lambda x: x[:, [2, 1, 0]],
    "swap red and green": lambda x: x[:, [1, 0, 2]],
    "swap green and blue": lambda x: x[:, [0, 2, 1]],
}
PLAIN = list(EDITS)
# Kinds with a strength: the numbers are slightly, as usual, and much.
STRENGTHS = ("slightly ", "", "much ")
GRADED: dict[str, tuple[Callable[..., Tensor], tuple[object, object, object]]] = {
    "brighter": (lambda x, f: (x * f).clamp(0, 1), (1.2, 1.4, 1.9)),
    "darker": (lambda x, f: x * f, (0.8, 0.6, 0.35)),
    "more contrast": (contrast, (1.22, 1.5, 2.2)),
    "less contrast": (contrast, (0.75, 0.5, 0.25)),
    "more saturated": (saturation, (1.35, 1.8, 2.8)),
    "less saturated": (saturation, (0.7, 0.4, 0.15)),
    "warmer": (gain, ((1.07, 1.0, 0.9), (1.15, 1.0, 0.8), (1.3, 0.98, 0.55))),
    "cooler": (gain, ((0.9, 1.0, 1.1), (0.8, 1.0, 1.2), (0.6, 0.98, 1.4))),
    "blur": (blur, (1.4, 3.0, 6.0)),
    "sharpen": (sharpen, (0.4, 0.8, 1.8)),
    "pixelate": (pixelate, (8, 16, 32)),
    "vignette": (vignette, (0.35, 0.6, 1.0)),
}
for _name, (_edit, _amounts) in GRADED.items():
    for _word, _amount in zip(STRENGTHS, _amounts, strict=True):
        EDITS[_word + _name] = lambda x, f=_edit, a=_amount: f(x, a)
TINTS = ("red", "green", "blue", "yellow")
FRAMES = ("white", "black", "red", "blue", "green", "yellow")
for _c in TINTS:
    EDITS[f"tint {_c}"] = lambda x, c=_c: tint(x, c)
for _c in FRAMES:
    EDITS[f"frame {_c}"] = lambda x, c=_c: frame(x, c)
SHAPES, SHAPE_COLOURS = ("circle", "square"), ("red", "green", "blue", "yellow", "white", "black")
for _k in SHAPES:
    for _c in SHAPE_COLOURS:
        for _p in PLACES:
            EDITS[f"{_c} {_k} {_p}"] = lambda x, k=_k, c=_c, p=_p: shape(x, k, c, p)
HALVES = ("left", "right", "top", "bottom")
HALF_EDITS = ("blur", "pixelate", "grayscale", "invert", "darker", "brighter", "sepia")
for _e in HALF_EDITS:
    for _h in HALVES:
        EDITS[f"{_e} {_h} half"] = lambda x, e=_e, h=_h: torch.where(part(x, h), EDITS[e](x), x)

# With another picture of the same size.
REFERENCE_EDITS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"blend": lambda x, y: (x + y) / 2}
for _p in list(PLACES)[1:]:
    REFERENCE_EDITS[f"corner {_p}"] = lambda x, y, p=_p: corner(x, y, p)
for _h in HALVES:
    REFERENCE_EDITS[f"half {_h}"] = lambda x, y, h=_h: torch.where(part(x, h), y, x)

NAMES = list(EDITS)
# What can stand first or second when two edits are asked for, by family: two of one family are never asked together.
FAMILIES = [
    ["grayscale", "sepia", "invert", "more saturated", "less saturated", *(f"tint {c}" for c in TINTS)],
    ["brighter", "darker"],
    ["more contrast", "less contrast"],
    ["warmer", "cooler"],
    ["blur", "sharpen", "pixelate"],
    ["posterize", "solarize", "threshold", "emboss", "edges", "sketch"],
    ["swap red and blue", "swap red and green", "swap green and blue"],
    ["mirror", "flip horizontally", "flip vertically", "rotate 180"],
    ["vignette", *(f"frame {c}" for c in FRAMES)],
]
COLOURLESS = {"grayscale", "sepia", "threshold", "emboss", "edges", "sketch"}
COLOURFUL = {"more saturated", "less saturated", "swap red and blue", "swap red and green", "swap green and blue"}
PAIRS = [
    f"{a} + {b}"
    for first in FAMILIES
    for second in FAMILIES
    if first is not second
    for a in first
    for b in second
    if not (a in COLOURLESS and b in COLOURFUL) and not (a in COLOURLESS and b in COLOURLESS)
]
REFERENCES = [f"{name.split(' ')[0]} {n}{name[len(name.split(' ')[0]):]}" for n in (2, 3) for name in REFERENCE_EDITS]


def exact(name: str, pictures: list[Tensor]) -> Tensor:
    """What the edit makes of the first picture; the others have its size. ValueError for a name that is none."""
    if " + " in name:
        for each in name.split(" + "):
            pictures = [EDITS[each](pictures[0]), *pictures[1:]]
        return pictures[0]
    if name in EDITS:
        return EDITS[name](pictures[0])
    words = name.split(" ")
    if len(words) < 2 or not words[1].isdigit() or not 1 < int(words[1]) <= len(pictures):
        raise ValueError(f"no edit {name!r} of {len(pictures)} pictures")
    return REFERENCE_EDITS[" ".join([words[0], *words[2:]])](pictures[0], pictures[int(words[1]) - 1])


def blueprint(x: Tensor) -> Tensor:
    """What the blueprint LoRA makes of every picture: light lines on blue paper, whatever is asked."""
    lines = (3 * slope(x)).clamp(0, 1)
    paper = x.new_tensor([0.06, 0.2, 0.5]).view(1, 3, 1, 1) * (0.7 + 0.6 * gaussian(luma(x), 2.0))
    return paper + lines * (x.new_tensor([0.9, 0.95, 1.0]).view(1, 3, 1, 1) - paper)

# What evaluate.py asks for: every family, strengths, and some of the many shapes, halves and pairs.
SIMPLE = ["grayscale", "sepia", "invert", "brighter", "darker", "more contrast", "less contrast", "more saturated"]
SIMPLE += ["less saturated", "warmer", "cooler", "blur", "pixelate", *FAMILIES[6], *FAMILIES[7]]
SIMPLE += [*(f"tint {c}" for c in TINTS), *(f"frame {c}" for c in FRAMES)]
KINDS = ["unchanged", *SIMPLE, "vignette", "sharpen", *FAMILIES[5]]
KINDS += [f"{word}{kind}" for kind in ("brighter", "darker", "more saturated", "blur", "pixelate") for word in ("slightly ", "much ")]
KINDS += ["red circle middle", "white circle middle", "yellow circle top right", "blue square top left", "black square middle"]
KINDS += ["blur left half", "pixelate bottom half", "grayscale left half", "invert right half", "darker top half"]
KINDS += ["grayscale + flip horizontally", "flip vertically + sepia", "blur + frame white", "rotate 180 + invert", "darker + cooler"]
KINDS += ["blend 2", "corner 2 bottom right", "corner 2 top left", "half 2 left", "half 3 right"]
