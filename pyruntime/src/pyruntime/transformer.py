"""The transformer of Qwen-Image: its weights and its cancel points. The mathematics is diffusers' own class."""

from pathlib import Path

import torch
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel

from pyruntime import weights
from pyruntime.errors import Check


def load(folder: Path, device: torch.device, dtype: torch.dtype, check: Check, loaded: weights.Loaded) -> QwenImageTransformer2DModel:
    """Read the transformer of a model directory. Every block asks check before it works."""
    config = QwenImageTransformer2DModel.load_config(folder / "transformer", local_files_only=True)
    with weights.without_memory():
        model = QwenImageTransformer2DModel.from_config(config).eval()
    weights.load(model, weights.shards(folder / "transformer"), device, dtype, check, loaded)
    for block in model.transformer_blocks:
        block.register_forward_pre_hook(lambda *_: check())
    return model
