# What diffusers 0.42 annotates wrongly or not at all, as far as the worker uses it.
from os import PathLike
from typing import Any, Protocol, Self

from torch.nn import Conv3d, Module

class Config(Protocol):
    z_dim: int
    latents_mean: list[float]
    latents_std: list[float]

class QwenImageCausalConv3d(Conv3d):
    _padding: tuple[int, int, int, int, int, int]

class AutoencoderKLQwenImage(Module):
    config: Config
    encoder: Module
    decoder: Module
    quant_conv: Module
    post_quant_conv: Module
    temperal_downsample: list[bool]
    @classmethod
    def load_config(cls, folder: PathLike[str], *, local_files_only: bool) -> dict[str, Any]: ...
    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self: ...
