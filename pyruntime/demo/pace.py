"""Times the demo model on this machine: the worker's own loop beside the stock pipeline, on the same area, in FP32.

Knows the worker's road through one edit and the stock pipeline as the tests patch it; prints medians. The worker's
figures are taken before the stock pipeline is loaded, so the peak of memory is its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from PIL import Image

from pyruntime import checkpoint, edit, model, wire
from pyruntime.device import Device
from pyruntime.errors import CancelFlag

HERE = Path(__file__).resolve().parent
PROMPT, STEPS = "make it sepia", 4
CHECKPOINT_STEPS = 20


def request(folder: Path, side: int) -> wire.Generate:
    """The same photo, cut to a square of the side in pixels."""
    with Image.open(HERE / "testdata/photos/coffee.jpg") as opened:
        opened.convert("RGB").resize((side, side), Image.Resampling.LANCZOS).save(folder / f"{side}.png")
    return wire.Generate(
        prompt=PROMPT, steps=STEPS, true_cfg_scale=1.0, seed=1, images=[str(folder / f"{side}.png")], work_width=side, work_height=side,
        out_width=side, out_height=side, ref_area=side * side, cond_area=side * side, result_path=str(folder / "result.png"),
    )  # fmt: skip


def median(work: Callable[[], object], times: int) -> float:
    """Seconds; the first run is not counted."""
    work()
    took = []
    for _ in range(times):
        begin = time.monotonic()
        work()
        took.append(time.monotonic() - begin)
    return statistics.median(took)


def checkpoint_share(asked: wire.Generate, loaded: model.Model, folder: Path) -> tuple[int, float]:
    """(saves, part of the denoise time) that checkpoints take in one edit: looking for one, hashing its key, writing them."""
    spent, saves, real = 0.0, 0, (checkpoint.Checkpoint.last, checkpoint.Checkpoint.save, edit.key_of)

    def timed(work: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object) -> object:
            nonlocal spent
            begin = time.monotonic()
            try:
                return work(*args)
            finally:
                spent += time.monotonic() - begin

        return wrapped

    checkpoint.Checkpoint.last, checkpoint.Checkpoint.save, edit.key_of = (timed(work) for work in real)
    replace = os.replace

    def counted(source: str | Path, target: str | Path) -> None:
        nonlocal saves
        saves += str(target).endswith("checkpoint")
        replace(source, target)

    checkpoint.os.replace = counted
    try:
        asked = msgspec.structs.replace(asked, steps=CHECKPOINT_STEPS, checkpoint_path=str(folder / "checkpoint"))
        result = edit.edit(asked, loaded, lambda _: None, CancelFlag())
    finally:
        checkpoint.os.replace = replace
        checkpoint.Checkpoint.last, checkpoint.Checkpoint.save, edit.key_of = real
    return saves, spent / next(t.seconds for t in result.timings if t.name == "denoise")


def main(a: argparse.Namespace) -> None:
    begin = time.monotonic()
    loaded = model.load(a.model, Device("cpu", torch.float32, "CPU"), CancelFlag(), lambda *_: None)
    print(f"load after the imports: {time.monotonic() - begin:.2f} s")
    own: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side in (256, 512):
            asked = request(folder, side)
            own[side] = median(lambda asked=asked: edit.edit(asked, loaded, lambda _: None, CancelFlag()), a.times)
        for side in (256, 512):
            saves, share = checkpoint_share(request(folder, side), loaded, folder)
            print(f"checkpoints in {CHECKPOINT_STEPS} steps at {side}x{side}: {saves} written, {100 * share:.2f} % of the denoise time")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        print(f"peak RSS of the own loop: {peak / 1e9:.2f} GB")
        if a.no_stock:
            return
        sys.path.insert(0, str(HERE.parent / "tests"))
        import stock

        pipe = stock.pipeline(a.model)
        for side in (256, 512):
            with Image.open(folder / f"{side}.png") as opened:
                picture = opened.convert("RGB")
            area = {"ref_area": side * side, "cond_area": side * side}
            took = median(
                lambda p=picture, s=side, area=area: stock.edit(pipe, [p], PROMPT, steps=STEPS, seed=1, size=(s, s), **area), a.times
            )
            print(f"{STEPS} steps at {side}x{side}: own loop {own[side]:.2f} s, stock pipeline {took:.2f} s ({took / own[side]:.1f}x)")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--model", type=Path, default=HERE / "model")
    p.add_argument("--times", type=int, default=5)
    p.add_argument("--no-stock", action="store_true", help="only the own loop")
    main(p.parse_args())
