"""A denoise that broke off goes on where it was, and the picture is the same to the last byte."""

import json

import pytest
import stock
import talk
import torch
from conftest import picture, request

from pyruntime import checkpoint, edit, wire
from pyruntime.errors import CancelFlag, Cancelled

STEPS = 6
SOURCES = [picture(75, 110, seed=1), picture(140, 90, seed=2)]


@pytest.fixture
def always(monkeypatch):
    """A checkpoint behind every step, however quick: these models are done before one is worth its time."""
    monkeypatch.setattr(checkpoint, "SHARE_MAX", 1e9)


@pytest.fixture
def broken(run, tmp_path, always):
    """Runs an edit until so many steps are done, and gives the request to run again."""

    def go(model, asked, steps):
        flag = CancelFlag()

        class Stop(list):
            def append(self, event):
                if isinstance(event, wire.Progress) and event.phase == "denoise" and event.step == steps:
                    raise Cancelled("broken off by the test")

        with pytest.raises(Cancelled):
            edit.edit(asked, model, Stop().append, flag)
        return asked

    return go


def asked_for(tmp_path, sources=SOURCES[:1], **changes):
    fields = {"steps": STEPS, "checkpoint_path": str(tmp_path / "checkpoint")} | changes
    return request(tmp_path, sources, **fields)


def resumed(run):
    return [e.step for e in run.events if isinstance(e, wire.Resumed)]


@pytest.mark.parametrize("guided", [False, True], ids=["", "guided"])
@pytest.mark.parametrize(("kind", "count", "steps"), [("edit", 1, 1), ("edit", 1, 5), ("plus", 2, 3)])
def test_the_picture_is_that_of_a_run_without_a_break(loaded, run, broken, tmp_path, kind, count, steps, guided):
    guidance = {"negative_prompt": "blurry", "true_cfg_scale": 3.5} if guided else {}
    whole = run(loaded(kind), asked_for(tmp_path, SOURCES[:count], checkpoint_path="", **guidance))
    asked = broken(loaded(kind), asked_for(tmp_path, SOURCES[:count], **guidance), steps)
    again = run(loaded(kind), asked)
    assert resumed(again) == [steps]
    assert again.result.sha256 == whole.result.sha256
    told = [e.step for e in again.events if isinstance(e, wire.Progress) and e.phase == "denoise"]
    assert told == [0, *range(steps, STEPS + 1)]


def test_a_lightning_schedule_goes_on_too(loaded, run, broken, tmp_path):
    whole = run(loaded("edit"), asked_for(tmp_path, checkpoint_path="", shift=3.0))
    again = run(loaded("edit"), broken(loaded("edit"), asked_for(tmp_path, shift=3.0), 2))
    assert resumed(again) == [2] and again.result.sha256 == whole.result.sha256


@pytest.mark.parametrize("change", [
    {"prompt": "make it sepia, pleasE"}, {"seed": 8}, {"steps": 7}, {"true_cfg_scale": 2.0}, {"negative_prompt": "x"},
    {"ref_area": 48 * 48}, {"shift": 3.0}, {"work_height": 128},
], ids=lambda c: next(iter(c)))  # fmt: skip
def test_a_changed_request_begins_anew(loaded, run, broken, tmp_path, change):
    broken(loaded("edit"), asked_for(tmp_path), 3)
    assert resumed(run(loaded("edit"), asked_for(tmp_path, **change))) == []


def test_another_picture_or_model_begins_anew(loaded, run, broken, tmp_path):
    broken(loaded("edit"), asked_for(tmp_path), 3)
    assert resumed(run(loaded("edit"), asked_for(tmp_path, SOURCES[1:]))) == []
    broken(loaded("edit"), asked_for(tmp_path), 3)
    assert resumed(run(loaded("plus"), asked_for(tmp_path))) == []


@pytest.mark.parametrize("damage", ["gone", "empty", "torn", "a flipped bit", "no head"])
def test_a_damaged_file_is_as_good_as_none(loaded, run, broken, tmp_path, damage):
    whole = run(loaded("edit"), asked_for(tmp_path, checkpoint_path=""))
    broken(loaded("edit"), asked_for(tmp_path), 3)
    path = tmp_path / "checkpoint"
    data = path.read_bytes()
    new = {"empty": b"", "torn": data[:-9], "a flipped bit": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], "no head": b"{}" + data}
    path.unlink() if damage == "gone" else path.write_bytes(new[damage])
    again = run(loaded("edit"), asked_for(tmp_path))
    assert resumed(again) == [] and again.result.sha256 == whole.result.sha256


def test_a_folder_that_cannot_be_written_loses_no_edit(loaded, run, tmp_path):
    assert run(loaded("edit"), asked_for(tmp_path, checkpoint_path=str(tmp_path / "none" / "checkpoint"))).result.bytes


def test_saving_takes_a_small_part_of_the_time(loaded, monkeypatch, tmp_path):
    # 0.3 s steps of which every save costs 10 ms: one of two steps is saved, and never over the share.
    now = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    kept = checkpoint.Checkpoint(str(tmp_path / "c"), "key")
    real, saves = checkpoint.save, []

    def slow(tensors):
        now[0] += 0.01
        saves.append(now[0])
        return real(tensors)

    monkeypatch.setattr(checkpoint, "save", slow)
    for step in range(1, 101):
        now[0] += 0.3
        kept.save(step, torch.zeros(1, 4, 8))
    assert len(saves) >= 40 and 0.01 * len(saves) <= checkpoint.SHARE_MAX * now[0]


def test_a_killed_worker_is_followed_by_one_that_goes_on(tmp_path):
    """The demo model in real processes: SIGKILL in mid-denoise, the next process ends with the same file."""
    area = 128 * 192
    asked = request(
        tmp_path, SOURCES[:1], steps=12, work_width=128, work_height=192, out_width=128, out_height=192, ref_area=area, cond_area=area,
        checkpoint_path=str(tmp_path / "checkpoint"),
    )  # fmt: skip
    fields = {name: getattr(asked, name) for name in asked.__struct_fields__}

    def worker():
        process = talk.Talk()
        process.hear("hello")
        process.say("configure", device="cpu", scratch_dir=str(tmp_path), beat_ms=500, max_pixels=0, preview_side=0, cpu_threads=1)
        process.hear("ready")
        process.say("load", job="a", attempt=1, model="demo", dir=str(stock.DEMO), profile="resident")
        process.hear("loaded")
        return process

    with worker() as first:
        first.say("generate", job="a", attempt=1, **(fields | {"checkpoint_path": ""}))
        whole = first.hear("result")
        place = first.now()
        first.say("generate", job="b", attempt=1, **fields)
        first.hear("progress", place, phase="denoise", step=7)
        first.process.kill()
        first.wait()
    head = json.loads((tmp_path / "checkpoint").read_bytes().split(b"\n", 1)[0])
    with worker() as second:
        place = second.now()
        second.say("generate", job="b", attempt=2, **fields)
        assert second.hear("resumed", place)["step"] == head["step"] > 0
        assert second.hear("result", place)["sha256"] == whole["sha256"]
        second.say("shutdown", grace_ms=1000)
