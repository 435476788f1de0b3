"""Pictures to latents and back, by AutoencoderKLQwenImage on one frame.

Knows the causal 3-D network and what of it one frame needs. Does not know prompts or steps.
"""

import collections.abc
import dataclasses
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage, QwenImageCausalConv3d

from pyruntime import weights
from pyruntime.errors import Check, WorkerError

# Side of a latent pixel in picture pixels, and of a patch in latent pixels.
PATCH = 2
# Side of a tile and of what two neighbours share, in latent pixels: 512 and 128 pixels of the picture. Smaller tiles see
# too little of the picture for the attention in the middle of the network; the share hides the seam.
TILE, SHARE = 64, 16


class OneFrameConv(torch.nn.Module):
    """A causal 3-D convolution on a single frame, as the 2-D convolution that it is.

    For one frame the two frames before it are zeros, so only the last temporal tap sees data: a third of the
    multiplications. Float-order class: the largest difference is tested in tests/test_vae.py.
    """

    def __init__(self, conv: QwenImageCausalConv3d) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(conv.weight[:, :, -1].contiguous(), requires_grad=False)
        self.bias = conv.bias
        self.stride = conv.stride[1:]
        self.pad = (conv._padding[2], conv._padding[0])

    def forward(self, x: torch.Tensor, cache_x: None = None) -> torch.Tensor:
        """(1, C, 1, H, W) -> (1, C', 1, H', W')."""
        return torch.nn.functional.conv2d(x[:, :, 0], self.weight, self.bias, self.stride, self.pad).unsqueeze(2)


@dataclasses.dataclass(frozen=True)
class VAE:
    """The autoencoder with the statistics of its latents, shaped (1, z, 1, 1, 1)."""

    model: AutoencoderKLQwenImage
    mean: torch.Tensor
    std: torch.Tensor
    tile: int = 0  # side in latent pixels of what is encoded or decoded at once; 0 is all
    share: int = SHARE

    @property
    def scale(self) -> int:
        """Picture pixels per latent pixel."""
        return 2 ** len(self.model.temperal_downsample)

    def tiles(self, height: int, width: int) -> int:
        """How many tiles latents of this size are worked on in."""
        return len(spans(height, self.tile, self.share)) * len(spans(width, self.tile, self.share))

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """(1, 3, 1, H, W) in -1..1 -> normalised latents (1, z, 1, H/8, W/8); the mode, not a sample.

        Calls the encoder without its feature cache, which for one frame takes the same branches and keeps no clones:
        equal bits, tests/test_parity.py.
        """
        n = self.scale
        return self._joined(self._encode, pixels, n, 1, pixels.shape[3] // n, pixels.shape[4] // n)

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        moments = self.model.quant_conv(self.model.encoder(pixels.to(self.mean.dtype)))
        return (moments.chunk(2, dim=1)[0] - self.mean) / self.std

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Normalised latents (1, z, 1, h, w) -> pixels (1, 3, H, W) in -1..1; nan_output when one is not finite."""
        # Divided by the inverse, as the stock pipeline does: the same bits.
        raw = latents.to(self.mean.dtype) / (1.0 / self.std) + self.mean
        pixels = self._joined(self._decode, raw, 1, self.scale, raw.shape[3], raw.shape[4])
        if not torch.isfinite(pixels).all():  # before the clamp, which makes white of infinity
            raise WorkerError("nan_output", "the decoded picture holds numbers that are not finite")
        return torch.clamp(pixels, -1.0, 1.0)[:, :, 0]

    def _decode(self, raw: torch.Tensor) -> torch.Tensor:
        return self.model.decoder(self.model.post_quant_conv(raw))

    def _joined(
        self, work: collections.abc.Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, into: int, out: int, h: int, w: int
    ) -> torch.Tensor:
        """Work on x (1, C, 1, into h, into w) tile by tile -> (1, C', 1, out h, out w); where tiles overlap, one fades into the other."""
        rows, columns = spans(h, self.tile, self.share), spans(w, self.tile, self.share)
        if len(rows) * len(columns) == 1:
            return work(x)
        tiles = [(top, bottom, left, right) for top, bottom in rows for left, right in columns]
        at = [(slice(t * into, b * into), slice(left * into, right * into)) for t, b, left, right in tiles]
        done = [work(x[:, :, :, tall, wide]) for tall, wide in at]
        total = torch.zeros((1, done[0].shape[1], 1, h * out, w * out), dtype=torch.float32, device=x.device)
        weight = torch.zeros((h * out, w * out), dtype=torch.float32, device=x.device)
        for tile, (top, bottom, left, right) in zip(done, tiles, strict=True):
            fade = ramp(top, bottom, h, self.share, out)[:, None] * ramp(left, right, w, self.share, out)[None, :]
            fade = fade.to(x.device)
            total[:, :, :, top * out : bottom * out, left * out : right * out] += tile * fade
            weight[top * out : bottom * out, left * out : right * out] += fade
        return (total / weight).to(x.dtype)


def spans(size: int, tile: int, share: int) -> list[tuple[int, int]]:
    """Begin and end of the tiles along a side: overlapping by at least share, the last one moved back to the edge."""
    if not 0 < tile < size:
        return [(0, size)]
    return [(begin, begin + tile) for begin in (min(b, size - tile) for b in range(0, size - share, tile - share))]


def ramp(begin: int, end: int, size: int, share: int, scale: int) -> torch.Tensor:
    """The weight of each pixel of a tile along a side: rising over the share where there is a neighbour, else 1."""
    length, edge = (end - begin) * scale, share * scale
    at = torch.arange(length, dtype=torch.float32) + 0.5
    rise = (at / edge).clamp(max=1.0) if begin > 0 else torch.ones(length)
    fall = ((length - at) / edge).clamp(max=1.0) if end < size else torch.ones(length)
    return rise * fall


def pack(latents: torch.Tensor) -> torch.Tensor:
    """(1, z, 1, h, w) -> (1, h/2 * w/2, 4 z): one token per 2x2 patch."""
    _, z, _, h, w = latents.shape
    patches = latents.reshape(1, z, h // PATCH, PATCH, w // PATCH, PATCH).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(1, (h // PATCH) * (w // PATCH), z * PATCH * PATCH)


def unpack(tokens: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """(1, h/2 * w/2, 4 z) -> (1, z, 1, h, w), the inverse of pack."""
    z = tokens.shape[2] // (PATCH * PATCH)
    patches = tokens.view(1, h // PATCH, w // PATCH, z, PATCH, PATCH).permute(0, 3, 1, 4, 2, 5)
    return patches.reshape(1, z, 1, h, w)


def load(
    folder: Path,
    device: torch.device,
    dtype: torch.dtype,
    check: Check,
    loaded: weights.Loaded,
    *,
    as_2d: bool = True,
    tile: int = 0,
) -> VAE:
    """Read the vae of a model directory. as_2d replaces every causal convolution by OneFrameConv."""
    config = AutoencoderKLQwenImage.load_config(folder / "vae", local_files_only=True)
    with weights.without_memory():
        model = AutoencoderKLQwenImage.from_config(config).eval()
    weights.load(model, weights.shards(folder / "vae"), device, dtype, check, loaded)
    if as_2d:
        to_2d(model)
    for module in model.modules():
        if not any(module.children()):  # a cancel is seen within one layer, also inside the long decode
            module.register_forward_pre_hook(lambda *_: check())
    shape = (1, model.config.z_dim, 1, 1, 1)
    mean = torch.tensor(model.config.latents_mean).view(shape).to(device, dtype)
    std = torch.tensor(model.config.latents_std).view(shape).to(device, dtype)
    return VAE(model, mean, std, tile)


def to_2d(model: torch.nn.Module) -> None:
    """Replace the causal convolutions in place."""
    for name, module in list(model.named_modules()):
        if isinstance(module, QwenImageCausalConv3d):
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, OneFrameConv(module))
