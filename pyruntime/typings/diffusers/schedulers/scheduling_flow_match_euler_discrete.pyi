# What diffusers 0.42 annotates wrongly or not at all, as far as the worker uses it.
from os import PathLike
from typing import Any, Self

import numpy.typing
from torch import Tensor, device

class FlowMatchEulerDiscreteScheduler:
    config: dict[str, Any]
    sigmas: Tensor
    timesteps: Tensor
    @classmethod
    def from_pretrained(cls, folder: PathLike[str], *, local_files_only: bool) -> Self: ...
    @classmethod
    def from_config(cls, config: dict[str, Any], **changes: Any) -> Self: ...
    def set_timesteps(self, *, sigmas: numpy.typing.NDArray[Any], device: device, mu: float) -> None: ...
    def set_begin_index(self, begin_index: int = ...) -> None: ...
    def step(self, model_output: Tensor, timestep: Tensor, sample: Tensor, *, return_dict: bool) -> tuple[Tensor]: ...
