"""What the transformer reads: the instruction together with the pictures, as hidden states of Qwen2.5-VL.

Knows the templates of both model classes and the picture preprocessing of Qwen2-VL (done here in torch, so that the
product needs no torchvision). Does not know the denoise loop.
"""

import dataclasses
import json
import math
from pathlib import Path

import numpy
import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel

from pyruntime import weights
from pyruntime.device import Device
from pyruntime.errors import Check, WorkerError
from pyruntime.part import Part

# The stock pipelines drop this many tokens: the system prompt (prompt_template_encode_start_idx).
DROP_TOKENS = 64
# The RoPE table of the transformer ends here; longer text would fail deep inside the first step.
TEXT_TOKENS_MAX = 4000

_SYSTEM = (
    "<|im_start|>system\nDescribe the key features of the input image (color, shape, size, texture, objects, "
    "background), then explain how the user's text instruction should alter or modify the image. Generate a new "
    "image that meets the user's requirements while maintaining consistency with the original input where "
    "appropriate.<|im_end|>\n<|im_start|>user\n"
)
_ONE_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
_END = "<|im_end|>\n<|im_start|>assistant\n"
_PAD = "<|image_pad|>"


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes patches, from preprocessor_config.json. Areas in pixels."""

    patch: int
    temporal_patch: int
    merge: int
    min_pixels: int
    max_pixels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class TextModel:
    """Text encoder, tokenizer and preprocessing of one model directory."""

    encoder: Qwen2_5_VLModel
    part: Part
    tokenizer: Tokenizer
    preprocessing: Preprocessing
    image_token: int
    plus: bool

    def encode(self, prompt: str, pictures: list[Image.Image]) -> torch.Tensor:
        """Hidden states (1, T, width) of the instruction with the pictures, without the system prompt."""
        device = self.part.device
        patches, grids = zip(*(to_patches(p, self.preprocessing) for p in pictures), strict=True)
        merged = self.preprocessing.merge**2
        if self.plus:
            seen = "".join(f"Picture {i + 1}: {_ONE_PICTURE}" for i in range(len(pictures)))
        else:
            seen = _ONE_PICTURE
        # Every pad token of the template becomes as many as its picture has merged patches. A prompt that spells a
        # special token would be read as one; its markers are broken up before.
        parts = (_SYSTEM + seen).split(_PAD)
        tokens = [h * w // merged for _, h, w in grids]
        text = parts[0] + "".join(_PAD * n + part for n, part in zip(tokens, parts[1:], strict=True))
        text += prompt.replace("<|", "< |") + _END
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        if len(ids) > TEXT_TOKENS_MAX:
            raise WorkerError("prompt_too_long", f"the prompt has {len(ids)} tokens with its pictures, the limit is {TEXT_TOKENS_MAX}")
        input_ids = torch.tensor([ids], device=device)
        output = self.encoder(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            pixel_values=torch.cat(patches).to(device),
            image_grid_thw=torch.tensor(grids, device=device),
            # Without it transformers 5 gives image tokens 1-D positions, silently: tests/test_text.py.
            mm_token_type_ids=(input_ids == self.image_token).int(),
            use_cache=False,
        )
        # The inner model, not ForConditionalGeneration: its logits over the whole vocabulary are never used.
        return output.last_hidden_state[:, DROP_TOKENS:]


def smart_resize(height: int, width: int, factor: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Height and width in pixels as Qwen2-VL wants them: multiples of factor, area within the bounds."""
    tall, wide = round(height / factor) * factor, round(width / factor) * factor
    if tall * wide > max_pixels:
        beta = math.sqrt(height * width / max_pixels)
        tall = max(factor, math.floor(height / beta / factor) * factor)
        wide = max(factor, math.floor(width / beta / factor) * factor)
    elif tall * wide < min_pixels:
        beta = math.sqrt(min_pixels / (height * width))
        tall = math.ceil(height * beta / factor) * factor
        wide = math.ceil(width * beta / factor) * factor
    return tall, wide


def to_patches(picture: Image.Image, how: Preprocessing) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """Flat patches (N, 3 * temporal * patch * patch) of a picture and its grid (1, rows, columns).

    Same numbers as Qwen2VLImageProcessor: tests/test_text.py::test_patches_equal_the_stock_processor.
    """
    pixels = torch.from_numpy(numpy.array(picture.convert("RGB"))).permute(2, 0, 1)[None]  # (1, 3, H, W) uint8
    height, width = smart_resize(pixels.shape[2], pixels.shape[3], how.patch * how.merge, how.min_pixels, how.max_pixels)
    if (height, width) != tuple(pixels.shape[2:]):
        pixels = torch.nn.functional.interpolate(pixels, (height, width), mode="bicubic", antialias=True)
    mean = torch.tensor(how.mean) * 255.0
    std = torch.tensor(how.std) * 255.0
    values = (pixels.float() - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    rows, columns, m, p = height // how.patch, width // how.patch, how.merge, how.patch
    values = values.reshape(1, 3, rows // m, m, p, columns // m, m, p)
    values = values.permute(0, 2, 5, 3, 6, 1, 4, 7)  # (1, rows/m, columns/m, m, m, 3, p, p)
    values = values.unsqueeze(6).expand(-1, -1, -1, -1, -1, -1, how.temporal_patch, -1, -1)
    return values.reshape(rows * columns, 3 * how.temporal_patch * p * p), (1, rows, columns)


def rename(key: str) -> str | None:
    """The inner model's name of a stored tensor; None for the output head, which is never used (1.09 GB at full size).

    Published files say `model.layers...` and `visual...`; transformers 5 says `model.language_model...`.
    """
    if key.startswith("lm_head."):
        return None
    key = key.removeprefix("model.")
    if key.startswith(("visual.", "language_model.")):
        return key
    return "language_model." + key


def preprocessing(folder: Path) -> Preprocessing:
    """Read preprocessor_config.json; the defaults are those of Qwen2-VL."""
    raw = json.loads((folder / "preprocessor_config.json").read_text())
    size = raw.get("size") or {}
    return Preprocessing(
        patch=raw.get("patch_size", 14),
        temporal_patch=raw.get("temporal_patch_size", 2),
        merge=raw.get("merge_size", 2),
        min_pixels=raw.get("min_pixels") or size.get("shortest_edge", 56 * 56),
        max_pixels=raw.get("max_pixels") or size.get("longest_edge", 28 * 28 * 1280),
        mean=tuple(raw.get("image_mean", (0.48145466, 0.4578275, 0.40821073))),
        std=tuple(raw.get("image_std", (0.26862954, 0.26130258, 0.27577711))),
    )


def tokenizer(folder: Path) -> Tokenizer:
    """The processor's tokenizer, which is the one that the stock pipelines use; else the one beside it.

    Published directories differ: of those two folders, some have tokenizer.json only in the first.
    """
    for path in (folder / "processor" / "tokenizer.json", folder / "tokenizer" / "tokenizer.json"):
        if path.is_file():
            return Tokenizer.from_file(str(path))
    raise WorkerError("weights_missing", "no processor/tokenizer.json in the model directory")


def build(folder: Path, plus: bool, device: Device, check: Check) -> TextModel:
    """Read tokenizer, processor and the shapes of text_encoder of a model directory; its weights come by its part."""
    config = Qwen2_5_VLConfig.from_pretrained(folder / "text_encoder", local_files_only=True)
    with weights.without_memory():
        encoder = Qwen2_5_VLModel(config).eval()
    part = Part(encoder, weights.shards(folder / "text_encoder"), device.torch, device.dtype, rename)
    for block in [*encoder.language_model.layers, *encoder.visual.blocks]:
        block.register_forward_pre_hook(lambda *_: check())
    return TextModel(encoder, part, tokenizer(folder), preprocessing(folder / "processor"), config.image_token_id, plus)
