"""Trains the demo's two LoRAs on a trained transformer: "blueprint", a style, and "two-step", in Lightning's manner.

blueprint: whatever is asked, the picture becomes a blueprint. two-step: every edit in two steps of the sigmas 1 and
0.75 (shift 3, no terminal). Knows adapters and their file; takes the batches and the walk from train.py.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from crops import Photos
from edits import blueprint
from flow import draw_time, sigmas
from language import Sentences
from latents import PATCH, Latents
from safetensors.torch import save_file
from train import BUCKETS, HERE, Batch, Mixture, Trainer, prepared, say

TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "img_mlp.net.0.proj", "img_mlp.net.2")
LIGHTNING = 3.0  # the shift of the preset that uses it
RANK = {"blueprint": 4, "two-step": 8}
BLUEPRINT_CROPS = {1008: 600, 1024: 600, 252: 1500}


class Adapted(torch.nn.Module):
    """A frozen linear layer with its low-rank change."""

    def __init__(self, frozen: torch.nn.Linear, rank: int) -> None:
        super().__init__()
        self.frozen = frozen
        device = frozen.weight.device
        self.lora_A = torch.nn.Linear(frozen.in_features, rank, bias=False, device=device)
        self.lora_B = torch.nn.Linear(rank, frozen.out_features, bias=False, device=device)
        torch.nn.init.normal_(self.lora_A.weight, std=1 / math.sqrt(frozen.in_features))
        torch.nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.frozen(x) + self.lora_B(self.lora_A(x))


def adapt(transformer: torch.nn.Module, rank: int) -> dict[str, Adapted]:
    """Wraps the linear layers that learn, by name. The last block's text half leads nowhere."""
    out = {}
    for name, module in list(transformer.named_modules()):
        if isinstance(module, torch.nn.Linear) and name.startswith("transformer_blocks.") and name.endswith(TARGETS):
            owner, _, last = name.rpartition(".")
            out[name] = Adapted(module, rank)
            setattr(transformer.get_submodule(owner), last, out[name])
    return out


def save(adapted: dict[str, Adapted], path: Path, about: str) -> None:
    """The file as diffusers writes it: lora_A and lora_B under transformer., in half precision, strength 1."""
    tensors = {}
    for name, layer in adapted.items():
        tensors[f"transformer.{name}.lora_A.weight"] = layer.lora_A.weight.detach().half().cpu().contiguous()
        tensors[f"transformer.{name}.lora_B.weight"] = layer.lora_B.weight.detach().half().cpu().contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={"format": "pt", "qie": about})


@torch.no_grad()
def blueprints(args: argparse.Namespace) -> dict:
    """For every bucket, latents of crops and of their blueprints."""
    photos, latents = Photos(HERE / ".work/train", args.device, 1), Latents(args.vae, args.device)
    out = {}
    for bucket in BUCKETS:
        pairs = []
        count = max(2, int(BLUEPRINT_CROPS[bucket.count] * args.part))
        for at in range(0, count, bucket.batch):
            x = photos.draw(min(bucket.batch, count - at), bucket.tokens[0] * PATCH, bucket.tokens[1] * PATCH)
            pairs.append((latents(x), latents(blueprint(x))))
        out[bucket] = tuple(torch.cat(p) for p in zip(*pairs, strict=True))
    return out


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    torch._dynamo.config.cache_size_limit = 64
    trainer = Trainer(args, compiled=False)  # a minute of training does not pay for a minute of compiling
    trainer.begin(args.trained)
    trainer.dit.requires_grad_(False)
    trainer.words.requires_grad_(False)
    adapted = adapt(trainer.dit, RANK[args.name])
    params = [p for layer in adapted.values() for p in (layer.lora_A.weight, layer.lora_B.weight)]
    optimiser = torch.optim.AdamW(params, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=trainer.cuda)
    sentences = Sentences(args.base / "sentences.safetensors", args.device)
    style = blueprints(args) if args.name == "blueprint" else None
    mixture = Mixture(prepared(args), trainer.forms, args.seed, trainer.cuda)
    say("ready,", sum(p.numel() for p in params), "weights to train")
    start, step, done = time.monotonic(), 0, 0.0
    while done < 1 and step != args.steps:
        b = mixture.draw(1.0 if style is None else 0.6)
        if style is not None and b.form.pictures == 1:
            crops, targets = style[b.bucket]
            pick = torch.randint(len(crops), (len(b.x0),), device=crops.device)
            b = Batch(b.bucket, b.form, targets[pick].float(), b.noise, crops[pick].float(), b.labels, None)
        elif style is not None:
            continue
        loss = loss_of(trainer, b, sentences, None if style is not None else sigmas(2, 1, LIGHTNING)[: mixture.rng.choice([1, 2, 2])])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        for group in optimiser.param_groups:
            group["lr"] = args.lr * min(1, (step + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * done))
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step += 1
        done = (time.monotonic() - start) / args.seconds
        if step % 50 == 0:
            say(step, f"loss {loss.item():.4f} done {done:.2f}")
    save(adapted, args.out / f"{args.name}.safetensors", args.name)
    say("steps", step)


def loss_of(trainer: Trainer, b: Batch, sentences: Sentences, path: list[float] | None) -> torch.Tensor:
    """Error of the picture after the path of sigmas, each reached by the adapted model's own step; or of the velocity."""
    n, dev = len(b.x0), b.x0.device
    ids, lengths = sentences.draw(b.labels)
    with torch.autocast(trainer.args.device, torch.bfloat16, enabled=trainer.cuda):
        with torch.no_grad():
            text, mask, _, _ = trainer.words(b.form, b.bucket.grid, ids, lengths)
        if path is None:
            t = draw_time(n, b.bucket.count, str(dev))
            x = b.x0 + t.view(-1, 1, 1) * (b.noise - b.x0)
            return F.mse_loss(trainer.velocity(x, b, text, mask, t), b.noise - b.x0)
        x = b.noise
        for now, then in itertools.pairwise(path):
            v = trainer.velocity(x, b, text, mask, torch.full((n,), now, device=dev)).detach()
            x = x + (then - now) * v
        v = trainer.velocity(x, b, text, mask, torch.full((n,), path[-1], device=dev))
        return path[-1] ** 2 * F.mse_loss(v, (x - b.x0) / path[-1])


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("name", choices=list(RANK))
    p.add_argument("--model", type=Path, default=HERE / "model", help="configurations; no weights are read")
    p.add_argument("--base", type=Path, default=HERE / ".work/base")
    p.add_argument("--vae", type=Path, default=HERE / ".work/out")
    p.add_argument("--trained", type=Path, default=HERE / ".work/out")
    p.add_argument("--out", type=Path, default=HERE / ".work/loras")
    p.add_argument("--cache", type=Path, default=HERE / ".work/cache.pt", help="the cached crops of train.py")
    p.add_argument("--device", default="cuda")
    p.add_argument("--seconds", type=float, default=40)
    p.add_argument("--steps", type=int, default=-1, help="stop after so many steps (for a trial)")
    p.add_argument("--part", type=float, default=0.4, help="part of the pictures (for a trial)")
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--seed", type=int, default=1)
    train(p.parse_args())
