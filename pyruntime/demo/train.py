"""Trains the transformer and the text encoder of the demo model, on one GPU, in minutes.

Knows latents, prompts and optimisers; starts from a model directory (its VAE, tokenizer, vision
tower and weights). Does not know packages or the product. Writes half-precision state dicts that
`export.py` turns into the model directory.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from edits import EDITS, NAMES
from phrasings import HELDOUT, sample
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
DROP, SUFFIX = 64, 48
# tokens (height, width), grid of the condition image, pictures, edits of each, batch
BUCKETS = [
    ((16, 16), (4, 4), 2500, 4, 192),
    ((14, 18), (3, 4), 2500, 4, 192),
    ((18, 14), (4, 3), 1200, 4, 192),
    ((28, 36), (3, 4), 1300, 5, 48),
    ((36, 28), (4, 3), 500, 5, 48),
    ((32, 32), (4, 4), 700, 5, 48),
]
SHARE = [0.14, 0.14, 0.08, 0.3, 0.12, 0.22]
HARD = {"edges", "sketch", "emboss", "threshold", "posterize", "solarize", "sharpen"}
BEGIN = time.monotonic()


def say(*words: object) -> None:
    print(f"{time.monotonic() - BEGIN:6.1f}", *words, flush=True)


def fold_vae(vae: torch.nn.Module) -> None:
    """Lets each causal 3-D convolution run as the 2-D one that a single picture needs."""
    from diffusers.models.autoencoders import autoencoder_kl_qwenimage as module

    def forward(self, x, cache_x=None):
        pad = (self._padding[2], self._padding[0])
        kernel = self.weight[:, :, -1]
        return F.conv2d(x[:, :, 0], kernel, self.bias, self.stride[1:], pad).unsqueeze(2)

    module.QwenImageCausalConv3d.forward = forward


def encode(vae: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    moments = vae.quant_conv(vae.encoder((2 * x - 1).unsqueeze(2).to(vae.dtype)))
    z = moments[:, : vae.config.z_dim, 0].float()
    mean = z.new_tensor(vae.config.latents_mean).view(1, -1, 1, 1)
    return (z - mean) / z.new_tensor(vae.config.latents_std).view(1, -1, 1, 1)


def pack(z: torch.Tensor) -> torch.Tensor:
    n, c, h, w = z.shape
    z = z.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return z.reshape(n, h * w // 4, c * 4)


def crop(pictures: list[torch.Tensor], size: tuple[int, int], rng: random.Random) -> torch.Tensor:
    picture = rng.choice(pictures)
    height, width = picture.shape[-2:]
    most = min(height / size[0], width / size[1])
    scale = math.exp(rng.uniform(math.log(min(1.0, most)), math.log(most)))
    h, w = int(size[0] * scale), int(size[1] * scale)
    top, left = rng.randint(0, height - h), rng.randint(0, width - w)
    x = picture[None, :, top : top + h, left : left + w].float() / 255
    x = F.interpolate(x, size, mode="bilinear", antialias=True)
    if rng.random() < 0.5:
        x = x.flip(-1)
    gains = torch.tensor([rng.uniform(0.85, 1.15) for _ in range(3)], device=x.device)
    return (x ** rng.uniform(0.75, 1.35) * gains.view(1, 3, 1, 1)).clamp(0, 1)


def cache(vae, folder: Path, device: str, rng: random.Random, part: float) -> list[tuple]:
    """Latents of crops and of their edited versions, packed as the transformer sees them."""
    pictures = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as opened:
            array = np.array(opened.convert("RGB"))
        pictures.append(torch.from_numpy(array).permute(2, 0, 1).contiguous().to(device))
    weights = [
        0.22 if " circle " in n or " square " in n else 1.6 if n in HARD else 1.0 for n in NAMES
    ]
    out = []
    for (th, tw), _, count, each, _ in BUCKETS:
        size, count = (th * 16, tw * 16), max(2, int(count * part))
        sources = torch.cat([crop(pictures, size, rng) for _ in range(count)]).half()
        step = 64 if th < 20 else 16
        src = [pack(encode(vae, s.float())).half() for s in sources.split(step)]
        by_edit: dict[int, list[int]] = {}
        for i in range(count):
            for e in rng.choices(range(len(NAMES)), weights, k=each):
                by_edit.setdefault(e, []).append(i)
        index, label, targets = [], [], []
        for e, members in by_edit.items():
            for at in range(0, len(members), step):
                chosen = members[at : at + step]
                edited = EDITS[NAMES[e]](sources[chosen].float())
                targets.append(pack(encode(vae, edited)).half())
                index += chosen
                label += [e] * len(chosen)
        out.append((torch.cat(src), torch.cat(targets), torch.tensor(index), torch.tensor(label)))
        del sources
    return out


def template() -> str:
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit as module

    source = Path(module.__file__).read_text()
    start = source.index("self.prompt_template_encode = ") + len("self.prompt_template_encode = ")
    return eval(source[start : source.index("\n", start)])  # the literal, without the models


def tokenised(tok: Tokenizer, texts: list[str]) -> tuple[list[int], torch.Tensor, torch.Tensor]:
    head, tail = template().split("<|image_pad|>")
    prefix = tok.encode(head).ids
    ids = torch.zeros(len(texts), SUFFIX, dtype=torch.long)
    lengths = torch.zeros(len(texts), dtype=torch.long)
    for i, enc in enumerate(tok.encode_batch([tail.format(t) for t in texts])):
        n = min(SUFFIX, len(enc.ids))
        ids[i, :n] = torch.tensor(enc.ids[:n])
        lengths[i] = n
    return prefix, ids, lengths


def positions(before: int, grid: tuple[int, int], device: str, flat: bool) -> torch.Tensor:
    h, w = grid
    total = before + h * w + SUFFIX
    if flat:
        return torch.arange(total, device=device).expand(3, total)
    text = torch.arange(before).expand(3, -1)
    rows = torch.arange(h).repeat_interleave(w) + before
    columns = torch.arange(w).repeat(h) + before
    image = torch.stack([torch.full((h * w,), before), rows, columns])
    rest = (torch.arange(SUFFIX) + before + max(h, w)).expand(3, -1)
    return torch.cat([text, image, rest], 1).to(device)


class Words(torch.nn.Module):
    """The language half of the text encoder, and a head that names the edit (not exported)."""

    def __init__(self, language, prefix: list[int], bank: torch.Tensor):
        super().__init__()
        self.language = language
        self.head = torch.nn.Linear(language.config.hidden_size, len(NAMES))
        self.register_buffer("prefix", torch.tensor(prefix), persistent=False)
        self.register_buffer("bank", bank.float(), persistent=False)

    def forward(self, ids, lengths, grid, flat=False):
        n, dev = ids.shape[0], ids.device
        embed = self.language.embed_tokens
        seen = self.bank[torch.randint(len(self.bank), (n, grid[0] * grid[1]), device=dev)]
        start = embed(self.prefix).expand(n, -1, -1)
        x = torch.cat([start, seen.to(start.dtype), embed(ids)], 1)
        where = positions(len(self.prefix), grid, dev, flat)[:, None].expand(3, n, -1)
        hidden = self.language(inputs_embeds=x, position_ids=where, use_cache=False)
        hidden = hidden.last_hidden_state
        fixed = len(self.prefix) + grid[0] * grid[1]
        last = hidden[torch.arange(n, device=dev), fixed + lengths - 1]
        mask = torch.arange(hidden.shape[1], device=dev)[None] < (fixed + lengths)[:, None]
        return hidden[:, DROP:], mask[:, DROP:], self.head(last.float())


class Muon:
    """Orthogonalised momentum for matrices of equal shape at once; Adam has the rest."""

    def __init__(self, params: list[torch.nn.Parameter], lr: float):
        self.lr, self.groups = lr, {}
        for p in params:
            self.groups.setdefault(tuple(p.shape), []).append(p)
        self.momentum = {
            k: torch.zeros(len(v), *k, device=v[0].device) for k, v in self.groups.items()
        }

    @torch.no_grad()
    def step(self, factor: float) -> None:
        for key, params in self.groups.items():
            g = torch.stack([p.grad.float() for p in params])
            m = self.momentum[key].mul_(0.95).add_(g, alpha=0.05)
            x = g.lerp(m, 0.95).bfloat16()
            tall = x.shape[-2] > x.shape[-1]
            x = x.mT if tall else x
            x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
            for _ in range(5):
                a = x @ x.mT
                x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
            x = (x.mT if tall else x).float() * 0.2 * math.sqrt(max(key))
            torch._foreach_add_(params, list(x.unbind(0)), alpha=-self.lr * factor)
            for p in params:
                p.grad = None


def real_rope(transformer) -> None:
    """Gives the blocks cosines and sines instead of complex numbers: the same rotation."""
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


def train(args: argparse.Namespace) -> None:
    from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
    from transformers import Qwen2_5_VLForConditionalGeneration as Encoder

    dev = args.device
    cuda = dev == "cuda"
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    torch._dynamo.config.cache_size_limit = 64
    torch.backends.cuda.matmul.allow_tf32 = True
    vae = AutoencoderKLQwenImage.from_pretrained(args.model / "vae")
    vae = vae.to(dev, torch.bfloat16 if cuda else torch.float32).eval()
    fold_vae(vae)
    with torch.no_grad():
        data = cache(vae, HERE / ".work/train", dev, rng, args.part)
    del vae
    say("latents", [tuple(d[1].shape) for d in data])
    dit = QwenImageTransformer2DModel.from_pretrained(args.model / "transformer")
    dit = dit.to(dev, torch.float32).train()
    whole = Encoder.from_pretrained(args.model / "text_encoder").float()
    tok = Tokenizer.from_file(str(args.model / "tokenizer/tokenizer.json"))
    labels = [e for e in range(len(NAMES)) for _ in range(args.phrasings)]
    texts = [sample(NAMES[e], rng) for e in labels]
    prefix, ids, lengths = tokenised(tok, texts)
    _, held, held_n = tokenised(tok, [t for _, t in HELDOUT])
    ids, lengths, held, held_n = ids.to(dev), lengths.to(dev), held.to(dev), held_n.to(dev)
    truth = torch.tensor([NAMES.index(n) for n, _ in HELDOUT], device=dev)
    bank = load_file(HERE / ".work/bank.safetensors")["bank"]
    words = Words(whole.model.language_model, prefix, bank).to(dev).train()
    say("prompts", len(set(texts)), "longest", int(lengths.max()), "prefix", len(prefix))

    both = torch.nn.ModuleDict({"dit": dit, "words": words})
    params = dict(both.named_parameters())
    flat_names = ("embed", "head", "proj_out", "img_in", "txt_in", "norm_out", "time_text")
    matrices = [
        p for n, p in params.items() if p.ndim == 2 and not any(f in n for f in flat_names)
    ]
    chosen = {id(p) for p in matrices}
    others = [p for p in params.values() if id(p) not in chosen]
    muon = Muon(matrices, args.lr)
    adam = torch.optim.AdamW(others, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=cuda)
    ema = {n: p.detach().clone() for n, p in params.items()}
    real_rope(dit)
    if cuda:
        for block in dit.transformer_blocks:
            block.compile(dynamic=False)

    def mix_t(n: int, tokens: int) -> torch.Tensor:
        mu = 0.5 + 0.4 * (tokens - 256) / (8192 - 256)
        u = torch.rand(n, device=dev).clamp(1e-4, 1)
        t = math.exp(mu) / (math.exp(mu) + 1 / u - 1)
        return torch.where(torch.rand(n, device=dev) < 0.15, torch.ones_like(t), t)

    step, done = 0, 0.0
    train_from = time.monotonic()
    total = args.seconds - (train_from - BEGIN)
    sums = [0.0, 0.0, 0]
    while True:
        done = (time.monotonic() - train_from) / total
        if done >= 1 or (args.steps and step >= args.steps):
            break
        factor = min(1, (step + 1) / 100)
        factor *= 1 if done < 0.3 else 0.5 * (1 + math.cos(math.pi * (done - 0.3) / 0.7)) + 0.01
        b = step % len(BUCKETS) if step < 12 else rng.choices(range(len(BUCKETS)), SHARE)[0]
        (th, tw), grid, _, _, batch = BUCKETS[b]
        batch = batch if cuda else 2
        src, dst, index, label = data[b]
        pick = torch.randint(len(dst), (batch,))
        e = label[pick]
        which = (e * args.phrasings + torch.randint(args.phrasings, (batch,))).to(dev)
        x0, ref = dst[pick.to(dev)].float(), src[index[pick].to(dev)].float()
        noise, t = torch.randn_like(x0), mix_t(batch, th * tw)
        xt = x0 + t.view(-1, 1, 1) * (noise - x0)
        with torch.autocast(dev, torch.bfloat16, enabled=cuda):
            text, mask, guess = words(ids[which], lengths[which], grid, rng.random() < 0.15)
            shapes = [[(1, th, tw), (1, th, tw)]] * batch
            v = dit(torch.cat([xt, ref], 1), text, mask, t, shapes, return_dict=False)[0]
        loss = F.mse_loss(v[:, : th * tw].float(), noise - x0)
        ce = F.cross_entropy(guess, e.to(dev), label_smoothing=0.02)
        (loss + 0.05 * ce).backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step(factor)
        for group in adam.param_groups:
            group["lr"] = args.lr * 0.5 * factor
        adam.step()
        adam.zero_grad(set_to_none=True)
        with torch.no_grad():
            decay = min(0.998, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(ema.values()), list(params.values()), 1 - decay)
        step += 1
        if step % 100 == 0 or step < 10:
            say(step, f"bucket {b} loss {loss.item():.4f} ce {ce.item():.4f} done {done:.2f}")
        if step % 400 == 0:
            words.eval()
            with torch.no_grad(), torch.autocast(dev, torch.bfloat16, enabled=cuda):
                right = (words(held, held_n, (3, 4))[2].argmax(1) == truth).float()
            words.train()
            say("held-out wording", f"{right[:-14].mean():.3f} en {right[-14:].mean():.3f} zh")
    del sums
    with torch.no_grad():
        for n, p in params.items():
            p.copy_(ema[n])
    words.eval()
    with torch.no_grad():
        right = (words(held, held_n, (3, 4))[2].argmax(1) == truth).tolist()
    for (name, text), ok in zip(HELDOUT, right, strict=True):
        if not ok:
            say("misread", name, "|", text)
    say("steps", step, "held-out right", sum(right), "of", len(right))
    args.out.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().half().cpu().contiguous() for k, v in dit.state_dict().items()}
    names = [k.replace("._orig_mod", "") for k in state]
    state = dict(zip(names, state.values(), strict=True))
    half = len(names) // 2
    save_file({k: state[k] for k in names[:half]}, args.out / "dit1.safetensors")
    save_file({k: state[k] for k in names[half:]}, args.out / "dit2.safetensors")
    language = {k: v.detach().half().cpu() for k, v in words.language.state_dict().items()}
    save_file(language, args.out / "words.safetensors")
    say("saved")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--model", type=Path, default=HERE / "model")
    p.add_argument("--out", type=Path, default=HERE / ".work/out")
    p.add_argument("--device", default="cuda")
    p.add_argument("--seconds", type=float, default=540)
    p.add_argument("--steps", type=int, default=0)
    p.add_argument("--part", type=float, default=1.0)
    p.add_argument("--phrasings", type=int, default=1500)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--seed", type=int, default=1)
    train(p.parse_args())
