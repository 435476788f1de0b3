"""Weights from safetensors files into modules, tensor by tensor, checked before they are believed.

Knows files and bytes, not what the tensors mean. A shard shorter than its header says would load as zeros through a
memory map; so the size is compared with the header first.
"""

import collections.abc
import contextlib
import json
import struct
from pathlib import Path

import torch
from safetensors import safe_open

from pyruntime.errors import Check, WorkerError

# A header larger than this is no safetensors file; the real ones have well under 1 MB.
HEADER_BYTES_MAX = 100 << 20

Loaded = collections.abc.Callable[[int], None]
Rename = collections.abc.Callable[[str], str | None]


def same(key: str) -> str | None:
    """The rename of files that use the module's own names."""
    return key


def shards(folder: Path) -> list[Path]:
    """Every safetensors file of a component, in order; weights_missing when one that the index names is not there."""
    indexes = sorted(folder.glob("*.safetensors.index.json"))
    if indexes:
        names = sorted(set(json.loads(indexes[0].read_text())["weight_map"].values()))
        # A name from a file never leaves the folder.
        if any(Path(name).name != name for name in names):
            raise WorkerError("weights_corrupt", f"{folder.name}: the index names a file outside its folder")
    else:
        names = sorted(p.name for p in folder.glob("*.safetensors"))
    if not names:
        raise WorkerError("weights_missing", f"{folder.name}: no .safetensors file in the model directory")
    for name in names:
        if not (folder / name).is_file():
            raise WorkerError("weights_missing", f"{folder.name}/{name} is missing from the model directory")
    return [folder / name for name in names]


def verify(path: Path) -> int:
    """The file's size in bytes; weights_corrupt when it is not what its own header says."""
    size = path.stat().st_size
    label = f"{path.parent.name}/{path.name}"
    with path.open("rb") as f:
        head = f.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else HEADER_BYTES_MAX + 1
        if length > min(HEADER_BYTES_MAX, size):
            raise WorkerError("weights_corrupt", f"{label} is no safetensors file, or was cut off")
        try:
            header = json.loads(f.read(length))
            end = max((t["data_offsets"][1] for k, t in header.items() if k != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise WorkerError("weights_corrupt", f"{label} has a damaged header") from err
    if 8 + length + end != size:
        raise WorkerError("weights_corrupt", f"{label} has {size} bytes, its header says {8 + length + end}")
    return size


@contextlib.contextmanager
def without_memory() -> collections.abc.Generator[None]:
    """Build modules whose parameters take no memory. Buffers stay real: the rotary tables are not in any file."""
    register = torch.nn.Module.register_parameter

    def on_meta(module: torch.nn.Module, name: str, param: torch.nn.Parameter | None) -> None:
        register(module, name, param)
        if param is not None:
            module._parameters[name] = torch.nn.Parameter(param.to("meta"), requires_grad=False)  # pyright: ignore[reportPrivateUsage]

    torch.nn.Module.register_parameter = on_meta  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.nn.Module.register_parameter = register  # type: ignore[method-assign]


def load(
    module: torch.nn.Module,
    files: list[Path],
    device: torch.device,
    dtype: torch.dtype,
    check: Check,
    loaded: Loaded,
    rename: Rename = same,
) -> None:
    """Put the tensors of the files into the module, cast to dtype, on device.

    rename gives the module's key of a file's key, or None to skip it. Calls check before every tensor, and loaded with
    its bytes after. weights_corrupt when a tensor is missing, unknown or of another shape.
    """
    expected = {key: tuple(p.shape) for key, p in module.named_parameters()}
    found: set[str] = set()
    for path in files:
        with safe_open(path, framework="pt", device=device.type) as shard:
            for source in shard.keys():  # noqa: SIM118 (not a mapping)
                check()
                key = rename(source)
                if key is None:
                    continue
                tensor = shard.get_tensor(source)
                if expected.get(key) != tuple(tensor.shape):
                    raise WorkerError(
                        "weights_corrupt",
                        f"{path.name}: {source} has shape {list(tensor.shape)}, the model wants {expected.get(key)}",
                    )
                size = tensor.nbytes
                assign(module, key, tensor.to(dtype))
                found.add(key)
                loaded(size)
    if missing := sorted(expected.keys() - found):
        raise WorkerError("weights_corrupt", f"{len(missing)} tensors are in no file, the first is {missing[0]}")
    for buffer_name, buffer in module.named_buffers():
        if buffer.device != device:
            owner, _, leaf = buffer_name.rpartition(".")
            setattr(module.get_submodule(owner), leaf, buffer.to(device))


def read(
    files: list[Path], keys: collections.abc.Set[str], device: torch.device, dtype: torch.dtype
) -> collections.abc.Iterator[tuple[str, torch.Tensor]]:
    """These tensors of the files, cast to dtype, on device, one at a time and file by file."""
    left = set(keys)
    for path in files:
        if not left:
            return
        with safe_open(path, framework="pt", device=device.type) as shard:
            for key in sorted(left.intersection(shard.keys())):
                yield key, shard.get_tensor(key).to(dtype)
                left.discard(key)
    if left:
        raise WorkerError("weights_corrupt", f"{len(left)} tensors are in no file any more, the first is {min(left)}")


def drop(module: torch.nn.Module) -> None:
    """Put parameters that take no memory in the place of all; load brings them back."""
    for each in module.modules():
        for name, param in each._parameters.items():  # pyright: ignore[reportPrivateUsage]
            if param is not None and param.device.type != "meta":
                empty = torch.empty_like(param, device="meta")
                each._parameters[name] = torch.nn.Parameter(empty, requires_grad=False)  # pyright: ignore[reportPrivateUsage]


def assign(module: torch.nn.Module, key: str, tensor: torch.Tensor) -> None:
    """Put a tensor in the place of a parameter. A new one, never the old one's memory: that may be a map of the file."""
    owner, _, leaf = key.rpartition(".")
    setattr(module.get_submodule(owner), leaf, torch.nn.Parameter(tensor, requires_grad=False))
