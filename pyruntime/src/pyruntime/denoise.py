"""The denoise loop: schedule and steps, as a plain function on tensors.

Same mathematics in the same order as the stock pipelines (tests/test_parity.py). Knows no files and no prompts.
"""

import collections.abc
import math

import numpy
import torch
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from pyruntime.errors import WorkerError

# Called after each step with (steps done, estimate of the finished latents, latents to go on from).
OnStep = collections.abc.Callable[[int, torch.Tensor, torch.Tensor], None]
# Rows and columns of tokens with a leading frame count, as the transformer's RoPE wants them.
Grid = tuple[int, int, int]


def shifted(scheduler: FlowMatchEulerDiscreteScheduler, shift: float) -> FlowMatchEulerDiscreteScheduler:
    """The scheduler of models distilled to few steps, as their authors configure it; shift 0 is the model's own.

    One shift for every size, and the last sigma is not stretched: 2 steps at shift 3 are at 1 and 0.75.
    """
    if not shift:
        return scheduler
    mu = math.log(shift)
    return FlowMatchEulerDiscreteScheduler.from_config(
        scheduler.config, base_shift=mu, max_shift=mu, shift=1.0, shift_terminal=None, use_dynamic_shifting=True,
        time_shift_type="exponential",
    )  # fmt: skip


def schedule(scheduler: FlowMatchEulerDiscreteScheduler, steps: int, tokens: int, device: torch.device) -> torch.Tensor:
    """Set the sigmas for this many steps and output tokens; gives the timesteps (steps,) in 0..1000."""
    config = scheduler.config
    low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    base, top = config.get("base_shift", 0.5), config.get("max_shift", 1.15)
    slope = (top - base) / (high - low)
    mu = tokens * slope + (base - slope * low)
    with numpy.errstate(invalid="ignore"):
        scheduler.set_timesteps(sigmas=numpy.linspace(1.0, 1 / steps, steps), device=device, mu=mu)
    if steps == 1:
        # Stretching the schedule to its last sigma divides 0 by 0 when the last is also the first: stock gives NaN and
        # a black picture. One step goes from pure noise to the end.
        scheduler.sigmas = torch.tensor([1.0, 0.0], device=scheduler.sigmas.device)
        scheduler.timesteps = torch.tensor([1000.0], device=scheduler.timesteps.device)
    return scheduler.timesteps


def denoise(
    transformer: QwenImageTransformer2DModel,
    scheduler: FlowMatchEulerDiscreteScheduler,
    latents: torch.Tensor,
    references: torch.Tensor,
    grids: list[Grid],
    text: torch.Tensor,
    negative: torch.Tensor | None,
    true_cfg_scale: float,
    steps: int,
    on_step: OnStep,
    done: int = 0,
) -> torch.Tensor:
    """Noise (1, S, 64) to latents (1, S, 64), guided by references (1, R, 64) and text (1, T, width).

    grids holds the output's grid, then one per reference. negative None turns guidance off. done: so many steps
    were done before, and latents are what they gave. nan_output when a step gives a number that is not finite.
    """
    tokens = latents.shape[1]
    timesteps = schedule(scheduler, steps, tokens, latents.device)
    scheduler.set_begin_index(done)
    for i, t in enumerate(timesteps[done:], start=done):
        seen = torch.cat([latents, references], dim=1)
        timestep = t.expand(1).to(latents.dtype) / 1000

        def velocity(states: torch.Tensor, seen: torch.Tensor = seen, timestep: torch.Tensor = timestep) -> torch.Tensor:
            out = transformer(
                hidden_states=seen,
                timestep=timestep,
                encoder_hidden_states=states,
                encoder_hidden_states_mask=None,  # all ones: None keeps the attention free of a mask
                img_shapes=[grids],
                return_dict=False,
            )[0]
            return out[:, :tokens]

        v = velocity(text)
        if negative is not None:
            other = velocity(negative)
            combined = other + true_cfg_scale * (v - other)
            v = combined * (torch.norm(v, dim=-1, keepdim=True) / torch.norm(combined, dim=-1, keepdim=True))
        if not torch.isfinite(v).all():
            raise WorkerError("nan_output", f"step {i + 1} of {steps} gave numbers that are not finite")
        finished = latents - scheduler.sigmas[i].to(latents.dtype) * v
        latents = scheduler.step(v, t, latents, return_dict=False)[0].to(latents.dtype)
        on_step(i + 1, finished, latents)
    return latents
