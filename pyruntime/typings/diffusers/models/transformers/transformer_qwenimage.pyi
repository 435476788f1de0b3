# What diffusers 0.42 annotates wrongly or not at all, as far as the worker uses it.
from os import PathLike
from typing import Any, Protocol, Self

from torch import Tensor
from torch.nn import Module, ModuleList

class Config(Protocol):
    in_channels: int
    zero_cond_t: bool

class QwenImageTransformer2DModel(Module):
    config: Config
    transformer_blocks: ModuleList
    @classmethod
    def load_config(cls, folder: PathLike[str], *, local_files_only: bool) -> dict[str, Any]: ...
    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self: ...
    def __call__(
        self,
        *,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_mask: Tensor | None,
        img_shapes: list[list[tuple[int, int, int]]],
        return_dict: bool,
    ) -> tuple[Tensor]: ...
