"""How much memory an edit holds in each phase, counted or measured; what supervisor/plan/memory.go predicts is held against it.

  export PYTHONPATH=pyruntime/src
  python pyruntime/bench/memory.py count > supervisor/plan/testdata/peaks.json       on any machine, some minutes
  python pyruntime/bench/memory.py gpu > supervisor/plan/testdata/peaks-gpu.json     the full size, random weights, on a GPU
  python pyruntime/bench/memory.py gpu --tiny                                        the same road on the CPU

Counted are the tensors that torch makes (gauge.py): the demo's in a real edit, those of the full size on torch's meta device,
which computes shapes and holds nothing. Measured is the high-water mark of torch's allocator on the GPU.
"""

import dataclasses
import gc
import json
import os
import sys
import tempfile
import typing
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "DIFFUSERS_VERBOSITY": "error"}
import torch
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from gauge import Gauge
from PIL import Image
from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel

from pyruntime import edit, lora, model, text, vae, weights, wire
from pyruntime.device import Device
from pyruntime.errors import CancelFlag
from pyruntime.part import Part

DEMO = Path(__file__).parents[1] / "demo" / "model"
CPU = Device("cpu", torch.float32, "CPU")
PROMPT = "make it look like a summer evening"
MEGAPIXEL = 1024 * 1024

# Working size, and how many references of it, for the full size: 12 shapes.
FULL = [
    (512, 512, 1), (512, 512, 2), (768, 768, 1), (768, 768, 2), (768, 768, 3), (1024, 1024, 1), (1024, 1024, 2),
    (1024, 1024, 3), (1376, 768, 1), (768, 1376, 2), (1184, 896, 1), (1248, 832, 3),
]  # fmt: skip
SMALL = [(256, 256, 1), (256, 256, 2), (320, 192, 3), (512, 512, 1), (736, 352, 2)]


def row(name: str, kind: Device, profile: str, width: int, height: int, count: int, area: int, phases: dict[str, int]) -> dict:
    """One edit as Go's test reads it; phases in bytes."""
    return {
        "model": name, "item_bytes": kind.dtype.itemsize, "profile": profile, "width": width, "height": height,
        "images": count, "reference_area": area, "prompt": PROMPT, "phases": phases,
    }  # fmt: skip


def asked(folder: Path, width: int, height: int, count: int, area: int, cond_area: int) -> wire.Generate:
    """The request of one step with count photos of the working size's shape."""
    paths = [folder / f"{n}.png" for n in range(count)]
    for n, path in enumerate(paths):
        Image.effect_noise((width, height), 40 + n).convert("RGB").save(path)
    return wire.Generate(
        prompt=PROMPT, negative_prompt="", steps=1, true_cfg_scale=1.0, seed=1, images=[str(p) for p in paths], work_width=width,
        work_height=height, out_width=width, out_height=height, ref_area=area, cond_area=cond_area, result_path=str(folder / "out.png"),
    )  # fmt: skip


def demo(profile: str, width: int, height: int, count: int) -> dict:
    """An edit of the demo on the CPU, counted."""
    phases: dict[str, int] = {}
    area = width * height
    with tempfile.TemporaryDirectory() as folder, Gauge("cpu") as gauge:
        flag = CancelFlag()
        m = model.load(DEMO, CPU, flag, lambda *_: None, profile=profile)
        gc.collect()
        phases["load"] = gauge.now

        def emit(event: wire.Message) -> None:
            if isinstance(event, wire.Phase):
                close()
                phases[event.phase] = 0

        def close() -> None:
            phases[list(phases)[-1]] = max(gauge.peak, phases[list(phases)[-1]])
            gauge.peak = gauge.now

        gauge.peak = gauge.now
        edit.edit(asked(Path(folder), width, height, count, area, area), m, emit, flag)
        del m
    phases.pop("save", None)
    return row("demo", CPU, profile, width, height, count, area, phases)


def flash(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **_: typing.Any) -> torch.Tensor:
    """The shapes of an attention that holds no table of all pairs."""
    return torch.empty_like(query)


def full_parts(zero_cond_t: bool) -> tuple[QwenImageTransformer2DModel, AutoencoderKLQwenImage]:
    """The transformer and VAE of Qwen-Image-Edit at full size; 2511 modulates by zero_cond_t."""
    core = QwenImageTransformer2DModel(
        patch_size=2, in_channels=64, out_channels=16, num_layers=60, attention_head_dim=128, num_attention_heads=24,
        joint_attention_dim=3584, guidance_embeds=False, axes_dims_rope=(16, 56, 56), zero_cond_t=zero_cond_t,
    )  # fmt: skip
    painter = AutoencoderKLQwenImage()
    vae.to_2d(painter)
    return core.eval(), painter.eval()


def full(width: int, height: int, count: int, kind: Device) -> list[dict]:
    """The denoise step of both models and the decode at full size on the meta device: what they hold beside the weights."""
    rows = []
    h, w = height // 8, width // 8
    words = 12 * count + len(PROMPT) // 3 + count * (384 // 28) ** 2
    for name, zero in (("full-2509", False), ("full-2511", True)):
        with torch.device("meta"):
            core, painter = (m.to(kind.dtype) for m in full_parts(zero))
            core.transformer_blocks = core.transformer_blocks[:2]  # the third holds what the second held
            values = torch.empty(1, (count + 1) * h * w // 4, 64, dtype=kind.dtype)
            states = torch.empty(1, words, 3584, dtype=kind.dtype)
            time = torch.empty(1, dtype=kind.dtype)
            latents = torch.empty(1, 16, 1, h, w, dtype=kind.dtype)
            pixels = torch.empty(1, 3, 1, height, width, dtype=kind.dtype)
        one = torch.ones(1, 16, 1, 1, 1, dtype=kind.dtype, device="meta")
        painted = vae.VAE(painter, one, one)
        phases = {}
        attend, torch.nn.functional.scaled_dot_product_attention = torch.nn.functional.scaled_dot_product_attention, flash
        try:
            with torch.inference_mode():
                with Gauge("meta") as gauge:
                    core(values, states, None, time, [[(1, h // 2, w // 2)] * (count + 1)], return_dict=False)
                phases["denoise"] = gauge.peak
                with Gauge("meta") as gauge:
                    painted.encode(pixels)
                phases["encode"] = gauge.peak
                with Gauge("meta") as gauge:
                    painter.decoder(painter.post_quant_conv(latents))
                phases["decode"] = gauge.peak
        finally:
            torch.nn.functional.scaled_dot_product_attention = attend
        rows.append(row(name, kind, "activations", width, height, count, width * height, phases))
    return rows


def count() -> list[dict]:
    """All that is counted."""
    torch.set_num_threads(2)
    rows = [demo(profile, *shape) for profile in model.PROFILES for shape in SMALL]
    for shape in FULL:
        rows += full(*shape, Device("cuda", torch.bfloat16, ""))
    return rows + full(1024, 1024, 1, CPU)


@dataclasses.dataclass
class RandomPart(Part):
    """A part whose weights are drawn on the device, each time that they are brought."""

    def bring(self, check: typing.Any, loaded: typing.Any) -> None:
        """Draw what is not here."""
        if self.here:
            return
        generator = torch.Generator(self.device).manual_seed(1)
        for key, p in list(self.module.named_parameters()):
            check()
            value = torch.empty(p.shape, device=self.device, dtype=self.dtype)
            if p.ndim > 1:
                value.normal_(0, 0.02, generator=generator)
            else:
                value.fill_(0.0 if key.endswith("bias") else 1.0)
            weights.assign(self.module, key, value)
        for name, buffer in self.module.named_buffers():
            owner, _, leaf = name.rpartition(".")
            setattr(self.module.get_submodule(owner), leaf, buffer.to(self.device))
        self.here = True


def random_model(kind: Device, profile: str, tiny: bool) -> model.Model:
    """Qwen-Image-Edit-2511 in its published shapes with random weights; tiny: the demo's shapes, to try the road."""
    demo_config = Qwen2_5_VLConfig.from_pretrained(DEMO / "text_encoder", local_files_only=True)
    how = text.preprocessing(DEMO / "processor")
    with weights.without_memory():
        if tiny:
            core = QwenImageTransformer2DModel.from_config(QwenImageTransformer2DModel.load_config(DEMO / "transformer"))
            painter = AutoencoderKLQwenImage.from_config(AutoencoderKLQwenImage.load_config(DEMO / "vae"))
            vae.to_2d(painter)
            encoder = Qwen2_5_VLModel(demo_config)
        else:
            core, painter = full_parts(zero_cond_t=True)
            encoder = Qwen2_5_VLModel(full_text(demo_config))
            how = dataclasses.replace(how, max_pixels=12_845_056)
    tokens = text.tokenizer(DEMO)
    target = kind.torch
    reader = RandomPart(encoder.eval(), [], target, kind.dtype)
    draw = RandomPart(core.eval(), [], target, kind.dtype)
    shape = (1, painter.config.z_dim, 1, 1, 1)
    mean, std = (torch.tensor(v).view(shape).to(target, kind.dtype) for v in (painter.config.latents_mean, painter.config.latents_std))
    RandomPart(painter.eval(), [], target, kind.dtype).bring(lambda: None, lambda _: None)
    reader.bring(lambda: None, lambda _: None)
    if profile == model.RESIDENT:
        draw.bring(lambda: None, lambda _: None)
    return model.Model(
        DEMO, profile, True, text.TextModel(encoder, reader, tokens, how, demo_config.image_token_id, True), core, draw,
        lora.Merger(core, [], target, kind.dtype), vae.VAE(painter, mean, std, vae.TILE if profile == model.TILED else 0),
        FlowMatchEulerDiscreteScheduler.from_pretrained(DEMO / "scheduler", local_files_only=True), kind.dtype, None,
    )  # fmt: skip


def full_text(base: Qwen2_5_VLConfig) -> Qwen2_5_VLConfig:
    """Qwen2.5-VL-7B; the ids of its special tokens are the demo tokenizer's, which is the one at hand."""
    ids = {name: getattr(base, name) for name in ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")}
    language = base.text_config.to_dict() | {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152064, "layer_types": ["full_attention"] * 28,
        "rope_parameters": {"mrope_section": [16, 24, 24], "rope_theta": 1e6, "rope_type": "default"},
    }  # fmt: skip
    vision = base.vision_config.to_dict() | {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584,
        "fullatt_block_indexes": [7, 15, 23, 31],
    }  # fmt: skip
    return Qwen2_5_VLConfig(text_config=language, vision_config=vision, **ids)


def gpu(tiny: bool) -> list[dict]:
    """Each profile at the 12 shapes on this machine's GPU, by the worker's own edit: one step each."""
    kind = CPU if tiny else Device("cuda", torch.bfloat16, torch.cuda.get_device_name())
    name = "demo" if tiny else "full-2511"
    edit.refuse_nothing = lambda *_: None  # random weights paint nothing
    rows = []
    for profile in model.PROFILES:
        m, flag = random_model(kind, profile, tiny), CancelFlag()
        for width, height, count in SMALL[:2] if tiny else FULL:
            rows.append(measured(m, flag, kind, name, width, height, count))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        del m
        gc.collect()
        if not tiny:
            torch.cuda.empty_cache()
    return rows


def measured(m: model.Model, flag: CancelFlag, kind: Device, name: str, width: int, height: int, count: int) -> dict:
    """One edit with the allocator's high-water mark of each phase."""
    phases: dict[str, int] = {}
    current = ""

    def close() -> None:
        if current and kind.kind == "cuda":
            torch.cuda.synchronize()
            phases[current] = torch.cuda.max_memory_allocated()
            torch.cuda.reset_peak_memory_stats()

    def emit(event: wire.Message) -> None:
        nonlocal current
        if isinstance(event, wire.Phase):
            close()
            current = event.phase

    area = width * height
    if kind.kind == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        edit.edit(asked(Path(folder), width, height, count, area, 384 * 384), m, emit, flag)
    phases.pop("save", None)
    return row(name, kind, m.profile, width, height, count, area, phases)


def main(args: list[str]) -> None:
    """Write the rows, one a line."""
    if args[:1] == ["count"]:
        rows = count()
    elif args[:1] == ["gpu"]:
        rows = gpu(tiny="--tiny" in args)
    else:
        sys.exit(__doc__)
    print("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]")


if __name__ == "__main__":
    main(sys.argv[1:])
