"""LoRAs: low-rank changes, read from files and merged into the transformer's own weights, and taken out again.

A merged weight costs nothing in a step, and needs no second library. What is taken out is read again from the model's
files, so it is what it was to the last bit, and no second copy is kept in memory.
"""

import collections.abc
import contextlib
import dataclasses
import json
import typing
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from pyruntime import weights, wire
from pyruntime.errors import Check, WorkerError

# What trainers put before a module's name. A name without any is the transformer's as well.
PREFIXES = ("base_model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.")
# Kohya's: the dots of the name are underscores too.
FLAT_PREFIXES = ("lora_unet_", "lora_transformer_")
# The two factors of a change, W += B A, and what scales it.
DOWN, UP, ALPHA = "down", "up", "alpha"
SUFFIXES = {
    ".lora_A.weight": DOWN, ".lora_A.default.weight": DOWN, ".lora_down.weight": DOWN, ".lora.down.weight": DOWN,
    ".lora_B.weight": UP, ".lora_B.default.weight": UP, ".lora_up.weight": UP, ".lora.up.weight": UP,
    ".alpha": ALPHA,
}  # fmt: skip
# Where diffusers writes a LoRA's configuration, and what in it would need another formula.
METADATA = "lora_adapter_metadata"
OTHER_KINDS = ("use_dora", "use_rslora", "alpha_pattern")
# So many of the keys that do not fit are named.
NAMED = 3

# The modules of a transformer that can be changed: name to (outputs, inputs).
Shapes = dict[str, tuple[int, int]]
Identity = tuple[wire.LoRA, int, int]
# Called with the fraction of the weights that are done, 0 to 1.
OnProgress = collections.abc.Callable[[float], None]


@dataclasses.dataclass(frozen=True)
class Change:
    """How one file changes one weight: the keys of both factors, and what they are scaled by."""

    file: Path
    down: str
    up: str
    scale: float


def changes(file: Path, strength: float, shapes: Shapes) -> dict[str, Change]:
    """What a file says about each weight: module name -> change. Reads shapes and no factors.

    weights_missing, weights_corrupt, or lora_mismatch when anything in it is not for a transformer of these shapes: a
    LoRA that is merged in part gives a picture that nobody asked for.
    """
    label = f"{file.parent.name}/{file.name}"
    if file.suffix != ".safetensors" or not file.is_file():  # any other format can hold code
        raise WorkerError("weights_missing", f"the LoRA {label} is no .safetensors file that is here")
    weights.verify(file)
    flat = {name.replace(".", "_"): name for name in shapes}
    parts: dict[str, dict[str, str]] = {}
    unknown: list[str] = []
    found: dict[str, Change] = {}
    with opened(file, "cpu") as f:
        keys = list(f.keys())
        common = stated_alpha(f.metadata(), label)
        for key in keys:
            name, part = target(key, flat)
            if name in shapes and part not in parts.get(name, {}):
                parts.setdefault(name, {})[part] = key
            else:
                unknown.append(key)
        for name, keyed in parts.items():
            down, up = keyed.get(DOWN), keyed.get(UP)
            if down is None or up is None:
                unknown.extend(keyed.values())
                continue
            a, b = (tuple(f.get_slice(key).get_shape()) for key in (down, up))
            outputs, inputs = shapes[name]
            if len(a) != 2 or len(b) != 2 or a[1] != inputs or b != (outputs, a[0]) or a[0] < 1:
                unknown.append(f"{down} {list(a)} and {list(b)} for {outputs} x {inputs}")
                continue
            if ALPHA in keyed and f.get_slice(keyed[ALPHA]).get_shape() not in ([], [1]):
                unknown.append(keyed[ALPHA])
                continue
            alpha = f.get_tensor(keyed[ALPHA]).item() if ALPHA in keyed else common or a[0]
            found[name] = Change(file, down, up, strength * alpha / a[0])
    if unknown or not found:
        named = ", ".join(key[:100] for key in unknown[:NAMED]) or "none is there"
        count = f"{len(unknown)} of {len(keys)}"
        raise WorkerError("lora_mismatch", f"the LoRA {label} does not fit this model. Keys that do not, {count}: {named}")
    return found


def stated_alpha(metadata: dict[str, str] | None, label: str) -> float | None:
    """The alpha of all changes as diffusers writes it beside the tensors; None: each change's rank, so nothing is scaled."""
    try:
        raw = json.loads((metadata or {}).get(METADATA, "{}"))
        config = {key.removeprefix("transformer."): value for key, value in raw.items()}
        alpha = None if config.get("lora_alpha") is None else float(config["lora_alpha"])
    except (ValueError, TypeError, AttributeError) as err:
        raise WorkerError("lora_mismatch", f"the LoRA {label} has metadata that cannot be read") from err
    if kinds := [kind for kind in OTHER_KINDS if config.get(kind)]:
        raise WorkerError("lora_mismatch", f"the LoRA {label} is of a kind that qie does not merge: {', '.join(kinds)}")
    return alpha


def target(key: str, flat: dict[str, str]) -> tuple[str, str]:
    """Module name and part of a key in any trainer's spelling; ("", "") for one that is no change of a weight."""
    for suffix, part in SUFFIXES.items():
        if not key.endswith(suffix):
            continue
        name = key.removesuffix(suffix)
        for prefix in FLAT_PREFIXES:
            if name.startswith(prefix):
                return flat.get(name.removeprefix(prefix), ""), part
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        return name, part
    return "", ""


@contextlib.contextmanager
def opened(file: Path, device: str) -> collections.abc.Generator[typing.Any]:
    """A safetensors file; weights_corrupt when the library refuses what the header check let pass."""
    try:
        with safe_open(file, framework="pt", device=device) as f:
            yield f
    except SafetensorError as err:
        raise WorkerError("weights_corrupt", f"{file.parent.name}/{file.name} cannot be read") from err


def identity(lora: wire.LoRA) -> Identity:
    """What tells that a file is still the one that was merged."""
    with contextlib.suppress(OSError):
        state = Path(lora.path).stat()
        return lora, state.st_mtime_ns, state.st_size
    return lora, 0, 0


class Merger:
    """Which LoRAs the weights of a transformer hold now, and how they come to hold others."""

    def __init__(self, transformer: torch.nn.Module, files: list[Path], device: torch.device, dtype: torch.dtype) -> None:
        self._transformer = transformer
        self._files = files
        self._device = device
        self._dtype = dtype
        self._merged: list[Identity] | None = []  # None: unknown, because a merge did not end
        # Every weight that may differ from the files. It grows before a weight is changed and shrinks after one is
        # back, so that whatever interrupts a merge, the next one begins with what the files say.
        self._touched: set[str] = set()

    def forget(self) -> None:
        """The weights are gone; those that come next are the files'."""
        self._merged, self._touched = [], set()

    def check(self, wanted: collections.abc.Sequence[wire.LoRA]) -> list[dict[str, Change]]:
        """What each of these LoRAs changes; refuses one that does not fit. Needs the weights' shapes only."""
        shapes: Shapes = {
            name.removesuffix(".weight"): (p.shape[0], p.shape[1])
            for name, p in self._transformer.named_parameters()
            if name.endswith(".weight") and p.ndim == 2
        }
        return [changes(Path(w.path), w.strength, shapes) for w in wanted]

    def merge(self, wanted: collections.abc.Sequence[wire.LoRA], check: Check, progress: OnProgress) -> bool:
        """Make the weights hold exactly these LoRAs; whether anything had to be done. Calls check before every weight."""
        if (identities := [identity(w) for w in wanted]) == self._merged:
            return False
        found = self.check(wanted)  # before any weight is touched
        changed = {f"{name}.weight" for each in found for name in each}
        again = set(self._touched)
        self._merged = None
        self._touched |= changed
        total, done = len(self._touched), 0
        with contextlib.ExitStack() as stack, torch.no_grad():
            files = {Path(w.path): stack.enter_context(opened(Path(w.path), self._device.type)) for w in wanted}
            for key, weight in self._originals(changed, again):
                check()
                name = key.removesuffix(".weight")
                merged = added(weight, [(files[each[name].file], each[name]) for each in found if name in each])
                weights.assign(self._transformer, key, merged)
                if key not in changed:
                    self._touched.discard(key)
                done += 1
                progress(done / total)
        self._merged = identities
        return True

    def _originals(self, changed: set[str], again: set[str]) -> collections.abc.Iterator[tuple[str, torch.Tensor]]:
        """Each weight as the model's files have it: read again where it may be changed, else the one that is here."""
        yield from weights.read(self._files, again, self._device, self._dtype)
        for key in sorted(changed - again):
            yield key, self._transformer.get_parameter(key)


def added(weight: torch.Tensor, parts: list[tuple[typing.Any, Change]]) -> torch.Tensor:
    """The weight with the changes added, in float32; rounded once, at the end. The weight itself when there are none."""
    if not parts:
        return weight
    total = weight.float()
    for file, change in parts:
        up, down = file.get_tensor(change.up).float(), file.get_tensor(change.down).float()
        total = torch.addmm(total, up, down, alpha=change.scale)
    return total.to(weight.dtype)
