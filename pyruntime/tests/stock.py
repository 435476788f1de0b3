"""The oracle: the stock pipelines of diffusers, told to do the same edit as the worker; and small models for both.

The one place that patches the stock pipelines. Two things of them are not what the worker is measured against: they
always work on one megapixel, and with transformers 5 they encode the pictures at wrong positions, silently, because
they leave out `mm_token_type_ids`. Everything else runs as published.
"""

import collections.abc
import contextlib
import dataclasses
import json
import shutil
import typing
from pathlib import Path

import diffusers.pipelines.qwenimage.pipeline_qwenimage_edit as stock_edit
import diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus as stock_plus
import torch
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
from PIL import Image
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

DEMO = Path(__file__).parents[1] / "demo" / "model"

# Width of the text encoder of a small model; half its length is a rotary table of 4 numbers in 3 sections.
WIDTH = 32
Z = 4


@dataclasses.dataclass(frozen=True)
class Output:
    """What the stock pipeline made of an edit: latents (1, S, 4 z), pixels (1, 3, H, W) in -1..1, and the picture."""

    latents: torch.Tensor
    pixels: torch.Tensor
    image: Image.Image


def build(folder: Path, *, plus: bool, zero_cond_t: bool = False, seed: int = 0) -> Path:
    """Write a model directory with random weights: the classes and files of the real one, in a few hundred kB.

    Tokenizer, processor and scheduler are the demo model's, so the prefix has 64 tokens as the real one has.
    """
    torch.manual_seed(seed)
    for part in ("tokenizer", "processor", "scheduler"):
        shutil.copytree(DEMO / part, folder / part)
    transformer = QwenImageTransformer2DModel(
        patch_size=2, in_channels=4 * Z, out_channels=Z, num_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=WIDTH, guidance_embeds=False, axes_dims_rope=(8, 4, 4), zero_cond_t=zero_cond_t,
    )  # fmt: skip
    transformer.save_pretrained(folder / "transformer")
    vae = AutoencoderKLQwenImage(
        base_dim=8, z_dim=Z, dim_mult=[1, 1, 2, 2], num_res_blocks=1, temperal_downsample=[False, True, True],
        latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[1.5, 0.7, 1.1, 0.9],
    )  # fmt: skip
    with torch.no_grad():
        vae.decoder.conv_out.weight *= 4  # a random decoder gives grey; this one gives a picture with contrast
    vae.save_pretrained(folder / "vae")
    text_encoder(Qwen2_5_VLConfig.from_pretrained(DEMO / "text_encoder")).save_pretrained(folder / "text_encoder")
    name = "QwenImageEditPlusPipeline" if plus else "QwenImageEditPipeline"
    index = json.loads((DEMO / "model_index.json").read_text()) | {"_class_name": name}
    (folder / "model_index.json").write_text(json.dumps(index))
    preview = {"matrix": [[0.1, 0.2, 0.3]] * Z, "bias": [0.5, 0.5, 0.5]}
    spec = {"id": "small", "class": name, "max_images": 3 if plus else 1, "preview": preview}
    (folder / "qie.json").write_text(json.dumps(spec))
    return folder


def text_encoder(demo: Qwen2_5_VLConfig) -> Qwen2_5_VLForConditionalGeneration:
    """A small Qwen2.5-VL with the demo's vocabulary; its pictures move the hidden states of the words after them."""
    text = demo.text_config.to_dict() | {
        "hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "layer_types": ["full_attention"] * 2, "tie_word_embeddings": False,
        "rope_parameters": {"mrope_section": [1, 1, 2], "rope_theta": 1e6, "rope_type": "default"},
        "initializer_range": 0.3,
    }  # fmt: skip
    vision = demo.vision_config.to_dict() | {
        "depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": WIDTH,
        "initializer_range": 0.3,
    }  # fmt: skip
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    ids = {name: getattr(demo, name) for name in names}
    return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False, **ids))


def pipeline(folder: Path) -> typing.Any:
    """The stock pipeline of a model directory in float32 on the CPU, its text encoding repaired."""
    name = json.loads((folder / "model_index.json").read_text())["_class_name"]
    kind = stock_plus.QwenImageEditPlusPipeline if "Plus" in name else stock_edit.QwenImageEditPipeline
    pipe = kind.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    image_token = pipe.text_encoder.config.image_token_id

    def repair(module: torch.nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        kwargs.setdefault("mm_token_type_ids", (kwargs["input_ids"] == image_token).int())
        return args, kwargs

    pipe.text_encoder.register_forward_pre_hook(repair, with_kwargs=True)
    return pipe


@contextlib.contextmanager
def areas(reference: int, condition: int) -> collections.abc.Iterator[None]:
    """Let the stock pipelines see references and conditions of these areas in pixels, instead of one megapixel."""
    calculate = stock_edit.calculate_dimensions
    sizes = stock_plus.VAE_IMAGE_SIZE, stock_plus.CONDITION_IMAGE_SIZE
    stock_edit.calculate_dimensions = lambda _area, ratio: calculate(reference, ratio)
    stock_plus.VAE_IMAGE_SIZE, stock_plus.CONDITION_IMAGE_SIZE = reference, condition
    try:
        yield
    finally:
        stock_edit.calculate_dimensions = calculate
        stock_plus.VAE_IMAGE_SIZE, stock_plus.CONDITION_IMAGE_SIZE = sizes


def edit(
    pipe: typing.Any,
    images: list[Image.Image],
    prompt: str,
    *,
    negative_prompt: str | None = None,
    true_cfg_scale: float = 1.0,
    steps: int,
    seed: int,
    size: tuple[int, int],
    ref_area: int,
    cond_area: int,
) -> Output:
    """Run the stock pipeline once; size is the width and height that it computes."""
    seen: dict[str, torch.Tensor] = {}

    def keep_latents(_pipe: object, _step: int, _t: object, values: dict) -> dict:
        seen["latents"] = values["latents"]
        return values

    decode = pipe.vae.decode

    def keep_pixels(*args: typing.Any, **kwargs: typing.Any) -> typing.Any:
        decoded = decode(*args, **kwargs)
        seen["pixels"] = decoded[0][:, :, 0]
        return decoded

    pipe.vae.decode = keep_pixels
    try:
        with areas(ref_area, cond_area):
            image = pipe(
                image=images if "Plus" in type(pipe).__name__ else images[0],
                prompt=prompt, negative_prompt=negative_prompt, true_cfg_scale=true_cfg_scale,
                width=size[0], height=size[1], num_inference_steps=steps,
                generator=torch.Generator("cpu").manual_seed(seed), callback_on_step_end=keep_latents,
            ).images[0]  # fmt: skip
    finally:
        pipe.vae.decode = decode
    return Output(seen["latents"], seen["pixels"], image)
