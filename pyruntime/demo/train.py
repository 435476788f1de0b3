"""Trains the demo's transformer and text encoder together, from scratch, on one GPU (run 2 of 2).

Knows latents, prompts and optimisers; takes the autoencoder of train_vae.py and the tokenizer and vision
tower of base.py. Does not know packages or the product's loop. Writes half-precision state dicts that
export.py turns into the model directory; a checkpoint is written every two minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from autoencoder import Autoencoder
from crops import Photos
from diffusers import QwenImageTransformer2DModel
from edits import EDITS, NAMES
from muon import Muon
from phrasings import HELDOUT, sample
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

from pyruntime import text as template

HERE = Path(__file__).resolve().parent
SUFFIX, GRID_MOST = 48, 16
PATCH = 16  # picture pixels per side of a token
# tokens (height, width), grid of the condition image, pictures, edits of each, batch; first the small ones
SMALL = [
    ((14, 18), (3, 4), 1600, 5, 192),
    ((18, 14), (4, 3), 1200, 5, 192),
    ((12, 21), (3, 5), 1600, 5, 192),
    ((21, 12), (5, 3), 800, 5, 192),
]
LARGE = [
    ((32, 32), (4, 4), 900, 6, 48),
    ((28, 36), (3, 4), 800, 6, 48),
    ((36, 28), (4, 3), 500, 6, 48),
    ((24, 42), (3, 5), 500, 6, 48),
    ((42, 24), (5, 3), 300, 6, 48),
]
BUCKETS = SMALL + LARGE
SMALL_WEIGHTS, LARGE_WEIGHTS = (0.3, 0.25, 0.3, 0.15), (0.34, 0.24, 0.16, 0.16, 0.1)
LARGE_SHARE, LARGE_SHARE_LATE, LATE = 0.12, 0.6, 0.5
# Harder to draw, so seen more often; there are 40 shapes, so each less often.
HARD = {"edges", "sketch", "emboss", "threshold", "posterize", "solarize", "sharpen"}
HARD_WEIGHT, SHAPE_WEIGHT = 1.6, 0.22
PURE_NOISE = 0.15  # part of the steps at t = 1, where the whole result is decided
CLASS_WEIGHT = 0.05  # of the auxiliary head, which names the edit
LOST_PROMPTS, LOST_TOKENS = 0.3, 0.1  # so many prompts lose so many of their tokens
CHECKPOINT_SECONDS = 120
BEGIN = time.monotonic()


def say(*words: object) -> None:
    print(f"{time.monotonic() - BEGIN:6.1f}", *words, flush=True)


def pack(z: torch.Tensor) -> torch.Tensor:
    n, c, h, w = z.shape
    z = z.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return z.reshape(n, h * w // 4, c * 4)


class Latents:
    """Normalised, packed latents of pictures in 0..1, in half precision."""

    def __init__(self, folder: Path, device: str) -> None:
        facts = json.loads((folder / "vae.json").read_text())
        self.model = Autoencoder().eval()
        self.model.load_state_dict({k: v.float() for k, v in load_file(folder / "vae.safetensors").items()})
        self.model.to(device, memory_format=torch.channels_last)
        self.mean = torch.tensor(facts["latents_mean"], device=device).view(1, -1, 1, 1)
        self.std = torch.tensor(facts["latents_std"], device=device).view(1, -1, 1, 1)
        self.device = device

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = (2 * x - 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            z = self.model.encode(x)
        return pack((z.float() - self.mean) / self.std).half()


@torch.no_grad()
def cache(latents: Latents, photos: Photos, rng: random.Random, part: float) -> list[tuple[torch.Tensor, ...]]:
    """For every bucket: latents of crops, latents of edited crops, index of the crop and the edit of each."""
    weights = [SHAPE_WEIGHT if " circle " in n or " square " in n else HARD_WEIGHT if n in HARD else 1.0 for n in NAMES]
    out = []
    for (th, tw), _, count, each, batch in BUCKETS:
        count = max(2, int(count * part))
        sources = [photos.draw(min(batch, count - at), th * PATCH, tw * PATCH) for at in range(0, count, batch)]
        reference = torch.cat([latents(s) for s in sources])
        x = torch.cat([s.half() for s in sources])
        by_edit: dict[int, list[int]] = {}
        for i in range(count):
            for e in rng.choices(range(len(NAMES)), weights, k=each):
                by_edit.setdefault(e, []).append(i)
        index, label, targets = [], [], []
        for e, members in by_edit.items():
            for at in range(0, len(members), batch):
                chosen = members[at : at + batch]
                targets.append(latents(EDITS[NAMES[e]](x[chosen].float())))
                index += chosen
                label += [e] * len(chosen)
        out.append((reference, torch.cat(targets), torch.tensor(index), torch.tensor(label)))
    return out


def tokenised(tok: Tokenizer, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (N, SUFFIX) of what follows the image tokens, and their counts."""
    ids = torch.zeros(len(prompts), SUFFIX, dtype=torch.int32)
    lengths = torch.zeros(len(prompts), dtype=torch.long)
    texts = [f"<|vision_end|>{p}{template._END}" for p in prompts]
    for i, encoding in enumerate(tok.encode_batch(texts, add_special_tokens=False)):
        if len(encoding.ids) > SUFFIX:
            raise ValueError(f"{len(encoding.ids)} tokens in {prompts[i]!r}")
        ids[i, : len(encoding.ids)] = torch.tensor(encoding.ids)
        lengths[i] = len(encoding.ids)
    return ids, lengths


def positions(before: int, grid: tuple[int, int], device: str) -> torch.Tensor:
    """(3, T) positions of Qwen2.5-VL: the image tokens stand in a plane."""
    h, w = grid
    start = torch.arange(before).expand(3, -1)
    rows = torch.arange(h).repeat_interleave(w) + before
    columns = torch.arange(w).repeat(h) + before
    image = torch.stack([torch.full((h * w,), before), rows, columns])
    rest = (torch.arange(SUFFIX) + before + max(h, w)).expand(3, -1)
    return torch.cat([start, image, rest], 1).to(device)


class Words(torch.nn.Module):
    """The language half of the text encoder, and a head that names the edit (not exported)."""

    def __init__(self, language: Qwen2_5_VLTextModel, prefix: list[int], bank: torch.Tensor) -> None:
        super().__init__()
        self.language = language
        self.head = torch.nn.Linear(language.config.hidden_size, len(NAMES))
        self.register_buffer("prefix", torch.tensor(prefix), persistent=False)
        self.register_buffer("bank", bank.float(), persistent=False)

    def forward(
        self, ids: torch.Tensor, lengths: torch.Tensor, grid: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Hidden states after the system prompt, padded to one length; their mask; the guess of the edit."""
        n, dev, image = ids.shape[0], ids.device, grid[0] * grid[1]
        embed = self.language.embed_tokens
        seen = self.bank[torch.randint(len(self.bank), (n, image), device=dev)]
        start = embed(self.prefix).expand(n, -1, -1)
        x = torch.cat([start, seen.to(start.dtype), embed(ids)], 1)
        where = positions(len(self.prefix), grid, str(dev))[:, None].expand(3, n, -1)
        hidden = self.language(inputs_embeds=x, position_ids=where, use_cache=False).last_hidden_state
        fixed = len(self.prefix) + image
        last = hidden[torch.arange(n, device=dev), fixed + lengths - 1]
        hidden = F.pad(hidden, (0, 0, 0, GRID_MOST - image))
        mask = torch.arange(hidden.shape[1], device=dev)[None] < (fixed + lengths)[:, None]
        return hidden[:, template.DROP_TOKENS :], mask[:, template.DROP_TOKENS :], self.head(last.float())


def lose_tokens(ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Puts random tokens in the place of some words, so that no single word carries the meaning."""
    n = len(ids)
    place = torch.arange(SUFFIX, device=ids.device)[None]
    inside = (place > 0) & (place < lengths[:, None] - 5)  # not <|vision_end|>, not the end of the template
    lost = torch.rand(ids.shape, device=ids.device) < LOST_TOKENS
    lost &= torch.rand(n, 1, device=ids.device) < LOST_PROMPTS
    return torch.where(lost & inside, torch.randint_like(ids, 256, 2040), ids)


def real_rope(transformer: torch.nn.Module) -> None:
    """Gives the blocks cosines and sines instead of complex numbers: the same rotation, which compiles."""
    from diffusers.models.transformers import transformer_qwenimage as module

    def rotate(x, freqs, use_real=True, use_real_unbind_dim=-1):
        cos, sin = freqs
        a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(3).type_as(x)

    module.apply_rotary_emb_qwen = rotate
    old = transformer.pos_embed.forward
    table: dict = {}

    def both(img_shapes, device=None, max_txt_seq_len=None):
        key = (str(img_shapes[0]), int(max_txt_seq_len))
        if key not in table:
            pair = old(img_shapes, device=device, max_txt_seq_len=max_txt_seq_len)
            table[key] = tuple((f.real[:, None].clone(), f.imag[:, None].clone()) for f in pair)
        return table[key]

    transformer.pos_embed.forward = both


class Trainer:
    """Both networks, their moving average and the optimisers."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.cuda = args, args.device == "cuda"
        dit = QwenImageTransformer2DModel.from_config(
            QwenImageTransformer2DModel.load_config(args.model / "transformer", local_files_only=True)
        )
        torch.nn.init.zeros_(dit.proj_out.weight)
        torch.nn.init.zeros_(dit.proj_out.bias)
        language = Qwen2_5_VLTextModel(Qwen2_5_VLConfig.from_pretrained(args.model / "text_encoder").text_config)
        torch.nn.init.normal_(language.embed_tokens.weight, std=0.3)
        self.tokenizer = Tokenizer.from_file(str(args.base / "tokenizer.json"))
        prefix = self.tokenizer.encode(template._SYSTEM + "<|vision_start|>", add_special_tokens=False).ids
        words = Words(language, prefix, load_file(args.base / "bank.safetensors")["bank"])
        self.dit, self.words = dit.to(args.device).train(), words.to(args.device).train()
        self.params = dict(torch.nn.ModuleDict({"dit": self.dit, "words": self.words}).named_parameters())
        flat = ("embed", "head", "proj_out", "img_in", "txt_in", "norm_out", "time_text")
        matrices = [p for n, p in self.params.items() if p.ndim == 2 and not any(f in n for f in flat)]
        chosen = {id(p) for p in matrices}
        self.others = [p for p in self.params.values() if id(p) not in chosen]
        self.muon = Muon(matrices, args.lr)
        self.adam = torch.optim.AdamW(self.others, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=self.cuda)
        self.average = {n: p.detach().clone() for n, p in self.params.items()}
        real_rope(self.dit)
        if self.cuda:
            for block in self.dit.transformer_blocks:
                block.compile(dynamic=False)

    def update(self, factor: float, step: int) -> None:
        torch.nn.utils.clip_grad_norm_(self.others, 1.0)
        self.muon.step(factor)
        for group in self.adam.param_groups:
            group["lr"] = self.args.lr * 0.5 * factor
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        with torch.no_grad():
            decay = min(0.9985, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(self.average.values()), list(self.params.values()), 1 - decay)

    def save(self) -> None:
        """The moving average, in half precision: the transformer in two files, the language half in one."""
        out = self.args.out
        out.mkdir(parents=True, exist_ok=True)
        state = {k: v.detach().half().cpu().contiguous() for k, v in self.average.items()}
        dit = {k.removeprefix("dit."): v for k, v in state.items() if k.startswith("dit.")}
        names = list(dit)
        half = len(names) // 2
        save_file({k: dit[k] for k in names[:half]}, out / "dit1.safetensors")
        save_file({k: dit[k] for k in names[half:]}, out / "dit2.safetensors")
        prefix = "words.language."
        language = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        save_file(language, out / "words.safetensors")

    @torch.no_grad()
    def read_right(self, ids: torch.Tensor, lengths: torch.Tensor, truth: torch.Tensor) -> list[bool]:
        self.words.eval()
        with torch.autocast(self.args.device, torch.bfloat16, enabled=self.cuda):
            guess = self.words(ids, lengths, (3, 4))[2]
        self.words.train()
        return (guess.argmax(1) == truth).tolist()


def draw_time(n: int, tokens: int, device: str) -> torch.Tensor:
    """Times in 0..1, shifted as the scheduler shifts its sigmas for this many tokens."""
    mu = 0.5 + 0.4 * (tokens - 256) / (8192 - 256)
    u = torch.rand(n, device=device).clamp(1e-4, 1)
    t = math.exp(mu) / (math.exp(mu) + 1 / u - 1)
    return torch.where(torch.rand(n, device=device) < PURE_NOISE, torch.ones_like(t), t)


def train(args: argparse.Namespace) -> None:
    dev, cuda = args.device, args.device == "cuda"
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    torch._dynamo.config.cache_size_limit = 64
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    photos = Photos(HERE / ".work/train", dev, args.seed)
    say("pictures ready")
    data = cache(Latents(args.vae, dev), photos, rng, args.part)
    del photos
    say("latents", [tuple(d[1].shape) for d in data])

    trainer = Trainer(args)
    prompts = [sample(name, rng) for name in NAMES for _ in range(args.phrasings)]
    ids, lengths = (x.to(dev) for x in tokenised(trainer.tokenizer, prompts))
    held = [x.to(dev) for x in tokenised(trainer.tokenizer, [t for _, t in HELDOUT])]
    truth = torch.tensor([NAMES.index(n) for n, _ in HELDOUT], device=dev)
    say("prompts", len(prompts), "distinct", len(set(prompts)), "longest", int(lengths.max()))
    del prompts

    start = saved = time.monotonic()
    total = args.seconds - (start - BEGIN)
    step, done = 0, 0.0
    while done < 1 and not (args.steps and step >= args.steps):
        large = rng.random() < (LARGE_SHARE if done < LATE else LARGE_SHARE_LATE)
        if step < len(BUCKETS):
            b = step  # compiles every shape at once
        elif large:
            b = len(SMALL) + rng.choices(range(len(LARGE)), LARGE_WEIGHTS)[0]
        else:
            b = rng.choices(range(len(SMALL)), SMALL_WEIGHTS)[0]
        (th, tw), grid, _, _, batch = BUCKETS[b]
        tokens, batch = th * tw, batch if cuda else 2
        reference, target, index, label = data[b]
        pick = torch.randint(len(target), (batch,))
        e = label[pick]
        which = (e * args.phrasings + torch.randint(args.phrasings, (batch,))).to(dev)
        x0, ref = target[pick.to(dev)].float(), reference[index[pick].to(dev)].float()
        noise, t = torch.randn_like(x0), draw_time(batch, tokens, dev)
        xt = x0 + t.view(-1, 1, 1) * (noise - x0)
        with torch.autocast(dev, torch.bfloat16, enabled=cuda):
            text, mask, guess = trainer.words(lose_tokens(ids[which], lengths[which]), lengths[which], grid)
            shapes = [[(1, th, tw), (1, th, tw)]] * batch
            v = trainer.dit(torch.cat([xt, ref], 1), text, mask, t, shapes, return_dict=False)[0]
        loss = F.mse_loss(v[:, :tokens].float(), noise - x0)
        named = F.cross_entropy(guess, e.to(dev), label_smoothing=0.02)
        (loss + CLASS_WEIGHT * named).backward()
        factor = min(1, (step + 1) / 100)
        factor *= 1 if done < 0.3 else 0.5 * (1 + math.cos(math.pi * (done - 0.3) / 0.7))
        trainer.update(factor, step)
        step += 1
        now = time.monotonic()
        done = (now - start) / total
        if step % 100 == 0 or step < 12:
            say(step, f"bucket {b} loss {loss.item():.4f} class {named.item():.4f} done {done:.2f}")
        if step % 400 == 0:
            right = trainer.read_right(*held, truth)
            say("held-out wording, by the auxiliary head:", f"{sum(right)} of {len(right)}")
        if now - saved > CHECKPOINT_SECONDS:
            saved = now
            trainer.save()
            say("checkpoint")
    trainer.save()
    for (name, prompt), ok in zip(HELDOUT, trainer.read_right(*held, truth), strict=True):
        if not ok:
            say("misread", name, "|", prompt)
    say("steps", step)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--model", type=Path, default=HERE / "model", help="configurations; no weights are read")
    p.add_argument("--base", type=Path, default=HERE / ".work/base")
    p.add_argument("--vae", type=Path, default=HERE / ".work/out")
    p.add_argument("--out", type=Path, default=HERE / ".work/out")
    p.add_argument("--device", default="cuda")
    p.add_argument("--seconds", type=float, default=540)
    p.add_argument("--steps", type=int, default=0, help="stop after so many steps (for a trial)")
    p.add_argument("--part", type=float, default=1.0, help="part of the pictures (for a trial)")
    p.add_argument("--phrasings", type=int, default=4000, help="sentences for each edit")
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--seed", type=int, default=1)
    train(p.parse_args())
