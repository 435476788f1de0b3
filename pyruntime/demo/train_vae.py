"""Trains the demo's autoencoder from scratch on one GPU.

Knows pictures and the autoencoder; does not know prompts. Writes its weights, the statistics of its
latents and the preview matrix (latents to colours), also every two minutes. A run ends after --run seconds with its
whole state in --state, and the next run with the same --state goes on, until --seconds of training are done.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from autoencoder import Autoencoder
from crops import Photos
from edits import EDITS, NAMES
from muon import Muon
from PIL import Image, ImageOps
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
# (side in pixels, batch) of the two phases, and the part of the time at which the second begins.
SMALL, LARGE, TURN = (128, 96), (256, 24), 0.7
EDITED, EDIT_GROUPS = 0.4, 4
CHECKPOINT_SECONDS = 120
BEGIN = time.monotonic()


def say(*words: object) -> None:
    print(f"{time.monotonic() - BEGIN:6.1f}", *words, flush=True)


def batch_of(photos: Photos, side: int, count: int, rng: random.Random) -> torch.Tensor:
    """Crops in -1..1, a part of them after a random edit: the decoder must be able to draw every result."""
    x = photos.draw(count, side, side)
    size = max(1, round(count * EDITED / EDIT_GROUPS))
    for group in range(EDIT_GROUPS):
        part = slice(group * size, (group + 1) * size)
        if len(x[part]):
            x[part] = EDITS[rng.choice(NAMES)](x[part])
    return 2 * x - 1


def loss_of(out: torch.Tensor, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    out, z = out.float(), z.float()
    squares = (out - x).square().mean((1, 2, 3))
    down = (out.diff(dim=2) - x.diff(dim=2)).abs().mean()
    across = (out.diff(dim=3) - x.diff(dim=3)).abs().mean()
    return 0.1 * (squares + 4e-4).log().mean() + F.l1_loss(out, x) + 0.5 * (down + across) + 1e-4 * z.square().mean()


def tests(folder: Path, side: int, device: str) -> torch.Tensor:
    """Middle squares of the held-out photographs, in -1..1."""
    out = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as opened:
            square = ImageOps.fit(opened.convert("RGB"), (side, side), Image.Resampling.LANCZOS)
        out.append(torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 127.5 - 1)
    return torch.stack(out).to(device)


@torch.no_grad()
def psnr(model: Autoencoder, pictures: torch.Tensor) -> float:
    values = []
    for x in pictures.split(4):
        out = model.decode(model.encode(x)).clamp(-1, 1)
        values += (10 * torch.log10(4 / (out - x).square().mean((1, 2, 3)))).tolist()
    return sum(values) / len(values)


@torch.no_grad()
def statistics(model: Autoencoder, photos: Photos, rng: random.Random, rounds: int) -> dict:
    """Mean and spread of the latents, and the least-squares matrix from normalised latents to colours."""
    latents, colours = [], []
    for _ in range(rounds):
        x = batch_of(photos, 256, 16, rng)
        latents.append(model.encode(x).float().permute(0, 2, 3, 1).reshape(-1, 16).double())
        colours.append(F.avg_pool2d(x / 2 + 0.5, 8).permute(0, 2, 3, 1).reshape(-1, 3).double())
    z, c = torch.cat(latents), torch.cat(colours)
    mean, std = z.mean(0), z.std(0)
    ones = torch.ones(len(z), 1, dtype=z.dtype, device=z.device)
    solved = torch.linalg.lstsq(torch.cat([(z - mean) / std, ones], 1).cpu(), c.cpu()).solution
    return {
        "latents_mean": [round(v, 4) for v in mean.tolist()],
        "latents_std": [round(v, 4) for v in std.tolist()],
        "preview": {
            "matrix": [[round(v, 5) for v in row] for row in solved[:-1].tolist()],
            "bias": [round(v, 5) for v in solved[-1].tolist()],
        },
    }


def save(model: Autoencoder, photos: Photos, out: Path, seed: int, rounds: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().float().cpu().contiguous() for k, v in model.state_dict().items()}
    save_file(state, out / "vae.safetensors")
    facts = statistics(model, photos, random.Random(seed), rounds)
    (out / "vae.json").write_text(json.dumps(facts, indent=1) + "\n")


def train(args: argparse.Namespace) -> None:
    cuda = args.device == "cuda"
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    photos = Photos(HERE / ".work/train", args.device, args.seed)
    held = {side: tests(HERE / ".work/test", side, args.device) for side in (256, 512)} if cuda else {}
    model = Autoencoder().to(args.device, memory_format=torch.channels_last)
    kept = Autoencoder().to(args.device, memory_format=torch.channels_last)  # the moving average
    kept.load_state_dict(model.state_dict())
    say("pictures ready", torch.__version__, sum(p.numel() for p in model.parameters()), "weights")
    ends = ("encoder.conv_in", "decoder.conv_out")
    kernels = [p for n, p in model.named_parameters() if p.ndim == 4 and not n.startswith(ends)]
    chosen = {id(p) for p in kernels}
    others = [p for p in model.parameters() if id(p) not in chosen]
    muon = Muon(kernels, args.lr)
    adam = torch.optim.AdamW(others, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=cuda)
    network = torch.compile(model, dynamic=False) if cuda else model

    step, before = 0, 0.0
    if args.state.exists():
        state = torch.load(args.state, map_location=args.device, weights_only=True)
        model.load_state_dict(state["model"])
        kept.load_state_dict(state["kept"])
        muon.momentum = state["muon"]
        adam.load_state_dict(state["adam"])
        step, before = state["step"], state["trained"]
        torch.manual_seed(args.seed + step)
        rng = random.Random(args.seed + step)
        say("goes on after", step, "steps,", round(before), "seconds")

    def suspend() -> None:
        """Beside its own file, so that a kill leaves the old one whole."""
        state = {"model": model.state_dict(), "kept": kept.state_dict(), "muon": muon.momentum, "adam": adam.state_dict()}
        args.state.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state | {"step": step, "trained": done * args.seconds}, args.state.with_suffix(".new"))
        args.state.with_suffix(".new").replace(args.state)

    start = saved = time.monotonic()
    done = before / args.seconds
    while done < 1 and time.monotonic() - BEGIN < args.run and not (args.steps and step >= args.steps):
        side, count = SMALL if done < TURN else LARGE
        x = batch_of(photos, side, count if cuda else 4, rng).contiguous(memory_format=torch.channels_last)
        noise = torch.randn(len(x), 16, side // 8, side // 8, device=args.device)
        amount = 0.1 * torch.rand(len(x), 1, 1, 1, device=args.device)
        with torch.autocast(args.device, torch.bfloat16, enabled=cuda):
            out, z = network(x, noise, amount)
        loss = loss_of(out, x, z)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        factor = min(1, (step + 1) / 50)
        factor *= 1 if done < 0.35 else 0.5 * (1 + math.cos(math.pi * (done - 0.35) / 0.65))
        muon.step(torch.tensor(factor, device=args.device))
        for group in adam.param_groups:
            group["lr"] = args.lr * factor
        adam.step()
        adam.zero_grad(set_to_none=True)
        with torch.no_grad():
            decay = min(0.999, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(kept.parameters()), list(model.parameters()), 1 - decay)
        step += 1
        now = time.monotonic()
        done = (before + now - start) / args.seconds
        if step % 200 == 0 or step < 4:
            say(step, f"side {side} loss {loss.item():.4f} done {done:.2f}")
        if now - saved > CHECKPOINT_SECONDS:
            saved = now
            save(kept, photos, args.out, args.seed, 4)
            suspend()
            say("checkpoint", {side: round(psnr(kept, held[side]), 2) for side in held})
    save(kept, photos, args.out, args.seed, 60 if cuda else 1)
    suspend()
    say("steps", step, "held-out PSNR", {side: round(psnr(kept, held[side]), 2) for side in held})


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--out", type=Path, default=HERE / ".work/out")
    p.add_argument("--device", default="cuda")
    p.add_argument("--state", type=Path, default=HERE / ".work/state-vae.pt", help="goes on from here if it exists")
    p.add_argument("--seconds", type=float, default=500, help="of training, in all runs together")
    p.add_argument("--run", type=float, default=525, help="seconds after which this run ends")
    p.add_argument("--steps", type=int, default=0, help="stop after so many steps (for a trial)")
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--seed", type=int, default=1)
    train(p.parse_args())
