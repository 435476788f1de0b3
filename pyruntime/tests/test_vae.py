"""The autoencoder on one frame: without its feature cache equal bits, as 2-D convolutions the same but for rounding."""

import pytest
import stock
import torch
from conftest import load, picture
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import QwenImageCausalConv3d

from pyruntime import vae
from pyruntime.edit import to_tensor

# Largest difference between the two ways in float32 on the demo model, with room for another machine's rounding: seen
# on Linux x86-64 from 96x160 to 512x512 pixels 2.9e-6 of latents up to 4.2, and 1.2e-6 of pixels in -1..1.
LATENTS_MAX = 3e-5
PIXELS_MAX = 1e-5


@pytest.fixture(scope="module")
def demo():
    return load(stock.DEMO), load(stock.DEMO, as_2d=True)


@pytest.fixture(scope="module")
def pixels(demo):
    return to_tensor(picture(96, 160), demo[0])


@torch.inference_mode()
def test_the_cacheless_way_gives_the_bits_of_the_stock_class(demo, pixels):
    plain, _ = demo
    theirs = plain.vae.model.encode(pixels).latent_dist.mode()
    ours = plain.vae.encode(pixels)
    assert torch.equal(ours, (theirs - plain.vae.mean) / plain.vae.std)
    raw = ours / (1.0 / plain.vae.std) + plain.vae.mean
    assert torch.equal(plain.vae.decode(ours), plain.vae.model.decode(raw).sample[:, :, 0])


@torch.inference_mode()
def test_as_2d_differs_by_rounding_only(demo, pixels):
    plain, flat = demo
    latents = plain.vae.encode(pixels)
    assert latents.abs().max() > 0.5
    encode_difference = (flat.vae.encode(pixels) - latents).abs().max().item()
    decode_difference = (flat.vae.decode(latents) - plain.vae.decode(latents)).abs().max().item()
    assert encode_difference < LATENTS_MAX, encode_difference
    assert decode_difference < PIXELS_MAX, decode_difference


def test_as_2d_leaves_no_3d_convolution_and_drops_the_dead_taps(demo):
    plain, flat = demo
    kinds = [type(m) for m in flat.vae.model.modules()]
    assert QwenImageCausalConv3d not in kinds and vae.OneFrameConv in kinds
    weights = [sum(p.numel() for p in m.vae.model.parameters()) for m in demo]
    assert weights[1] < 0.45 * weights[0]
    assert QwenImageCausalConv3d in [type(m) for m in plain.vae.model.modules()]


@torch.inference_mode()
@pytest.mark.parametrize(("kernel", "stride", "padding"), [((3, 3, 3), 1, 1), ((1, 1, 1), 1, 0), ((3, 1, 1), 1, 0)])
def test_one_frame_sees_the_last_tap_only(kernel, stride, padding):
    torch.manual_seed(3)
    padding = (1, 0, 0) if kernel == (3, 1, 1) else padding
    conv = QwenImageCausalConv3d(5, 7, kernel, stride, padding)
    x = torch.randn(1, 5, 1, 9, 12)
    torch.testing.assert_close(vae.OneFrameConv(conv)(x), conv(x), rtol=0, atol=1e-5)


def test_scale_is_that_of_the_real_model(demo):
    assert demo[0].vae.scale == 8
