"""The language half of the text encoder in training: templates, sentences as tokens, positions, the reader itself.

Knows tokens and the templates of both pipeline classes; does not know latents or optimisers.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from edits import NAMES, REFERENCES
from phrasings import LABELS, UNKNOWN
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

from pyruntime import text as template

SUFFIX, GRID_MOST = 40, 16  # tokens of a sentence with the template's end, and of a picture
# What the two heads name: the edit, and the second edit where two are asked for.
FIRST, SECOND = [*NAMES, *REFERENCES], [*NAMES, "none"]
LOST_PROMPTS, LOST_TOKENS = 0.25, 0.1  # so many sentences lose so many of their tokens
UNKNOWN_SHARE = 0.8  # of the sentences for "unchanged"


def heads_of(label: str) -> tuple[int, int]:
    """What both heads should say."""
    if label == UNKNOWN:
        label = "unchanged"
    first, _, second = label.partition(" + ")
    return FIRST.index(first), SECOND.index(second or "none")


@dataclass(frozen=True)
class Template:
    """Fixed tokens before every picture. plus: the pictures are numbered."""

    before: tuple[tuple[int, ...], ...]

    @property
    def pictures(self) -> int:
        return len(self.before)

    @property
    def longest(self) -> int:
        """Tokens after the system prompt, padded: one number for both classes, so that the blocks compile once."""
        return self.pictures * (GRID_MOST + 8) + SUFFIX


def templates(tok: Tokenizer) -> dict[tuple[bool, int], Template]:
    """By (plus, number of pictures)."""

    def ids(words: str) -> tuple[int, ...]:
        return tuple(tok.encode(words, add_special_tokens=False).ids)

    out = {(False, 1): Template((ids(template._SYSTEM + "<|vision_start|>"),))}
    for n in (1, 2, 3):
        first = ids(template._SYSTEM + "Picture 1: <|vision_start|>")
        rest = [ids(f"<|vision_end|>Picture {i}: <|vision_start|>") for i in range(2, n + 1)]
        out[True, n] = Template((first, *rest))
    return out


class Sentences:
    """All training sentences on the device, and a draw for each label."""

    def __init__(self, path: Path, device: str) -> None:
        raw = load_file(path)
        self.ids = F.pad(raw["ids"].long(), (0, SUFFIX)).to(device)
        self.starts = raw["starts"].long().to(device)
        labels = raw["labels"].long()  # those of one label stand together
        counts = torch.bincount(labels, minlength=len(LABELS))
        self.counts, self.begins = counts.to(device), (counts.cumsum(0) - counts).to(device)
        self.unchanged, self.unknown = LABELS.index("unchanged"), LABELS.index(UNKNOWN)
        heads = torch.tensor([heads_of(label) for label in LABELS], device=device)
        self.first, self.second = heads[:, 0], heads[:, 1]

    def draw(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids (N, SUFFIX) and lengths (N) of one sentence for each label."""
        chance = torch.rand(len(labels), device=labels.device)
        labels = torch.where((labels == self.unchanged) & (chance < UNKNOWN_SHARE), self.unknown, labels)
        return self.taken(labels)

    def any(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Ids, lengths and labels of sentences for any label, a fifth of them unknown."""
        labels = torch.randint(len(self.counts), (count,), device=self.counts.device)
        labels[: count // 5] = self.unknown
        return *self.taken(labels), labels

    def taken(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        at = self.begins[labels] + (torch.rand(len(labels), device=labels.device) * self.counts[labels]).long()
        lengths = self.starts[at + 1] - self.starts[at]
        place = torch.arange(SUFFIX, device=labels.device)[None]
        ids = self.ids[self.starts[at][:, None] + place]
        return torch.where(place < lengths[:, None], ids, 0), lengths


def tokenised(tok: Tokenizer, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (N, SUFFIX) of what follows the last picture, and their counts. ValueError for a longer sentence."""
    ids = torch.zeros(len(prompts), SUFFIX, dtype=torch.long)
    lengths = torch.zeros(len(prompts), dtype=torch.long)
    texts = [f"<|vision_end|>{p}{template._END}" for p in prompts]
    for i, encoding in enumerate(tok.encode_batch(texts, add_special_tokens=False)):
        if len(encoding.ids) > SUFFIX:
            raise ValueError(f"{len(encoding.ids)} tokens in {prompts[i]!r}")
        ids[i, : len(encoding.ids)] = torch.tensor(encoding.ids)
        lengths[i] = len(encoding.ids)
    return ids, lengths


@functools.cache
def placed(ids: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Ids on the device, copied there once: each copy waits for everything that the GPU still has to do."""
    return torch.tensor(ids, device=device)


def lose_tokens(ids: torch.Tensor, lengths: torch.Tensor, vocabulary: int) -> torch.Tensor:
    """Puts random tokens in the place of some words, so that no single word carries the meaning."""
    place = torch.arange(SUFFIX, device=ids.device)[None]
    inside = (place > 0) & (place < lengths[:, None] - 5)  # not <|vision_end|>, not the end of the template
    lost = torch.rand(ids.shape, device=ids.device) < LOST_TOKENS
    lost &= torch.rand(len(ids), 1, device=ids.device) < LOST_PROMPTS
    return torch.where(lost & inside, torch.randint_like(ids, 256, vocabulary - 8), ids)


class Words(torch.nn.Module):
    """The language model of the text encoder, and two heads that name the edits (not exported)."""

    def __init__(self, language: Qwen2_5_VLTextModel, bank: torch.Tensor) -> None:
        super().__init__()
        self.language = language
        self.first = torch.nn.Linear(language.config.hidden_size, len(FIRST))
        self.second = torch.nn.Linear(language.config.hidden_size, len(SECOND))
        self.register_buffer("bank", bank.float(), persistent=False)

    def forward(
        self, form: Template, grid: tuple[int, int], ids: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Hidden states (N, form.longest, width) after the system prompt, their mask, and what the heads say."""
        n, dev, (h, w) = len(ids), ids.device, grid
        embed = self.language.embed_tokens
        parts, where, at, fixed = [], [], 0, 0
        for before in form.before:
            parts.append(embed(placed(before, dev)).expand(n, -1, -1))
            where.append((torch.arange(len(before), device=dev) + at).expand(3, -1))
            at += len(before)
            seen = self.bank[torch.randint(len(self.bank), (n, h * w), device=dev)]
            parts.append(seen.to(parts[0].dtype))
            rows = torch.arange(h, device=dev).repeat_interleave(w) + at  # a picture's tokens stand in a plane
            columns = torch.arange(w, device=dev).repeat(h) + at
            where.append(torch.stack([torch.full_like(rows, at), rows, columns]))
            at += max(h, w)
            fixed += len(before) + h * w
        parts.append(embed(ids))
        where.append((torch.arange(SUFFIX, device=dev) + at).expand(3, -1))
        positions = torch.cat(where, 1)[:, None].expand(3, n, -1)
        hidden = self.language(inputs_embeds=torch.cat(parts, 1), position_ids=positions, use_cache=False).last_hidden_state
        last = hidden[torch.arange(n, device=dev), fixed + lengths - 1].float()
        hidden = hidden[:, template.DROP_TOKENS :]
        hidden = F.pad(hidden, (0, 0, 0, form.longest - hidden.shape[1]))
        mask = torch.arange(form.longest, device=dev)[None] < (fixed - template.DROP_TOKENS + lengths)[:, None]
        return hidden, mask, self.first(last), self.second(last)


def heldout_form(label: str, forms: dict[tuple[bool, int], Template], rng: random.Random) -> Template:
    """The template that a sentence of the label comes in."""
    words = label.split(" ")
    if label in REFERENCES:
        return forms[True, int(words[1])]
    return forms[rng.random() < 0.5, 1]
