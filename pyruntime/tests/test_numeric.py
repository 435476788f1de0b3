"""The device's self-test: right arithmetic passes in every format, wrong arithmetic does not."""

import pytest
import torch

from pyruntime import device, numeric

BF16 = device.Device("cpu", torch.bfloat16, "CPU")
FP32 = device.Device("cpu", torch.float32, "CPU")


@pytest.mark.parametrize("where", [FP32, BF16], ids=["fp32", "bf16"])
def test_right_arithmetic_passes_with_room(where: device.Device) -> None:
    for operation in numeric.operations():
        assert numeric.compare(operation, where) < numeric.LIMITS[where.dtype] / 4, operation[0]


def test_wrong_arithmetic_fails() -> None:
    sdpa = torch.nn.functional.scaled_dot_product_attention

    def future(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        # as torch 2.10 on MPS: causal attention that sees the future in 16 bit
        return sdpa(q, k, v, is_causal=q.dtype == torch.float32, enable_gqa=True)

    _, _, inputs = numeric.operations()[1]
    assert numeric.compare(("causal", future, inputs), BF16) > numeric.LIMITS[torch.bfloat16]


def test_what_is_not_finite_is_infinitely_wrong() -> None:
    def broken(x: torch.Tensor) -> torch.Tensor:
        return x / 0 if x.dtype == torch.bfloat16 else x

    assert numeric.compare(("broken", broken, [torch.ones(4)]), BF16) == float("inf")
