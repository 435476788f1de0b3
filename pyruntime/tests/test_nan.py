"""A result that is no picture is an error, and never a file."""

import errno
import hashlib
import os

import numpy
import pytest
import torch
from conftest import load, picture, request
from PIL import Image

from pyruntime import edit, preview, vae, wire
from pyruntime.errors import CancelFlag, WorkerError
from pyruntime.worker import as_error


@pytest.fixture
def poisoned(folder):
    """A model of this test alone, whose named tensor holds one number that is not finite."""

    def get(part: str, tensor: str, value: float):
        m = load(folder("edit"))
        owner = {"transformer": m.transformer, "vae": m.vae.model, "text": m.text.encoder}[part]
        dict(owner.named_parameters())[tensor].data.view(-1)[0] = value
        return m

    return get


def refused(m, asked, folder) -> WorkerError:
    events = []
    with pytest.raises(WorkerError) as caught:
        edit.edit(asked, m, events.append, CancelFlag(), 32)
    assert caught.value.code == "nan_output"
    assert wire.Phase(phase="save") not in events
    assert [p.name for p in folder.iterdir() if p.match("result*") or p.suffix == ".part"] == []
    return caught.value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    ("part", "tensor", "where"),
    [
        ("text", "language_model.layers.0.mlp.up_proj.weight", "step 1 of 2"),
        ("transformer", "transformer_blocks.1.attn.to_q.weight", "step 1 of 2"),
        ("transformer", "proj_out.bias", "step 1 of 2"),
        ("vae", "encoder.conv_in.bias", "step 1 of 2"),
        ("vae", "decoder.conv_out.bias", "decoded"),
    ],
)
def test_numbers_that_are_not_finite_are_refused_where_they_show(poisoned, tmp_path, part, tensor, where, value):
    m = poisoned(part, tensor, value)
    assert where in refused(m, request(tmp_path, [picture(64, 96)]), tmp_path).message


@pytest.mark.parametrize("colour", [(-1, -1, -1), (0, 0, 0), (1, 1, 1), (1, -1, -1)], ids=["black", "grey", "white", "red"])
def test_a_flat_picture_is_refused(loaded, tmp_path, monkeypatch, colour):
    flat = torch.tensor(colour, dtype=torch.float32).view(1, 3, 1, 1).repeat(1, 1, 96, 64)
    flat[0, :, 0, 0] *= 0.99  # one pixel a little off is still flat
    monkeypatch.setattr(vae.VAE, "decode", lambda *_: flat)
    assert "one flat colour" in refused(loaded("edit"), request(tmp_path, [picture(64, 96)]), tmp_path).message


def test_a_flat_picture_of_a_flat_source_is_an_edit(loaded, run, tmp_path, monkeypatch):
    monkeypatch.setattr(vae.VAE, "decode", lambda *_: torch.full((1, 3, 96, 64), -1.0))
    asked = request(tmp_path, [Image.new("RGB", (64, 96), (200, 10, 10))])
    assert edit.edit(asked, loaded("edit"), lambda _: None, CancelFlag()).bytes > 0
    assert (tmp_path / "result.png").is_file()


def test_one_step_gives_a_picture(loaded, run, tmp_path):
    # The stock scheduler stretches a schedule of one step by 0 / 0.
    one = run(loaded("edit"), request(tmp_path, [picture(64, 96)], steps=1))
    assert torch.isfinite(one.latents).all() and one.image.size == (64, 96)


def test_a_preview_of_numbers_that_are_not_finite_is_still_an_image():
    latents = torch.full((1, 4, 1, 4, 4), float("nan"))
    image = preview.to_image(latents, torch.eye(4, 3), torch.zeros(3), 8)
    assert image.size == (8, 8) and not numpy.asarray(image).any()


@pytest.mark.parametrize(
    ("failing", "code"),
    [
        (OSError(errno.ENOSPC, "no space"), "disk_full"),
        (OSError(errno.EDQUOT, "quota"), "disk_full"),
        (OSError(errno.EACCES, "denied"), "internal"),
        (ValueError("encoder"), "internal"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_save_leaves_no_file(loaded, tmp_path, monkeypatch, call, failing, code):
    def fail(*_):
        raise failing

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(failing)) as caught:
        edit.edit(request(tmp_path, [picture(64, 96)]), loaded("edit"), lambda _: None, CancelFlag())
    assert [p.name for p in tmp_path.iterdir()] == ["source-0.png"]
    assert as_error(caught.value, loading=False).code == code


def test_a_failed_save_keeps_the_result_that_was_there(loaded, tmp_path, monkeypatch):
    (tmp_path / "result.png").write_bytes(b"the one before")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "no space")))
    with pytest.raises(OSError):
        edit.edit(request(tmp_path, [picture(64, 96)]), loaded("edit"), lambda _: None, CancelFlag())
    assert (tmp_path / "result.png").read_bytes() == b"the one before"
    assert not (tmp_path / "result.png.part").exists()


def test_a_saved_picture_is_the_one_that_was_told(loaded, run, tmp_path):
    one = run(loaded("edit"), request(tmp_path, [picture(64, 96)], out_width=75, out_height=110))
    data = (tmp_path / "result.png").read_bytes()
    assert (one.result.bytes, one.result.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (one.result.width, one.result.height) == one.image.size == (75, 110)
