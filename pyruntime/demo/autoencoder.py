"""The demo's autoencoder for single pictures: AutoencoderKLQwenImage without its time axis.

Knows layers and the names of their weights; does not know training. Its state dict has the names
of diffusers' class, and `to_diffusers` gives the tensors their 3-D shapes: for one frame a causal
convolution only sees its last temporal tap, so the two networks compute the same. The attention in
the middle is left out here (its output projection is zero there): nothing depends on the size.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import nn

BASE, MULTIPLIERS, BLOCKS, LATENT = 24, (1, 2, 4, 4), 2, 16


class Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = width**0.5
        self.gamma = nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.normalize(x.float(), dim=1).to(x.dtype) * self.scale * self.gamma


class Residual(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = Norm(inside), nn.Conv2d(inside, outside, 3, padding=1)
        self.norm2, self.conv2 = Norm(outside), nn.Conv2d(outside, outside, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return self.conv2(F.silu(self.norm2(h))) + self.conv_shortcut(x)


class Down(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, width, 3, stride=2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.resample(x)


class Up(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.resample = nn.Sequential(
            nn.Upsample(scale_factor=2.0, mode="nearest-exact"), nn.Conv2d(width, width // 2, 3, padding=1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.resample(x)


class Middle(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.resnets = nn.Sequential(Residual(width, width), Residual(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.resnets(x)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = [BASE * m for m in (1, *MULTIPLIERS)]
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        layers: list[nn.Module] = []
        for i, (inside, outside) in enumerate(itertools.pairwise(widths)):
            layers += [Residual(inside if b == 0 else outside, outside) for b in range(BLOCKS)]
            if i < len(MULTIPLIERS) - 1:
                layers.append(Down(outside))
        self.down_blocks = nn.Sequential(*layers)
        self.mid_block = Middle(widths[-1])
        self.norm_out = Norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], 2 * LATENT, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.mid_block(self.down_blocks(self.conv_in(x)))
        return self.conv_out(F.silu(self.norm_out(h)))


class UpBlock(nn.Module):
    def __init__(self, inside: int, outside: int, last: bool) -> None:
        super().__init__()
        self.resnets = nn.Sequential(*(Residual(inside if b == 0 else outside, outside) for b in range(BLOCKS + 1)))
        self.upsamplers = nn.Sequential() if last else nn.Sequential(Up(outside))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.upsamplers(self.resnets(x))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = [BASE * m for m in (MULTIPLIERS[-1], *MULTIPLIERS[::-1])]
        self.conv_in = nn.Conv2d(LATENT, widths[0], 3, padding=1)
        self.mid_block = Middle(widths[0])
        blocks = []
        for i, (inside, outside) in enumerate(itertools.pairwise(widths)):
            blocks.append(UpBlock(inside if i == 0 else inside // 2, outside, i == len(MULTIPLIERS) - 1))
        self.up_blocks = nn.Sequential(*blocks)
        self.norm_out = Norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        h = self.up_blocks(self.mid_block(self.conv_in(z)))
        return self.conv_out(F.silu(self.norm_out(h)))


class Autoencoder(nn.Module):
    """Pictures (N, 3, H, W) in -1..1 to latents (N, 16, H/8, W/8) and back. Sides are multiples of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.quant_conv = nn.Conv2d(2 * LATENT, 2 * LATENT, 1)
        self.post_quant_conv = nn.Conv2d(LATENT, LATENT, 1)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.quant_conv(self.encoder(x))[:, :LATENT]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.post_quant_conv(z))

    def forward(self, x: torch.Tensor, noise: torch.Tensor, amount: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The picture again, and its latents. Noise is scaled by amount (N, 1, 1, 1) and each channel's spread."""
        z = self.encode(x)
        spread = z.detach().float().std((0, 2, 3), keepdim=True)
        return self.decode(z + (noise * amount * spread).to(z.dtype)), z


def to_diffusers(state: dict[str, torch.Tensor], shapes: dict[str, torch.Size]) -> dict[str, torch.Tensor]:
    """The same network as weights of AutoencoderKLQwenImage, whose tensors have the given shapes."""
    known, out = set(), {}
    for name, shape in shapes.items():
        value = torch.zeros(shape)
        if name in state:
            known.add(name)
            if len(shape) == 5:
                value[:, :, -1] = state[name].float()
            else:
                value = state[name].float().reshape(shape)
        elif ".time_conv." not in name and ".attentions." not in name:
            raise KeyError(f"{name} was not trained")
        out[name] = torch.ones(shape) if name.endswith("attentions.0.norm.gamma") else value
    if missing := set(state) - known:
        raise KeyError(f"diffusers has no {sorted(missing)[0]}")
    return out
