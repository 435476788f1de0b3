"""The transformer of Qwen-Image: its shapes and its cancel points. The mathematics is diffusers' own class."""

from pathlib import Path

from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel

from pyruntime import weights
from pyruntime.device import Device
from pyruntime.errors import Check
from pyruntime.part import Part


def build(folder: Path, device: Device, check: Check) -> tuple[QwenImageTransformer2DModel, Part]:
    """The transformer of a model directory without its weights, which come by its part. Every block asks check first."""
    config = QwenImageTransformer2DModel.load_config(folder / "transformer", local_files_only=True)
    with weights.without_memory():
        model = QwenImageTransformer2DModel.from_config(config).eval()
    for block in model.transformer_blocks:
        block.register_forward_pre_hook(lambda *_: check())
    return model, Part(model, weights.shards(folder / "transformer"), device.torch, device.dtype)
