"""Which device computes, and in which number format: MPS before CUDA before CPU."""

import mmap

import pytest
import torch

from pyruntime import device
from pyruntime.errors import WorkerError


@pytest.fixture
def machine(monkeypatch):
    """A machine that has these accelerators, as far as torch tells."""

    def have(*, mps: bool, cuda: bool) -> None:
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA H100")

    return have


@pytest.mark.parametrize(
    ("mps", "cuda", "kind", "dtype"),
    [
        (True, True, "mps", torch.bfloat16),
        (True, False, "mps", torch.bfloat16),
        (False, True, "cuda", torch.bfloat16),
        (False, False, "cpu", torch.float32),
    ],
)
def test_auto_takes_the_best_that_is_there(machine, mps, cuda, kind, dtype):
    machine(mps=mps, cuda=cuda)
    chosen = device.choose("auto")
    assert (chosen.kind, chosen.dtype) == (kind, dtype)
    # safetensors refuses "mps:0"
    assert chosen.torch == torch.device(kind) and chosen.torch.index is None


@pytest.mark.parametrize("wanted", ["mps", "cuda", "cpu"])
def test_an_explicit_device_is_taken_before_a_better_one(machine, wanted):
    machine(mps=True, cuda=True)
    assert device.choose(wanted).kind == wanted


@pytest.mark.parametrize(
    ("wanted", "mps", "cuda", "named"),
    [
        ("mps", False, True, "cuda, cpu"),
        ("cuda", True, False, "mps, cpu"),
        ("cuda", False, False, "cpu"),
        ("tpu", True, True, "mps, cuda, cpu"),
        ("", False, False, "cpu"),
    ],
)
def test_a_device_that_is_not_there_is_a_typed_error(machine, wanted, mps, cuda, named):
    machine(mps=mps, cuda=cuda)
    with pytest.raises(WorkerError) as caught:
        device.choose(wanted)
    assert caught.value.code == "env_broken"
    assert caught.value.message.endswith(f"have {named}")


def test_names(machine):
    machine(mps=False, cuda=True)
    chosen = device.choose("cuda")
    assert chosen.name == "NVIDIA H100" and device.dtype_name(chosen.dtype) == "bfloat16"
    machine(mps=False, cuda=False)
    assert device.dtype_name(device.choose("auto").dtype) == "float32"


def test_footprint_counts_what_this_process_holds():
    before = device.footprint()
    with mmap.mmap(-1, 64 << 20) as held:  # from the system: an allocator may hand out what it has kept
        held.write(b"1" * len(held))
        assert 32 << 20 < device.footprint() - before < 256 << 20
    assert device.device_bytes() == 0


def test_an_accelerator_is_asked_for_what_it_holds(machine, monkeypatch):
    machine(mps=True, cuda=False)
    emptied = []
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 5)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 9)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: emptied.append("mps"))
    assert (device.device_bytes(), device.device_max()) == (5, 9)
    device.empty_cache()
    assert emptied == ["mps"]
