"""LoRAs: what a merge adds, that nothing of it stays, and what is refused."""

import hashlib
import json
import math

import pytest
import stock
import torch
from conftest import COND_AREA, CPU, REF_AREA, load, picture, request
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from safetensors.torch import save_file

from pyruntime import denoise, lora, wire
from pyruntime.device import Device
from pyruntime.errors import CancelFlag, Cancelled, WorkerError

# A few of every kind: attention of both streams, feed-forward with its nested names, modulation, and what is in no block.
MODULES = (
    "transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.add_k_proj", "transformer_blocks.1.attn.to_out.0",
    "transformer_blocks.1.attn.to_add_out", "transformer_blocks.0.img_mlp.net.0.proj", "transformer_blocks.1.txt_mlp.net.2",
    "transformer_blocks.0.img_mod.1", "img_in", "norm_out.linear", "time_text_embed.timestep_embedder.linear_1",
)  # fmt: skip
FAMILIES = {
    "diffusers": ("transformer.{}.lora_A.weight", "transformer.{}.lora_B.weight", ""),
    "peft": ("base_model.model.{}.lora_A.weight", "base_model.model.{}.lora_B.weight", ""),
    "adapter": ("{}.lora_A.default.weight", "{}.lora_B.default.weight", ""),
    "diffusion_model": ("diffusion_model.{}.lora_A.weight", "diffusion_model.{}.lora_B.weight", "diffusion_model.{}.alpha"),
    "kohya": ("lora_unet_{}.lora_down.weight", "lora_unet_{}.lora_up.weight", "lora_unet_{}.alpha"),
    "plain": ("{}.lora_down.weight", "{}.lora_up.weight", "{}.alpha"),
}


def values(model) -> dict[str, torch.Tensor]:
    return {key: p.detach().clone() for key, p in model.transformer.named_parameters()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def factors(model, modules=MODULES, rank=3, seed=1) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """module -> (B, A), in half precision as LoRAs are published."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name in modules:
        outputs, inputs = model.transformer.get_submodule(name).weight.shape
        up, down = (torch.randn(shape, generator=generator).half() / 4 for shape in ((outputs, rank), (rank, inputs)))
        made[name] = up, down
    return made


def write(path, made, family="diffusers", alpha=None, metadata=None, **more):
    down_key, up_key, alpha_key = FAMILIES[family]
    tensors = {key: tensor.clone() for key, tensor in more.items()}  # a file cannot hold the same memory twice
    for name, (up, down) in made.items():
        name = name.replace(".", "_") if family == "kohya" else name
        tensors |= {down_key.format(name): down.contiguous(), up_key.format(name): up.contiguous()}
        if alpha is not None:
            tensors[alpha_key.format(name)] = torch.tensor(alpha)
    save_file(tensors, path, metadata)
    return path


def merge(model, *wanted, flag=None) -> bool:
    return model.loras.merge([wire.LoRA(path=str(p), strength=s) for p, s in wanted], (flag or CancelFlag()).check, lambda _: None)


@pytest.fixture
def model(folder):
    return load(folder("edit"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_merge_is_the_dense_sum_in_every_spelling(model, tmp_path, family):
    before, made = values(model), factors(model)
    alpha = 6.0 if FAMILIES[family][2] else None
    assert merge(model, (write(tmp_path / "a.safetensors", made, family, alpha), 0.8))
    after = values(model)
    for key, weight in before.items():
        name = key.removesuffix(".weight")
        if name not in made:
            assert torch.equal(after[key], weight), key
            continue
        up, down = made[name]
        expected = weight.double() + 0.8 * (alpha or 3) / 3 * (up.double() @ down.double())
        torch.testing.assert_close(after[key].double(), expected, rtol=1e-5, atol=1e-6)
        assert not torch.equal(after[key], weight), key


def test_two_loras_with_strengths_add_up(model, tmp_path):
    before = values(model)
    one, two = factors(model, MODULES[:4], rank=2, seed=1), factors(model, MODULES[2:6], rank=5, seed=2)
    merge(model, (write(tmp_path / "1.safetensors", one), 0.5), (write(tmp_path / "2.safetensors", two), 2.0))
    for name in MODULES[:6]:
        expected = before[f"{name}.weight"].double()
        for made, strength in ((one, 0.5), (two, 2.0)):
            if name in made:
                expected = expected + strength * (made[name][0].double() @ made[name][1].double())
        got = model.transformer.get_submodule(name).weight
        torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-6)


def test_alpha_in_the_metadata_of_diffusers_counts(model, tmp_path):
    made = factors(model, MODULES[:1])
    config = {"lora_adapter_metadata": json.dumps({"transformer.lora_alpha": 12, "transformer.r": 3})}
    before = values(model)
    merge(model, (write(tmp_path / "a.safetensors", made, metadata=config), 1.0))
    key = f"{MODULES[0]}.weight"
    up, down = made[MODULES[0]]
    torch.testing.assert_close(values(model)[key], before[key] + 4 * up.float() @ down.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_of_a_merge_stays_and_its_way_leaves_no_trace(folder, tmp_path, dtype):
    from pyruntime import model as models

    def fresh():
        return models.load(folder("edit"), Device("cpu", dtype, "CPU"), CancelFlag(), lambda *_: None)

    m = fresh()
    pristine, file = values(m), next((folder("edit") / "transformer").glob("*.safetensors"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    a = write(tmp_path / "a.safetensors", factors(m, MODULES[:6]))
    b = write(tmp_path / "b.safetensors", factors(m, MODULES[3:], seed=2))
    assert not merge(m)  # nothing to do costs nothing
    assert merge(m, (a, 1.0))
    assert not merge(m, (a, 1.0))
    assert merge(m, (b, 0.7), (a, 0.3))
    both = values(m)
    assert merge(m)
    assert same(values(m), pristine)
    assert not merge(m)
    other = fresh()
    merge(other, (b, 0.7), (a, 0.3))  # the straight way
    assert same(values(other), both)
    assert not same(both, pristine)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest  # the weights may be a map of it


def test_a_cancel_inside_a_merge_is_made_good_by_the_next(model, tmp_path):
    pristine = values(model)
    a = write(tmp_path / "a.safetensors", factors(model))
    b = write(tmp_path / "b.safetensors", factors(model, MODULES[:5], seed=2))
    merge(model, (b, 1.0))
    only_b = values(model)
    for wanted, expected in (((), pristine), (((b, 1.0),), only_b)):
        merge(model, (b, 1.0))
        for stop in (1, 4, 9):
            count = 0

            def check(stop=stop):
                nonlocal count
                count += 1
                if count > stop:
                    raise Cancelled

            with pytest.raises(Cancelled):
                model.loras.merge([wire.LoRA(path=str(a), strength=1.0)], check, lambda _: None)
        assert merge(model, *wanted)
        assert same(values(model), expected)


def test_a_file_that_changed_is_merged_again(model, tmp_path):
    path = write(tmp_path / "a.safetensors", factors(model, MODULES[:2]))
    merge(model, (path, 1.0))
    first = values(model)
    write(path, factors(model, MODULES[:3], seed=5))
    assert merge(model, (path, 1.0))
    assert not same(values(model), first)


def test_what_does_not_fit_is_named_and_changes_nothing(model, tmp_path):
    good = factors(model, MODULES[:1])
    up, down = good[MODULES[0]]
    pristine = values(model)
    bad = {
        "of another model": ({"double_blocks.0.img_attn.qkv": (up, down)}, {}, "double_blocks.0.img_attn.qkv.lora_A.weight"),
        "a text encoder's": (good, {"text_encoder.layers.0.lora_A.weight": down}, "text_encoder.layers.0"),
        "a scale of DoRA": (good, {f"transformer.{MODULES[0]}.dora_scale": up}, "dora_scale"),
        "a bias": (good, {f"transformer.{MODULES[0]}.lora_B.bias": up}, "lora_B.bias"),
        "one factor without the other": (good, {f"transformer.{MODULES[1]}.lora_A.weight": down}, MODULES[1]),
        "one factor twice": (good, {f"{MODULES[0]}.lora_A.weight": down}, MODULES[0]),
        "wrong inputs": ({MODULES[0]: (up, down[:, 1:])}, {}, "[3, 31]"),
        "wrong outputs": ({MODULES[0]: (up[1:], down)}, {}, "[31, 3]"),
        "ranks that differ": ({MODULES[0]: (up[:, 1:], down)}, {}, "[32, 2]"),
        "a convolution": ({MODULES[0]: (up[..., None, None], down[..., None, None])}, {}, "[3, 32, 1, 1]"),
        "nothing": ({}, {}, "0 of 0"),
        "two scales": (good, {f"{MODULES[0]}.alpha": torch.ones(2)}, "alpha"),
    }
    for name, (made, more, words) in bad.items():
        path = write(tmp_path / "bad.safetensors", made, **more)
        with pytest.raises(WorkerError) as caught:
            merge(model, (path, 1.0))
        assert caught.value.code == "lora_mismatch", name
        assert words in caught.value.message, (name, caught.value.message)
        assert str(tmp_path) not in caught.value.message
    many = {f"x.{n}.lora_A.weight": down.clone() for n in range(50)}
    with pytest.raises(WorkerError, match=r"50 of 52: x\.0\.lora_A\.weight, x\.1\.lora_A\.weight, x\.10\.lora_A\.weight$"):
        merge(model, (write(tmp_path / "bad.safetensors", good, **many), 1.0))
    for kind in ("use_dora", "use_rslora", "alpha_pattern"):
        metadata = {"lora_adapter_metadata": json.dumps({f"transformer.{kind}": True})}
        with pytest.raises(WorkerError, match=kind):
            merge(model, (write(tmp_path / "bad.safetensors", good, metadata=metadata), 1.0))
    assert same(values(model), pristine)


def test_files_that_are_none(model, tmp_path):
    good = write(tmp_path / "good.safetensors", factors(model))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(good.read_bytes()[:-100])
    pickled = tmp_path / "lora.pt"
    torch.save({}, pickled)
    for path, code in ((tmp_path / "gone.safetensors", "weights_missing"), (cut, "weights_corrupt"), (pickled, "weights_missing")):
        with pytest.raises(WorkerError) as caught:
            merge(model, (good, 1.0), (path, 1.0))
        assert caught.value.code == code
    assert same(values(model), values(load(model.folder)))


def test_an_edit_merges_and_the_next_one_is_as_if_never_merged(model, run, tmp_path):
    sources = [picture(90, 130)]
    plain = run(model, request(tmp_path, sources))
    path = write(tmp_path / "a.safetensors", factors(model))
    asked = request(tmp_path, sources, loras=[wire.LoRA(path=str(path), strength=1.0)])
    merged = run(model, asked)
    assert not torch.equal(merged.latents, plain.latents)
    assert merged.result.timings[0].name == "merge"
    assert "merge" not in [t.name for t in run(model, asked).result.timings]
    again = run(model, request(tmp_path, sources))
    assert torch.equal(again.latents, plain.latents)
    assert again.image.tobytes() == plain.image.tobytes()
    fractions = [e.fraction for e in merged.events if isinstance(e, wire.Progress) and e.phase == "loading"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_merged_and_shifted_equals_the_stock_pipeline_with_those_weights_and_scheduler(model, run, tmp_path):
    # peft, which the stock loader needs, is no package of ours: the sum is put into the stock weights by hand.
    sources, made = [picture(90, 130)], factors(model)
    path = write(tmp_path / "a.safetensors", made, "kohya", alpha=2.0)
    asked = request(tmp_path, sources, steps=2, shift=3.0, loras=[wire.LoRA(path=str(path), strength=0.9)])
    ours = run(model, asked)
    pipe = stock.pipeline(model.folder)
    with torch.no_grad():
        for name, (up, down) in made.items():
            module = pipe.transformer.get_submodule(name)
            # A new tensor, as ours is: the product of a weight inside a mapped file can round otherwise, by its alignment.
            module.weight = torch.nn.Parameter(torch.addmm(module.weight, up.float(), down.float(), alpha=0.9 * 2 / 3))
    pipe.scheduler = lightning(3.0)
    theirs = stock.edit(
        pipe, sources, asked.prompt, steps=2, seed=asked.seed, size=(64, 96), ref_area=REF_AREA, cond_area=COND_AREA
    )  # fmt: skip
    assert torch.equal(ours.latents, theirs.latents)
    assert ours.image.tobytes() == theirs.image.tobytes()


def lightning(shift: float) -> FlowMatchEulerDiscreteScheduler:
    """The scheduler as the authors of Qwen-Image-Lightning build it (generate_with_diffusers.py), for any shift."""
    return FlowMatchEulerDiscreteScheduler.from_config({
        "base_image_seq_len": 256, "base_shift": math.log(shift), "invert_sigmas": False, "max_image_seq_len": 8192,
        "max_shift": math.log(shift), "num_train_timesteps": 1000, "shift": 1.0, "shift_terminal": None,
        "stochastic_sampling": False, "time_shift_type": "exponential", "use_beta_sigmas": False,
        "use_dynamic_shifting": True, "use_exponential_sigmas": False, "use_karras_sigmas": False,
    })  # fmt: skip


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
@pytest.mark.parametrize("shift", [1.0, 3.0, 7.5])
def test_the_schedule_is_that_of_lightning(model, steps, shift):
    import numpy

    theirs = lightning(shift)
    theirs.set_timesteps(sigmas=numpy.linspace(1.0, 1 / steps, steps), mu=math.log(shift))
    for tokens in (24, 1024, 8424):  # one shift for every size
        ours = denoise.shifted(model.scheduler, shift)
        timesteps = denoise.schedule(ours, steps, tokens, CPU.torch)
        assert torch.equal(timesteps, theirs.timesteps)
        assert torch.equal(ours.sigmas, theirs.sigmas)
    assert ours.sigmas[0] == 1
    assert ours.sigmas[-1] == 0


def test_two_steps_at_shift_three(model):
    ours = denoise.shifted(model.scheduler, 3.0)
    denoise.schedule(ours, 2, 1024, CPU.torch)
    torch.testing.assert_close(ours.sigmas, torch.tensor([1.0, 0.75, 0.0]))


def test_without_a_shift_the_schedule_is_the_models_own(model):
    assert denoise.shifted(model.scheduler, 0.0) is model.scheduler
    config = dict(model.scheduler.config)
    denoise.shifted(model.scheduler, 3.0)
    assert dict(model.scheduler.config) == config


@pytest.mark.parametrize("change", [{"shift": -1.0}, {"shift": math.nan}, {"shift": 1e9}])
def test_a_shift_out_of_range(model, run, tmp_path, change):
    with pytest.raises(WorkerError, match="0 to 100"):
        run(model, request(tmp_path, [picture(64, 96)], **change))


@pytest.mark.parametrize("strength", [0.0, -1.0, 2.5, math.nan])
def test_a_strength_out_of_range(model, run, tmp_path, strength):
    with pytest.raises(WorkerError, match="more than 0 and at most 2"):
        run(model, request(tmp_path, [picture(64, 96)], loras=[wire.LoRA(path="x", strength=strength)]))


def test_every_linear_of_the_transformer_can_be_found_by_kohyas_name(model):
    names = [key.removesuffix(".weight") for key, p in model.transformer.named_parameters() if key.endswith(".weight") and p.ndim == 2]
    flat = {name.replace(".", "_"): name for name in names}
    assert len(flat) == len(names)
    assert lora.target("lora_unet_transformer_blocks_1_attn_to_out_0.alpha", flat) == ("transformer_blocks.1.attn.to_out.0", "alpha")
    assert lora.target("lora_te_layers_0.alpha", flat)[0] not in names
