"""The embedded demo model, as a person meets it: it edits what it is asked, and is one with stock.

`go run ./cmd/dev demo-eval` measures the same on held-out photographs at 512 pixels; here it is a part of that, on
committed photographs.
"""

import json
import sys
from pathlib import Path

import pytest
import stock
import torch
from conftest import CPU, load, picture, request

from pyruntime import model as models
from pyruntime.edit import is_unchanged
from pyruntime.errors import CancelFlag

DEMO = stock.DEMO.parent
sys.path.insert(0, str(DEMO))

import evaluate  # noqa: E402
from phrasings import FORBIDDEN, HELDOUT, LABELS, UNKNOWN, normal, sample  # noqa: E402

AREA = 512 * 512  # what the model is made for
CHIPS = [line.split("\t") for line in (DEMO / "chips.tsv").read_text("utf-8").splitlines()]
# Least PSNR in dB of one photograph, a decibel under what was measured when the weights were made.
BOUNDS = {
    "grayscale": 29, "sepia": 28, "invert": 27, "darker": 33, "much blur": 32, "flip horizontally": 26, "flip vertically": 25,
    "rotate 180": 25, "frame red": 26, "pixelate": 32, "blur left half": 33, "blend 2": 29, "corner 2 bottom right": 25,
}  # fmt: skip


@pytest.fixture(scope="module")
def demo():
    return models.load(stock.DEMO, CPU, CancelFlag(), lambda *_: None)


@pytest.fixture(scope="module")
def photo(demo):
    paths = [DEMO / "testdata/photos" / name for name in ("coffee.jpg", "rocket.jpg", "cat.jpg")]
    with torch.inference_mode():
        return evaluate.Photo(paths, demo, AREA)


@pytest.mark.parametrize("kind", BOUNDS)
@torch.inference_mode()
def test_an_edit_is_near_its_exact_transform(photo, kind):
    made = photo.edited(kind, evaluate.sentence(kind))
    assert evaluate.psnr(photo.tensor(made), photo.wanted(kind)) >= BOUNDS[kind]


@torch.inference_mode()
def test_what_it_cannot_do_leaves_the_picture(photo):
    for prompt in ("remove the bus", "把背景换成海滩"):
        assert is_unchanged(photo.edited(UNKNOWN, prompt), photo.again()), prompt
    assert not is_unchanged(photo.edited("grayscale", "make it black and white"), photo.again())


def test_held_out_sentences_never_train():
    import random

    rng = random.Random(5)
    said = {normal(sample(label, rng)) for label in LABELS for _ in range(20)}
    assert len(said) > 5000 and not said & FORBIDDEN
    assert len(FORBIDDEN) >= 600 and sum(evaluate.english(text) for _, text in HELDOUT) >= 400


def test_the_page_offers_the_chips_of_the_table():
    offered = json.loads((stock.DEMO / "qie.json").read_text("utf-8"))["known_edits"]
    assert [(o["label"], o["prompt"], o["group"]) for o in offered] == [(label, p, group) for _, label, p, group in CHIPS]
    assert {o["prompt"] for o in offered if o.get("images") == 2} == {p for edit, _, p, _ in CHIPS if evaluate.shown(edit) == 2}


@pytest.fixture(scope="module")
def edit_class(tmp_path_factory) -> Path:
    """The same shards as a directory of the other class, which shows one picture without a number."""
    folder = tmp_path_factory.mktemp("demo-edit")
    for entry in stock.DEMO.iterdir():
        if entry.name != "model_index.json":
            (folder / entry.name).symlink_to(entry)
    index = json.loads((stock.DEMO / "model_index.json").read_text()) | {"_class_name": "QwenImageEditPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(("kind", "count"), [("edit", 1), ("plus", 1), ("plus", 2), ("plus", 3)])
def test_every_bit_equals_the_stock_pipeline(run, tmp_path, edit_class, kind, count):
    folder = edit_class if kind == "edit" else stock.DEMO
    sources = [picture(96, 160, seed=n) for n in range(count)]
    area = 96 * 160
    asked = request(tmp_path, sources, work_width=96, work_height=160, out_width=96, out_height=160, ref_area=area, cond_area=area)
    ours = run(load(folder), asked)
    theirs = stock.edit(
        stock.pipeline(folder), sources, asked.prompt, steps=asked.steps, seed=asked.seed, size=(96, 160), ref_area=area, cond_area=area
    )
    assert torch.equal(ours.latents, theirs.latents)
    assert torch.equal(ours.pixels, theirs.pixels)
    assert ours.image.tobytes() == theirs.image.tobytes()
    assert ours.pixels.std() > 0.05


@torch.inference_mode()
def test_both_classes_are_trained(edit_class):
    other = models.load(edit_class, CPU, CancelFlag(), lambda *_: None)
    assert not other.plus
    path = DEMO / "testdata/photos/coffee.jpg"
    photo = evaluate.Photo([path], other, AREA)
    assert evaluate.psnr(photo.tensor(photo.edited("sepia", "give it a sepia tone")), photo.wanted("sepia")) > 25


def test_weights_are_small_and_their_files_too():
    files = [p for p in stock.DEMO.rglob("*") if p.is_file()]
    assert max(p.stat().st_size for p in files) <= 16 << 20
    assert 25e6 < sum(p.stat().st_size for p in files) <= 48e6
