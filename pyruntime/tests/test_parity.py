"""The worker's own loop against the stock pipelines: equal bits in float32 on the CPU, from pixels to pixels."""

import pytest
import stock
import torch
from conftest import COND_AREA, REF_AREA, load, picture, request

# Portrait, landscape and square, none of them a multiple of 32: every reference gets a size of its own.
SOURCES = [picture(75, 110, seed=1), picture(140, 90, seed=2), picture(66, 66, seed=3)]


@pytest.fixture(scope="module")
def pipelines(folder):
    made = {}

    def get(kind, *, zero_cond_t):
        key = (kind, zero_cond_t)
        if key not in made:
            made[key] = stock.pipeline(folder(kind, zero_cond_t=zero_cond_t))
        return made[key]

    return get


@pytest.mark.parametrize("zero_cond_t", [False, True], ids=["", "zero_cond_t"])
@pytest.mark.parametrize("guided", [False, True], ids=["", "guided"])
@pytest.mark.parametrize(("kind", "count"), [("edit", 1), ("plus", 1), ("plus", 2), ("plus", 3)])
def test_every_bit_equals_the_stock_pipeline(loaded, pipelines, run, tmp_path, kind, count, guided, zero_cond_t):
    guidance = {"negative_prompt": "blurry", "true_cfg_scale": 3.5} if guided else {"true_cfg_scale": 1.0}
    asked = request(tmp_path, SOURCES[:count], steps=3, **guidance)
    ours = run(loaded(kind, zero_cond_t=zero_cond_t), asked)
    theirs = stock.edit(
        pipelines(kind, zero_cond_t=zero_cond_t), SOURCES[:count], asked.prompt, steps=asked.steps, seed=asked.seed,
        size=(asked.work_width, asked.work_height), ref_area=REF_AREA, cond_area=COND_AREA, **guidance,
    )  # fmt: skip
    assert torch.equal(ours.latents, theirs.latents)
    assert torch.equal(ours.pixels, theirs.pixels)
    assert ours.image.tobytes() == theirs.image.tobytes()
    # Equal nothings would be equal too.
    assert ours.pixels.std() > 0.05 and ours.latents.std() > 0.5


def test_the_comparison_sees_each_part_of_an_edit(loaded, run, tmp_path):
    asked = request(tmp_path, SOURCES[:2])
    base = run(loaded("plus"), asked).latents
    changed = {
        "prompt": (SOURCES[:2], {"prompt": "make it sepia, pleasE"}),
        "seed": (SOURCES[:2], {"seed": 8}),
        "guidance": (SOURCES[:2], {"negative_prompt": "blurry", "true_cfg_scale": 3.5}),
        "number of references": (SOURCES[:1], {}),
        "order of references": (SOURCES[1::-1], {}),
        "reference area": (SOURCES[:2], {"ref_area": COND_AREA}),
        "condition area": (SOURCES[:2], {"cond_area": REF_AREA}),
    }
    for name, (sources, change) in changed.items():
        other = run(loaded("plus"), request(tmp_path, sources, **change))
        assert not torch.equal(other.latents, base), name
    asked = request(tmp_path, SOURCES[:2])
    assert not torch.equal(run(loaded("plus", zero_cond_t=True), asked).latents, base)
    assert torch.equal(run(loaded("plus"), asked).latents, base)


@pytest.mark.parametrize("guided", [False, True], ids=["", "guided"])
def test_the_demo_model_equals_its_stock_pipeline(run, tmp_path, guided):
    guidance = {"negative_prompt": " ", "true_cfg_scale": 2.0} if guided else {}
    asked = request(tmp_path, SOURCES[:1], work_width=96, work_height=160, out_width=96, out_height=160, **guidance)
    ours = run(load(stock.DEMO), asked)
    theirs = stock.edit(
        stock.pipeline(stock.DEMO), SOURCES[:1], asked.prompt, steps=asked.steps, seed=asked.seed,
        size=(96, 160), ref_area=REF_AREA, cond_area=COND_AREA, **guidance,
    )  # fmt: skip
    assert torch.equal(ours.latents, theirs.latents)
    assert torch.equal(ours.pixels, theirs.pixels)
    assert ours.image.tobytes() == theirs.image.tobytes()
