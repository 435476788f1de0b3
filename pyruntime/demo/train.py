"""Trains the demo's transformer and text encoder together, from scratch, on one GPU.

Knows optimisers, the mixture of batches and checkpoints; takes the autoencoder of train_vae.py and what base.py made.
Does not know packages or the product's loop. A run ends after --run seconds with its whole state in --state, and the
next run with the same --state goes on, until --seconds of training are done. Half-precision state dicts, which
export.py turns into the model directory, are written at the end and every two minutes.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from crops import Photos
from diffusers import QwenImageTransformer2DModel
from flow import draw_time, walk
from language import Sentences, Template, Words, heads_of, heldout_form, lose_tokens, templates, tokenised
from latents import LARGE, SMALL, Bucket, Cached, Latents, cached
from muon import Muon
from phrasings import HELDOUT, LABELS
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

HERE = Path(__file__).resolve().parent
BUCKETS = SMALL + LARGE
# A bucket and a number of pictures for every length of a batch that there is.
SHAPES = [(SMALL[0], 1), (LARGE[0], 1), (LARGE[1], 1), (SMALL[0], 2), (LARGE[1], 2), (SMALL[0], 3)]
LARGE_SHARE, LARGE_SHARE_LATE, LATE = 0.12, 0.58, 0.45
SEVERAL, THREE = 0.22, 0.3  # part of the batches with several pictures, and of the small ones of these with three
REFERENCE_SHARE = 0.8  # of such a batch; the rest asks for an edit of the first picture alone
WALK_FROM, WALK_SHARE = 0.3, 0.5
NAMING = 0.05  # weight of the heads' loss
READ = 512  # sentences of each other step that are read without a picture to draw
GRAPH_AFTER = 4  # updates, which make the optimisers' state
CHECKPOINT_SECONDS = 120
BEGIN = time.monotonic()


def say(*words: object) -> None:
    print(f"{time.monotonic() - BEGIN:6.1f}", *words, flush=True)


def quickened(transformer: torch.nn.Module) -> None:
    """Gives the blocks cosines and sines instead of complex numbers, the same rotation, which compiles; and takes out
    the measuring of the mask, which waits for the GPU and whose result nobody uses."""
    from diffusers.models.transformers import transformer_qwenimage as module

    module.compute_text_seq_len_from_mask = lambda states, mask: (states.shape[1], None, mask)

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


@dataclass
class Batch:
    """One mixture: exact latents, noise, references (N, pictures * tokens, 64), labels, and the template."""

    bucket: Bucket
    form: Template
    x0: torch.Tensor
    noise: torch.Tensor
    references: torch.Tensor
    labels: torch.Tensor
    path: list[float] | None  # sigmas of the model's own walk


class Mixture:
    """Draws batches from the cached crops."""

    def __init__(self, data: list[Cached], forms: dict[tuple[bool, int], Template], seed: int, full: bool) -> None:
        self.data, self.forms, self.rng, self.full = data, forms, random.Random(seed), full
        self.several = {True: [b for b in LARGE if b.references], False: [b for b in SMALL if b.references]}
        words = [label.split(" ") for label in LABELS]
        self.third = torch.tensor([len(w) > 1 and w[1] == "3" for w in words], device=data[0].labels.device)

    def draw(self, done: float) -> Batch:
        rng = self.rng
        large = rng.random() < (LARGE_SHARE if done < LATE else LARGE_SHARE_LATE)
        pictures = 1
        if rng.random() < SEVERAL:
            pictures = 3 if not large and rng.random() < THREE else 2
        choices = (LARGE if large else SMALL) if pictures == 1 else self.several[large]
        bucket = rng.choices(choices, [b.weight for b in choices])[0]
        path = walk(bucket.count, rng) if done > WALK_FROM and rng.random() < WALK_SHARE else None
        return self.make(bucket, pictures, path)

    def make(self, bucket: Bucket, pictures: int, path: list[float] | None) -> Batch:
        data = self.data[BUCKETS.index(bucket)]
        n = int(bucket.batch * (1, 1, 0.7, 0.5)[pictures]) if self.full else 2
        dev = data.crops.device
        pick = torch.randint(data.singles, (n,), device=dev)
        if pictures > 1:
            others = torch.randint(data.singles, len(data.labels), (n,), device=dev)
            pick = torch.where(torch.rand(n, device=dev) < REFERENCE_SHARE, others, pick)
        form = self.forms[pictures > 1 or self.rng.random() < 0.6, pictures]
        labels, shown = data.labels[pick], data.pictures[pick, :pictures]
        if pictures == 2:  # what asks for the third has no place here
            wrong = self.third[labels]
            pick = torch.where(wrong, torch.randint(data.singles, (n,), device=dev), pick)
            labels, shown = data.labels[pick], data.pictures[pick, :pictures]
        x0 = data.targets[pick].float()
        references = data.crops[shown].float().flatten(1, 2)
        return Batch(bucket, form, x0, torch.randn_like(x0), references, labels, path)


class Trainer:
    """Both networks, their moving average and the optimisers."""

    def __init__(self, args: argparse.Namespace, *, compiled: bool) -> None:
        self.args, self.cuda = args, args.device == "cuda"
        dit = QwenImageTransformer2DModel.from_config(
            QwenImageTransformer2DModel.load_config(args.model / "transformer", local_files_only=True)
        )
        torch.nn.init.zeros_(dit.proj_out.weight)
        torch.nn.init.zeros_(dit.proj_out.bias)
        language = Qwen2_5_VLTextModel(Qwen2_5_VLConfig.from_pretrained(args.model / "text_encoder").text_config)
        torch.nn.init.normal_(language.embed_tokens.weight, std=0.3)
        self.tokenizer = Tokenizer.from_file(str(args.base / "tokenizer.json"))
        self.forms = templates(self.tokenizer)
        words = Words(language, load_file(args.base / "bank.safetensors")["bank"])
        self.dit, self.words = dit.to(args.device).train(), words.to(args.device).train()
        self.vocabulary = language.config.vocab_size
        self.params = dict(torch.nn.ModuleDict({"dit": self.dit, "words": self.words}).named_parameters())
        flat = ("embed", "words.first", "words.second", "proj_out", "img_in", "txt_in", "norm_out", "time_text")
        matrices = [p for n, p in self.params.items() if p.ndim == 2 and not any(f in n for f in flat)]
        chosen = {id(p) for p in matrices}
        self.others = [p for p in self.params.values() if id(p) not in chosen]
        self.muon = Muon(matrices, args.lr)
        self.factor = torch.zeros((), device=args.device)  # of the learning rate
        self.adam = torch.optim.AdamW(
            self.others,
            lr=torch.zeros((), device=args.device),
            betas=(0.9, 0.98),
            weight_decay=0.0,
            fused=self.cuda,
            capturable=self.cuda,
        )
        for p in self.others:
            p.grad = torch.zeros_like(p)
        self.average = {n: p.detach().clone() for n, p in self.params.items()}
        self.keep = torch.zeros((), device=args.device)  # part of the new weights in the moving average
        self.graph: torch.cuda.CUDAGraph | None = None  # the update, as one launch instead of hundreds
        self.updates = 0  # in this run
        self.step, self.trained = 0, 0.0  # steps, and seconds of training in all runs
        quickened(self.dit)
        if self.cuda and compiled:
            for block in self.dit.transformer_blocks:
                block.compile(dynamic=False)  # one for all sizes takes longer than one for each

    def velocity(self, x: torch.Tensor, b: Batch, text: torch.Tensor, mask: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        shapes = [[(1, *b.bucket.tokens)] * (b.form.pictures + 1)] * len(x)
        out = self.dit(torch.cat([x, b.references], 1), text, mask, t, shapes, return_dict=False)[0]
        return out[:, : b.bucket.count].float()

    def loss(self, b: Batch, sentences: Sentences) -> tuple[torch.Tensor, torch.Tensor]:
        """Error of the velocity (of the picture, at the end of a walk), and of the heads."""
        n, dev = len(b.x0), b.x0.device
        ids, lengths = sentences.draw(b.labels)
        with torch.autocast(self.args.device, torch.bfloat16, enabled=self.cuda):
            ids = lose_tokens(ids, lengths, self.vocabulary)
            text, mask, first, second = self.words(b.form, b.bucket.grid, ids, lengths)
            if b.path is None:
                t = draw_time(n, b.bucket.count, str(dev))
                x, weight = b.x0 + t.view(-1, 1, 1) * (b.noise - b.x0), 1.0
                wanted = b.noise - b.x0
            else:
                x = b.noise
                for now, then in itertools.pairwise(b.path):
                    # With gradients on, and thrown away: without them every block would be compiled once more.
                    v = self.velocity(x, b, text.detach(), mask, torch.full((n,), now, device=dev))
                    x = x + (then - now) * v.detach()
                    del v
                t = torch.full((n,), b.path[-1], device=dev)
                wanted, weight = (x - b.x0) / b.path[-1], b.path[-1] ** 2
            v = self.velocity(x, b, text, mask, t)
        named = self.naming(first, second, sentences, b.labels)
        if self.step % 2 == 0:
            named = named + 2 * self.reading(b, sentences)
        return weight * F.mse_loss(v, wanted), named

    @staticmethod
    def naming(first: torch.Tensor, second: torch.Tensor, sentences: Sentences, labels: torch.Tensor) -> torch.Tensor:
        """Error of both heads."""
        named = F.cross_entropy(first, sentences.first[labels], label_smoothing=0.02)
        return named + F.cross_entropy(second, sentences.second[labels], label_smoothing=0.02)

    def reading(self, b: Batch, sentences: Sentences) -> torch.Tensor:
        """Error of the heads on sentences of every label: a step draws far fewer pictures than it could read."""
        ids, lengths, labels = sentences.any(READ if self.cuda else 4)
        with torch.autocast(self.args.device, torch.bfloat16, enabled=self.cuda):
            ids = lose_tokens(ids, lengths, self.vocabulary)
            _, _, first, second = self.words(self.forms[b.form.pictures > 1, 1], b.bucket.grid, ids, lengths)
        return self.naming(first, second, sentences, labels)

    def begin(self, folder: Path) -> None:
        """Takes the weights that a training ended with."""
        state = {k: v for name in ("dit1", "dit2") for k, v in load_file(folder / f"{name}.safetensors").items()}
        self.dit.load_state_dict({k: v.float() for k, v in state.items()})
        self.words.language.load_state_dict({k: v.float() for k, v in load_file(folder / "words.safetensors").items()})
        self.average = {n: p.detach().clone() for n, p in self.params.items()}

    def update(self, factor: float) -> None:
        self.factor.fill_(factor)
        self.keep.fill_(1 - min(0.9985, (self.step + 1) / (11 + self.step)))
        if self.cuda and self.updates == GRAPH_AFTER:
            torch.cuda.synchronize()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.optimise()
        if self.graph:
            self.graph.replay()
        else:
            self.optimise()
        self.step += 1
        self.updates += 1

    def optimise(self) -> None:
        """One update of all weights and of their moving average; clears the gradients."""
        torch.nn.utils.clip_grad_norm_(self.others, 1.0)
        self.muon.step(self.factor)
        for group in self.adam.param_groups:
            group["lr"].copy_(self.factor * (self.args.lr * 0.5))
        self.adam.step()
        with torch.no_grad():
            torch._foreach_zero_([p.grad for p in self.others])
            ahead = torch._foreach_sub(list(self.params.values()), list(self.average.values()))
            torch._foreach_mul_(ahead, self.keep)
            torch._foreach_add_(list(self.average.values()), ahead)

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

    def suspend(self) -> None:
        """Everything that the next run needs, beside its own file so that a kill leaves the old one whole."""
        state = {
            "params": {n: p.detach() for n, p in self.params.items()},
            "average": self.average,
            "muon": self.muon.momentum,
            "adam": self.adam.state_dict(),
            "step": self.step,
            "trained": self.trained,
        }
        self.args.state.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.args.state.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self.args.state)

    @torch.no_grad()
    def resume(self) -> None:
        state = torch.load(self.args.state, map_location=self.args.device, weights_only=True)
        for n, p in self.params.items():
            p.copy_(state["params"][n])
        self.average, self.muon.momentum = state["average"], state["muon"]
        self.adam.load_state_dict(state["adam"])
        self.step, self.trained = state["step"], state["trained"]

    @torch.no_grad()
    def misread(self) -> list[tuple[str, str]]:
        """Held-out sentences that the heads name wrongly; for watching only, nothing is chosen by them."""
        self.words.eval()
        rng, out = random.Random(1), []
        grouped: dict[Template, list[tuple[str, str]]] = {}
        for label, prompt in HELDOUT:
            grouped.setdefault(heldout_form(label, self.forms, rng), []).append((label, prompt))
        for form, rows in grouped.items():
            ids, lengths = (x.to(self.args.device) for x in tokenised(self.tokenizer, [p for _, p in rows]))
            with torch.autocast(self.args.device, torch.bfloat16, enabled=self.cuda):
                _, _, first, second = self.words(form, (3, 4), ids, lengths)
            said = torch.stack([first.argmax(1), second.argmax(1)], 1).tolist()
            out += [row for row, s in zip(rows, said, strict=True) if tuple(s) != heads_of(row[0])]
        self.words.train()
        return out


def prepared(args: argparse.Namespace) -> list[Cached]:
    """The cached crops, from an earlier run on this machine if they are there."""
    if args.cache.exists():
        return torch.load(args.cache, map_location=args.device, weights_only=False)
    photos = Photos(HERE / ".work/train", args.device, 1)
    say("pictures ready")
    rng, latents = random.Random(1), Latents(args.vae, args.device)
    torch.manual_seed(1)
    data = [cached(latents, photos, bucket, rng, args.part) for bucket in BUCKETS]
    args.cache.parent.mkdir(parents=True, exist_ok=True)
    fresh = args.cache.with_suffix(".new")
    torch.save(data, fresh)
    fresh.replace(args.cache)
    return data


def compile_shapes(trainer: Trainer, sentences: Sentences) -> None:
    """Compiles the blocks for every length of a batch, with noise as pictures: the crops need not be there yet."""
    dev = trainer.args.device
    data = []
    for b in BUCKETS:
        noise = torch.randn(8, b.count, 64, device=dev).half()
        labels = torch.randint(len(LABELS), (8,), device=dev)
        data.append(Cached(noise, noise, torch.randint(8, (8, 3), device=dev), labels, singles=4))
    mixture = Mixture(data, trainer.forms, trainer.args.seed, trainer.cuda)
    for bucket, pictures in SHAPES:
        loss, named = trainer.loss(mixture.make(bucket, pictures, None), sentences)
        (loss + NAMING * named).backward()
    torch._foreach_zero_([p.grad for p in trainer.params.values()])


def train(args: argparse.Namespace) -> None:
    torch._dynamo.config.cache_size_limit = 64
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if args.only_cache:
        prepared(args)
        return
    # Another process caches the crops while this one compiles: each takes a minute and a half.
    other = subprocess.Popen([sys.executable, *sys.argv, "--only-cache"])
    torch.manual_seed(args.seed)
    trainer = Trainer(args, compiled=args.device == "cuda")
    sentences = Sentences(args.base / "sentences.safetensors", args.device)
    if trainer.cuda:
        compile_shapes(trainer, sentences)
        say("every shape is compiled")
    if other.wait():
        raise SystemExit("caching the crops failed")
    data = prepared(args)
    say("latents", [tuple(d.targets.shape) for d in data])
    if args.state.exists():
        trainer.resume()
        say("goes on after", trainer.step, "steps,", round(trainer.trained), "seconds")
    mixture = Mixture(data, trainer.forms, args.seed + trainer.step, trainer.cuda)
    torch.manual_seed(args.seed + trainer.step)
    before, start = trainer.trained, time.monotonic()
    saved = start
    first = trainer.step
    while trainer.trained < args.seconds and time.monotonic() - BEGIN < args.run and trainer.step != args.steps:
        done = trainer.trained / args.seconds
        b = mixture.draw(done)
        loss, named = trainer.loss(b, sentences)
        (loss + NAMING * named).backward()
        factor = min(1, (trainer.step + 1) / 100)
        factor *= 1 if done < 0.3 else 0.5 * (1 + math.cos(math.pi * (done - 0.3) / 0.7))
        trainer.update(factor)
        now = time.monotonic()
        trainer.trained = before + now - start
        if trainer.step % 100 == 0 or trainer.step - first < 2:
            kind = f"{b.bucket.tokens} pictures {b.form.pictures} " + (f"walk {len(b.path)}" if b.path else "noised")
            say(trainer.step, kind, f"loss {loss.item():.4f} names {named.item():.3f} done {done:.2f}")
        if trainer.step % 1000 == 0:
            say("held-out sentences misread by the heads:", len(trainer.misread()), "of", len(HELDOUT))
        if now - saved > CHECKPOINT_SECONDS:
            saved = now
            trainer.save()
            trainer.suspend()
            say("checkpoint")
    trainer.save()
    trainer.suspend()
    for name, prompt in (wrong := trainer.misread()):
        say("misread", name, "|", prompt)
    say("steps", trainer.step, "seconds", round(trainer.trained), "misread", len(wrong), "of", len(HELDOUT))


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--model", type=Path, default=HERE / "model", help="configurations; no weights are read")
    p.add_argument("--base", type=Path, default=HERE / ".work/base")
    p.add_argument("--vae", type=Path, default=HERE / ".work/out")
    p.add_argument("--out", type=Path, default=HERE / ".work/out")
    p.add_argument("--state", type=Path, default=HERE / ".work/state.pt", help="goes on from here if it exists")
    p.add_argument("--cache", type=Path, default=HERE / ".work/cache.pt", help="the crops, cached for the next run too")
    p.add_argument("--device", default="cuda")
    p.add_argument("--seconds", type=float, default=660, help="of training, in all runs together")
    p.add_argument("--run", type=float, default=530, help="seconds after which this run ends")
    p.add_argument("--steps", type=int, default=-1, help="stop after so many steps (for a trial)")
    p.add_argument("--part", type=float, default=1.0, help="part of the pictures (for a trial)")
    p.add_argument("--only-cache", action="store_true", help="caches the crops and ends; a training starts itself so")
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--seed", type=int, default=1)
    train(p.parse_args())
