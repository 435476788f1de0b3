"""One edit from top to bottom: sources, text, references, denoise, decode, save.

Knows the order of the phases and tells them to `emit`. Sizes, steps and guidance come decided from the supervisor.
"""

import collections.abc
import hashlib
import math
import os
import time
from pathlib import Path

import numpy
import torch
from PIL import Image

from pyruntime import preview, vae, wire
from pyruntime.checkpoint import Checkpoint, key_of
from pyruntime.denoise import Grid, denoise, shifted
from pyruntime.errors import CancelFlag, WorkerError
from pyruntime.model import Model

Emit = collections.abc.Callable[[wire.Message], None]

# Mean difference per channel value, of 255, under which a person sees no change. The VAE alone moves a photo by 2 to 4;
# the comparison is therefore made with the source as the VAE gives it back.
UNCHANGED_MAX = 2.0
# Standard deviation of a flat picture's values, of 255.
FLAT_MAX = 0.5
# The one value of ref_fit beside "": all references have the shape of the first.
COVER = "cover"
# How often the decode tells how far it is, as a part of the phase.
FRACTION_STEP = 0.1
# As supervisor/model/preset.go and supervisor/job/lora.go say.
SHIFT_MAX = 100.0
STRENGTH_MAX = 2.0


def edit(request: wire.Generate, model: Model, emit: Emit, flag: CancelFlag, preview_side: int = 0, max_pixels: int = 0) -> wire.Result:
    """Run one attempt and give its result; the picture lies at request.result_path, synced.

    Raises WorkerError (input_bad, out_of_range, too_many_pixels, prompt_too_long, nan_output), OSError or Cancelled; then there is no
    file. preview_side 0 means no previews, max_pixels 0 no limit of ours.
    """
    check_ranges(request, 2 * model.vae.scale)
    clock = Clock()
    # Before the first phase: it is a part of loading. Where the transformer comes later, a file that does not fit is
    # refused here all the same.
    if model.staged:
        model.loras.check(request.loras)
    elif model.loras.merge(request.loras, flag.check, telling(emit, "loading", 0, request.steps)):
        clock.lap("merge")
    with torch.inference_mode():
        emit(wire.Phase(phase="encode"))  # 1. sources (H, W, 3), text (1, T, width), references (1, R, 64)
        sources = fit(read_sources(request, max_pixels), request.ref_fit)
        sizes = reference_sizes(request, model, sources)
        conditions, pictures = conditioning(request, model, sources, sizes)
        share = sharing(emit, "encode", request.steps)
        model.only(model.text.part, flag.check, share(0.0, 0.3))
        text = model.text.encode(request.prompt, conditions)
        guided = request.true_cfg_scale > 1 and bool(request.negative_prompt)
        negative = model.text.encode(request.negative_prompt, conditions) if guided else None
        emit(wire.Progress(phase="encode", steps=request.steps, fraction=0.5))
        model.only(None, flag.check, lambda _: None)
        encoded = [model.vae.encode(to_tensor(p, model)) for p in pictures]
        references = torch.cat([vae.pack(e) for e in encoded], dim=1)
        if model.staged:
            model.only(model.core, flag.check, share(0.5, 0.9))
            model.loras.merge(request.loras, flag.check, share(0.9, 1.0))
        clock.lap("encode")

        emit(wire.Phase(phase="denoise"))  # 2. latents (1, S, 64)
        emit(wire.Progress(phase="denoise", steps=request.steps))
        h, w = request.work_height // model.vae.scale, request.work_width // model.vae.scale
        grids: list[Grid] = [(1, h // 2, w // 2), *((1, e.shape[3] // 2, e.shape[4] // 2) for e in encoded)]

        begun = Checkpoint(request.checkpoint_path, key_of(request, model) if request.checkpoint_path else "")
        done, start = begun.last() or (0, None)
        if start is None:
            start = noise(request, model, h, w)
        else:
            start = start.to(model.vae.mean.device)
            emit(wire.Resumed(step=done))
            emit(wire.Progress(phase="denoise", step=done, steps=request.steps, fraction=done / request.steps))

        def on_step(step: int, finished: torch.Tensor, latents: torch.Tensor) -> None:
            seconds = clock.since()
            if step < request.steps:
                begun.save(step, latents)
            if model.preview and request.preview_path and preview_side and step < request.steps:
                image = preview.to_image(vae.unpack(finished, h, w), *model.preview, preview_side)
                preview.save(image, Path(request.preview_path))
                emit(wire.Preview(step=step, path=request.preview_path, width=image.width, height=image.height))
            emit(wire.Progress(phase="denoise", step=step, steps=request.steps, fraction=step / request.steps, step_s=seconds))

        latents = denoise(
            model.transformer, shifted(model.scheduler, request.shift), start, references, grids, text, negative,
            request.true_cfg_scale, request.steps, on_step, done,
        )  # fmt: skip
        model.only(None, flag.check, lambda _: None)
        clock.lap("denoise")

        emit(wire.Phase(phase="decode"))  # 3. pixels (3, H, W)
        decoded = decode(model, vae.unpack(latents, h, w), request, emit, flag)
        image = to_image(decoded)
        refuse_nothing(image, sources[0])
        clock.lap("decode")

    flag.check()
    emit(wire.Phase(phase="save"))  # 4. temp, fsync, rename
    unchanged = is_unchanged(image, pictures[0])
    if image.size != (request.out_width, request.out_height):
        image = image.resize((request.out_width, request.out_height), Image.Resampling.LANCZOS)
    size, digest = save(image, Path(request.result_path))
    clock.lap("save")
    return wire.Result(
        path=request.result_path, bytes=size, sha256=digest, width=image.width, height=image.height,
        seed=request.seed, timings=clock.timings(), unchanged=unchanged,
    )  # fmt: skip


class Clock:
    """Seconds of each phase, and of each step inside one."""

    def __init__(self) -> None:
        self._phase = self._step = time.monotonic()
        self._timings: list[wire.Timing] = []

    def since(self) -> float:
        """Seconds since the last call, or since the phase began."""
        now = time.monotonic()
        seconds, self._step = now - self._step, now
        return seconds

    def lap(self, name: str) -> None:
        """End a phase."""
        now = time.monotonic()
        self._timings.append(wire.Timing(name=name, seconds=now - self._phase))
        self._phase = self._step = now

    def timings(self) -> list[wire.Timing]:
        """What was measured, in order."""
        return self._timings


def check_ranges(request: wire.Generate, grid: int) -> None:
    """out_of_range for what would otherwise fail somewhere inside torch. grid: pixels per token of the transformer."""
    least = {"steps": 1, "work_width": grid, "work_height": grid, "out_width": 1, "out_height": 1, "ref_area": 1}
    for name, minimum in least.items():
        if (value := getattr(request, name)) < minimum:
            raise WorkerError("out_of_range", f"{name} is {value}, at least {minimum} is needed")
    if request.work_width % grid or request.work_height % grid:
        size = f"{request.work_width} x {request.work_height}"
        raise WorkerError("out_of_range", f"the working size {size} is no multiple of {grid}")
    # An infinite shift would be a schedule of ones, which never ends at a picture.
    if not 0 <= request.shift <= SHIFT_MAX:
        raise WorkerError("out_of_range", f"shift is {request.shift}, it must be 0 to {SHIFT_MAX}")
    for lora in request.loras:
        if not 0 < lora.strength <= STRENGTH_MAX:
            limit = f"it must be more than 0 and at most {STRENGTH_MAX}"
            raise WorkerError("out_of_range", f"the strength of a LoRA is {lora.strength}, {limit}")
    if request.ref_fit not in ("", COVER):
        raise WorkerError("out_of_range", f"ref_fit is {request.ref_fit!r}; {COVER!r} or nothing is known")
    if not -(1 << 63) <= request.seed < 1 << 63:
        raise WorkerError("out_of_range", "the seed has more than 64 bits")


def telling(emit: Emit, phase: str, step: int, steps: int) -> collections.abc.Callable[[float], None]:
    """Tells how far a phase is by a fraction of it, not more often than FRACTION_STEP."""
    told = 0.0

    def tell(fraction: float) -> None:
        nonlocal told
        if fraction >= told + FRACTION_STEP:
            told = fraction
            emit(wire.Progress(phase=phase, step=step, steps=steps, fraction=fraction))

    return tell


def sharing(emit: Emit, phase: str, steps: int) -> collections.abc.Callable[[float, float], collections.abc.Callable[[float], None]]:
    """Gives for a part of a phase, from one fraction of it to another, what tells how far that part is."""

    def share(begin: float, end: float) -> collections.abc.Callable[[float], None]:
        tell = telling(emit, phase, 0, steps)
        return lambda fraction: tell(begin + (end - begin) * fraction)

    return share


def read_sources(request: wire.Generate, max_pixels: int) -> list[Image.Image]:
    """The sources as RGB pictures. The supervisor wrote these PNG files itself; no other format is opened."""
    sources: list[Image.Image] = []
    for path in request.images:
        try:
            with Image.open(path, formats=["PNG"]) as image:
                if 0 < max_pixels < image.width * image.height:  # known from the header, before any pixel is read
                    raise WorkerError(
                        "too_many_pixels",
                        f"source {len(sources) + 1} has {image.width} x {image.height} pixels, the limit is {max_pixels}",
                    )
                sources.append(image.convert("RGB"))
        except Image.DecompressionBombError as err:
            raise WorkerError("too_many_pixels", f"source {len(sources) + 1} has too many pixels") from err
        except (OSError, SyntaxError, ValueError) as err:
            raise WorkerError("input_bad", f"cannot read source {len(sources) + 1}: {type(err).__name__}") from err
    if not sources:
        raise WorkerError("input_bad", "there is no source picture")
    return [collage(sources)] if request.collage and len(sources) > 1 else sources


def collage(sources: list[Image.Image]) -> Image.Image:
    """The pictures side by side at the height of the first, as the original program joined them."""
    height = sources[0].height
    scaled = [s.resize((max(1, round(s.width * height / s.height)), height), Image.Resampling.LANCZOS) for s in sources]
    joined = Image.new("RGB", (sum(s.width for s in scaled), height))
    left = 0
    for picture in scaled:
        joined.paste(picture, (left, 0))
        left += picture.width
    return joined


def fit(sources: list[Image.Image], how: str) -> list[Image.Image]:
    """The sources in the shapes that the model was trained with: "cover" crops all to the first's, "" leaves them."""
    first = sources[0]
    return [first, *(cover(s, first.width, first.height) for s in sources[1:])] if how == COVER else sources


def cover(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The largest part from the middle of a picture with the ratio of width to height, to the nearest pixel."""
    wide = min(picture.width, max(1, round(picture.height * width / height)))
    high = min(picture.height, max(1, round(picture.width * height / width)))
    left, top = (picture.width - wide) // 2, (picture.height - high) // 2
    return picture.crop((left, top, left + wide, top + high))


def area_size(area: int, width: int, height: int) -> tuple[int, int]:
    """Width and height in pixels with this area and about this ratio, multiples of 32, as the stock pipelines do."""
    ratio = width / height
    wide = math.sqrt(area * ratio)
    size = round(wide / 32) * 32, round(wide / ratio / 32) * 32
    if 0 in size:  # the stock pipelines fail inside the resize
        raise WorkerError("input_bad", f"a picture of {width} x {height} pixels is too narrow for {area} pixels")
    return size


def reference_sizes(request: wire.Generate, model: Model, sources: list[Image.Image]) -> list[tuple[int, int]]:
    """Width and height of each reference. Edit takes one source; Edit-Plus up to three."""
    if not model.plus and len(sources) > 1:
        raise WorkerError("too_many_images", f"this model edits 1 image, {len(sources)} were given")
    return [area_size(request.ref_area, s.width, s.height) for s in shapes(request, sources)]


def shapes(request: wire.Generate, sources: list[Image.Image]) -> list[Image.Image]:
    """Whose ratio each source has. A crop is off by parts of a pixel, which must not move it to another multiple of 32."""
    return [sources[0]] * len(sources) if request.ref_fit == COVER else sources


def conditioning(
    request: wire.Generate, model: Model, sources: list[Image.Image], sizes: list[tuple[int, int]]
) -> tuple[list[Image.Image], list[Image.Image]]:
    """The pictures for the text encoder, and those for the VAE. Edit shows both the same; Edit-Plus a smaller one."""
    references = [s.resize(size, Image.Resampling.LANCZOS) for s, size in zip(sources, sizes, strict=True)]
    if not model.plus:
        return references, references
    seen = [area_size(request.cond_area, s.width, s.height) for s in shapes(request, sources)]
    return [s.resize(size, Image.Resampling.LANCZOS) for s, size in zip(sources, seen, strict=True)], references


def to_tensor(picture: Image.Image, model: Model) -> torch.Tensor:
    """RGB picture -> (1, 3, 1, H, W) in -1..1 on the model's device, in its number format."""
    values = torch.from_numpy(numpy.array(picture).astype(numpy.float32) / 255.0).permute(2, 0, 1)
    return (2.0 * values - 1.0)[None, :, None].to(model.vae.mean.device, model.dtype)


def to_image(pixels: torch.Tensor) -> Image.Image:
    """(1, 3, H, W) in -1..1 -> RGB picture."""
    values = (pixels[0] * 0.5 + 0.5).clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()
    return Image.fromarray((values * 255).round().astype("uint8"))


def noise(request: wire.Generate, model: Model, h: int, w: int) -> torch.Tensor:
    """Start latents (1, S, 64). Drawn on the CPU in the model's number format: the seed gives the same on any device."""
    generator = torch.Generator("cpu").manual_seed(request.seed)
    channels = model.transformer.config.in_channels // 4
    drawn = torch.randn((1, 1, channels, h, w), generator=generator, dtype=model.dtype)
    return vae.pack(drawn.view(1, channels, 1, h, w)).to(model.vae.mean.device)


def decode(model: Model, latents: torch.Tensor, request: wire.Generate, emit: Emit, flag: CancelFlag) -> torch.Tensor:
    """Latents to pixels, telling how far it is by the layers that ran."""
    layers = sum(1 for m in model.vae.model.decoder.modules() if not any(m.children())) or 1
    layers *= model.vae.tiles(latents.shape[3], latents.shape[4])
    begin, tell = flag.checks, telling(emit, "decode", request.steps, request.steps)
    with flag.watched(lambda: tell(min((flag.checks - begin) / layers, 1.0))):
        return model.vae.decode(latents)


def refuse_nothing(image: Image.Image, source: Image.Image) -> None:
    """nan_output for a black or flat picture of a source that is neither: overflow shows so, and is no result."""
    if spread(image) < FLAT_MAX <= spread(source):
        red, green, blue = numpy.asarray(image).mean(axis=(0, 1)).round().astype(int)
        raise WorkerError("nan_output", f"the result is one flat colour ({red}, {green}, {blue}), which is no edit")


def spread(image: Image.Image) -> float:
    """Largest standard deviation of a channel over the pixels, of 255; 0 for one colour, however bright."""
    return float(numpy.asarray(image).std(axis=(0, 1)).max())


def is_unchanged(image: Image.Image, source: Image.Image) -> bool:
    """Whether a person would see no change. Compared at an eighth of the size, where the VAE's texture averages out."""
    small = tuple(max(1, side // 8) for side in image.size)
    a, b = (numpy.asarray(i.resize((small[0], small[1]), Image.Resampling.BOX), numpy.float32) for i in (image, source))
    return float(numpy.abs(a - b).mean()) < UNCHANGED_MAX


def save(image: Image.Image, path: Path) -> tuple[int, str]:
    """Write the PNG so that it is whole or absent, also after a power cut. Gives its bytes and sha256."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as f:
            image.save(f, format="PNG", compress_level=3)
            f.flush()
            os.fsync(f.fileno())
        data = temporary.read_bytes()
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return len(data), hashlib.sha256(data).hexdigest()
