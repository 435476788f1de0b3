"""Does this device compute right? The operations that an edit is made of, small ones, against the CPU in float32.

`python -I -m pyruntime.numeric auto` prints one line of JSON. Knows nothing of models and of the wire. The shapes are
those that were seen to go wrong on some device: head sizes 64, 80, 128 and 384, grouped causal attention, a mask,
views that are not contiguous, large inner dimensions, convolutions.
"""

import json
import sys
import typing

import torch

from pyruntime import device

# Largest difference relative to the largest value. BF16 keeps 8 bits, and the sums are long.
LIMITS = {torch.bfloat16: 0.04, torch.float32: 1e-4}

Operation = tuple[str, typing.Callable[..., torch.Tensor], list[torch.Tensor]]


def operations() -> list[Operation]:
    """Name, function and inputs, the same numbers every time."""
    generator = torch.Generator().manual_seed(1)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    def attend(heads: int, size: int, length: int = 160, kv_heads: int = 0) -> list[torch.Tensor]:
        # (1, length, heads, size) -> (1, heads, length, size): a view that is not contiguous, as in the model
        return [numbers(1, length, h, size).transpose(1, 2) for h in (heads, kv_heads or heads, kv_heads or heads)]

    sdpa = torch.nn.functional.scaled_dot_product_attention
    mask = torch.ones(160, 160, dtype=torch.bool).tril(40)
    return [
        ("attention of the transformer", sdpa, attend(24, 128)),
        ("causal attention of the text encoder", lambda q, k, v: sdpa(q, k, v, is_causal=True, enable_gqa=True), attend(28, 128, 96, 4)),
        ("masked attention of the vision tower", lambda q, k, v: sdpa(q, k, v, attn_mask=mask.to(q.device)), attend(16, 80)),
        ("attention of the decoder", sdpa, attend(1, 384)),
        ("linear layer", torch.nn.functional.linear, [numbers(64, 3072), numbers(256, 3072) / 55]),
        ("convolution", lambda x, w: torch.nn.functional.conv2d(x, w, padding=1), [numbers(1, 96, 40, 40), numbers(96, 96, 3, 3) / 30]),
        ("normalisation", lambda x: torch.nn.functional.layer_norm(x, (3072,)), [numbers(64, 3072)]),
        ("softmax", lambda x: torch.softmax(x, -1), [numbers(64, 512)]),
    ]


def compare(operation: Operation, where: device.Device) -> float:
    """Largest difference between device and CPU, relative to the largest value; infinity when one is not finite."""
    _, function, inputs = operation
    rounded = [x.to(where.dtype) for x in inputs]
    want = function(*[x.float() for x in rounded])
    have = function(*[x.to(where.torch) for x in rounded]).float().cpu()
    if not torch.isfinite(have).all():
        return float("inf")
    return ((have - want).abs().max() / want.abs().max()).item()


def main(wanted: str) -> None:
    """Print what came out."""
    where = device.choose(wanted)
    with torch.inference_mode():
        checks = [{"name": o[0], "error": min(compare(o, where), 1e9), "limit": LIMITS[where.dtype]} for o in operations()]
    sys.stdout.write(json.dumps({"device": where.kind, "checks": checks}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
