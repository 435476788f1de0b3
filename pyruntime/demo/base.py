"""Makes what is not trained on the GPU: tokenizer, sentences to train with, and the text encoder's vision tower.

Knows the phrasings, the training pictures and the layout of the model directory; does not know edits
as pixels. The vision tower stays as it is drawn here: what it says of the pictures is noise of a known
size around a fixed vector, which the training adds too. So pixels reach the text encoder, as in the
full model, and the edits do not depend on them.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from edits import REFERENCES
from language import SUFFIX
from phrasings import LABELS, UNKNOWN, sample
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, pre_tokenizers, trainers
from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel

from pyruntime import text
from pyruntime.edit import area_size

HERE = Path(__file__).resolve().parent
MODEL, BASE = HERE / "model", HERE / ".work/base"
SEED, SPREAD, FIXED = 1, 0.15, 0.3
# The system prompt stands so often in the tokenizer's training text that each of its words is one token, as in Qwen2:
# then it has as many tokens as the stock pipelines drop.
TEMPLATE_TIMES = 12000
VOCABULARY = 4096
# How many sentences are drawn for a label of each kind, and the part of them that the tokenizer learns from.
SENTENCES = {"name": 1800, "part": 700, "pair": 110, "reference": 2200, "unknown": 16000}
TOKENIZER_PART = 0.25


def count_of(label: str) -> int:
    """Sentences for one label. There are many shapes and halves, and very many pairs, so fewer of each."""
    if label == UNKNOWN:
        return SENTENCES["unknown"]
    if " + " in label:
        return SENTENCES["pair"]
    if label in REFERENCES:
        return SENTENCES["reference"]
    return SENTENCES["part" if " circle " in label or " square " in label or label.endswith(" half") else "name"]


def sentences() -> tuple[list[str], list[str]]:
    """Sentences and their labels."""
    rng = random.Random(SEED)
    texts, labels = [], []
    for label in LABELS:
        for _ in range(count_of(label)):
            texts.append(sample(label, rng, many=label in REFERENCES or rng.random() < 0.15))
            labels.append(label)
    return texts, labels


def tokenizer(texts: list[str]) -> Tokenizer:
    """Byte-level BPE with the pre-tokeniser and the special tokens of the present one."""
    made = Tokenizer.from_file(str(MODEL / "tokenizer/tokenizer.json"))
    special = [t.content for _, t in sorted(made.get_added_tokens_decoder().items())]
    rng = random.Random(SEED)
    learnt = [t for t in texts if rng.random() < TOKENIZER_PART]
    plain = text._SYSTEM + text._END + "Picture 1: Picture 2: Picture 3: "
    for token in special:
        plain = plain.replace(token, "")
    fresh = Tokenizer.from_file(str(MODEL / "tokenizer/tokenizer.json"))
    fresh.model = type(made.model)()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    fresh.train_from_iterator(learnt + [plain] * TEMPLATE_TIMES, trainer)
    return with_specials_last(fresh, special)


def encoded(made: Tokenizer, texts: list[str], labels: list[str]) -> dict[str, torch.Tensor]:
    """Token ids of all sentences behind each other, where each begins, and its label's number; too long ones are left out."""
    number = {label: i for i, label in enumerate(LABELS)}
    ids, starts, which = [], [0], []
    ends = [f"<|vision_end|>{t}{text._END}" for t in texts]
    for encoding, label in zip(made.encode_batch(ends, add_special_tokens=False), labels, strict=True):
        if len(encoding.ids) <= SUFFIX:
            ids += encoding.ids
            starts.append(len(ids))
            which.append(number[label])
    return {
        "ids": torch.tensor(ids, dtype=torch.int16),
        "starts": torch.tensor(starts, dtype=torch.int32),
        "labels": torch.tensor(which, dtype=torch.int16),
    }


def with_specials_last(made: Tokenizer, special: list[str]) -> Tokenizer:
    """Moves the special tokens behind the words: their numbers are fixed in text_encoder/config.json."""
    import json

    raw = json.loads(made.to_str())
    words = [w for w, _ in sorted(raw["model"]["vocab"].items(), key=lambda item: item[1]) if w not in special]
    raw["model"]["vocab"] = {word: i for i, word in enumerate(words)}
    order = {content: len(words) + i for i, content in enumerate(special)}
    for token in raw["added_tokens"]:
        token["id"] = order[token["content"]]
    raw["added_tokens"].sort(key=lambda token: token["id"])
    return Tokenizer.from_str(json.dumps(raw))


@torch.no_grad()
def vision() -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The tower's weights in half precision, and what it says of the training pictures, (N, width)."""
    torch.manual_seed(SEED)
    model = Qwen2_5_VLModel(Qwen2_5_VLConfig.from_pretrained(MODEL / "text_encoder")).float().eval()
    tower = model.visual
    how = text.preprocessing(MODEL / "processor")

    def look(path: Path) -> torch.Tensor:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        picture = picture.resize(area_size(512 * 512, *picture.size), Image.Resampling.LANCZOS)
        patches, grid = text.to_patches(picture, how)
        return tower(patches, grid_thw=torch.tensor([grid])).pooler_output

    paths = sorted((HERE / ".work/train").iterdir())
    last = tower.merger.mlp[2]
    seen = torch.cat([look(p) for p in paths])
    factor = SPREAD / (seen - seen.mean(0)).std()
    last.weight.mul_(factor)
    last.bias.copy_((last.bias - seen.mean(0)) * factor + FIXED * torch.randn(last.bias.shape))
    state = {f"visual.{k}": v.half().contiguous() for k, v in tower.state_dict().items()}
    tower.load_state_dict({k.removeprefix("visual."): v.float() for k, v in state.items()})
    return state, torch.cat([look(p) for p in paths]).half()


def main(kept: Path | None) -> None:
    BASE.mkdir(parents=True, exist_ok=True)
    texts, labels = sentences()
    made = Tokenizer.from_file(str(kept)) if kept else tokenizer(texts)
    dropped = len(made.encode(text._SYSTEM, add_special_tokens=False).ids)
    if dropped != text.DROP_TOKENS:
        raise SystemExit(f"the system prompt has {dropped} tokens, the pipelines drop {text.DROP_TOKENS}")
    made.save(str(BASE / "tokenizer.json"))
    prompts = encoded(made, texts, labels)
    save_file(prompts, BASE / "sentences.safetensors")
    print(f"{len(texts)} sentences, {len(set(texts))} distinct, {len(texts) - len(prompts['labels'])} too long")
    state, bank = vision()
    save_file(state, BASE / "vision.safetensors")
    save_file({"bank": bank}, BASE / "bank.safetensors")
    spread = (bank.float() - bank.float().mean(0)).std().item()
    print(made.get_vocab_size(), "tokens; vision bank", tuple(bank.shape), "spread", round(spread, 3))


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--tokenizer", type=Path, help="keeps this one, for weights that were trained with it")
    main(p.parse_args().tokenizer)
