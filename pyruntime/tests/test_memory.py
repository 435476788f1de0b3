"""The counts that supervisor/plan/memory.go is held against are still what an edit holds; and the gauge counts right."""

import json
from pathlib import Path

import memory
import pytest
import torch
from gauge import Gauge

from pyruntime import model
from pyruntime.device import Device

PEAKS = json.loads((Path(__file__).parents[2] / "supervisor" / "plan" / "testdata" / "peaks.json").read_text())


def counted_before(got: dict) -> dict:
    name = ("model", "item_bytes", "profile", "width", "height", "images")
    return next(r for r in PEAKS if all(r[key] == got[key] for key in name))


@pytest.mark.parametrize("profile", [model.RESIDENT, model.STAGED])
def test_an_edit_holds_what_was_counted(profile):
    got = memory.demo(profile, 256, 256, 2)
    want = counted_before(got)
    assert got["phases"] == pytest.approx(want["phases"], rel=0.02)


def test_the_full_size_holds_what_was_counted():
    for got in memory.full(1024, 1024, 1, Device("cuda", torch.bfloat16, "")):
        assert got == counted_before(got)


def test_the_gauge_counts_each_storage_once_and_to_its_end():
    with Gauge("cpu") as gauge:
        first = torch.zeros(1000)
        view = first.view(10, 100)
        second = first + 1
        assert (gauge.now, gauge.peak) == (8000, 8000)
        del first, second
        assert gauge.now == 4000
        view += 1
        assert gauge.now == 4000
        torch.zeros(1000, device="meta")
        del view
    assert (gauge.now, gauge.peak) == (0, 8000)
