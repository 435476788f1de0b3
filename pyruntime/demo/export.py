"""Puts the trained weights into a model directory in the diffusers layout, with qie.json and its manifest.

Knows file names, shapes and hashes; does not know training. Configurations are taken from the present
model directory; every weight, the tokenizer, the latents' statistics, the preview matrix and the chips are replaced.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import torch
from autoencoder import to_diffusers
from diffusers import AutoencoderKLQwenImage
from edits import REFERENCES
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
SHARD_BYTES = 15_000_000
Tensors = dict[str, torch.Tensor]


def write_json(path: Path, value: object) -> None:
    """Indented, with a line end."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")


def write_weights(folder: Path, stem: str, tensors: Tensors) -> None:
    """One file, or shards with their index, in half precision; what stood there before goes."""
    for old in folder.glob("*.safetensors*"):
        old.unlink()
    shards: list[Tensors] = [{}]
    for name, tensor in tensors.items():
        half = tensor.half().contiguous()
        if sum(t.nbytes for t in shards[-1].values()) + half.nbytes > SHARD_BYTES:
            shards.append({})
        shards[-1][name] = half
    if len(shards) == 1:
        save_file(shards[0], folder / f"{stem}.safetensors", metadata={"format": "pt"})
        return
    index: dict[str, str] = {}
    for i, shard in enumerate(shards):
        file = f"{stem}-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(shard, file)
    total = sum(t.nbytes for shard in shards for t in shard.values())
    write_json(folder / f"{stem}.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": index})


def chip(edit: str, label: str, prompt: str, group: str) -> dict[str, object]:
    """What the page offers, from a line of chips.tsv. images: how many pictures the sentence is about."""
    images = {"images": int(edit.split(" ")[1])} if edit in REFERENCES else {}
    return {"label": label, "prompt": prompt, "group": group} | images


def manifest(folder: Path) -> None:
    """Size and sha256 of every file, as supervisor/model reads it."""
    target = folder / "manifest.json"
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != target)
    rows = [
        {"path": p.relative_to(folder).as_posix(), "size": p.stat().st_size, "sha256": hashlib.sha256(p.read_bytes()).hexdigest()}
        for p in files
    ]
    write_json(target, {"files": rows})


def export(args: argparse.Namespace) -> None:
    """Builds the directory beside the present one, so that a failure leaves that one whole."""
    shutil.rmtree(args.out, ignore_errors=True)
    shutil.copytree(args.model, args.out)
    facts = json.loads((args.trained / "vae.json").read_text())
    config = json.loads((args.out / "vae/config.json").read_text())
    config |= {key: facts[key] for key in ("latents_mean", "latents_std")}
    write_json(args.out / "vae/config.json", config)
    stock = AutoencoderKLQwenImage.from_config(config)
    shapes = {k: v.shape for k, v in stock.state_dict().items()}
    write_weights(
        args.out / "vae", "diffusion_pytorch_model", to_diffusers(load_file(args.trained / "vae.safetensors"), shapes)
    )
    transformer = load_file(args.trained / "dit1.safetensors") | load_file(args.trained / "dit2.safetensors")
    write_weights(args.out / "transformer", "diffusion_pytorch_model", transformer)
    words = {f"model.{k}": v for k, v in load_file(args.trained / "words.safetensors").items()}
    write_weights(args.out / "text_encoder", "model", load_file(args.base / "vision.safetensors") | words)
    for part in ("tokenizer", "processor"):
        shutil.copyfile(args.base / "tokenizer.json", args.out / part / "tokenizer.json")
    shutil.rmtree(args.out / "loras", ignore_errors=True)
    if args.loras.is_dir():
        shutil.copytree(args.loras, args.out / "loras")
    about = json.loads((args.out / "qie.json").read_text("utf-8"))
    about["preview"] = facts["preview"]
    about["known_edits"] = [chip(*line.split("\t")) for line in (HERE / "chips.tsv").read_text("utf-8").splitlines()]
    write_json(args.out / "qie.json", about)
    manifest(args.out)
    size = sum(p.stat().st_size for p in args.out.rglob("*") if p.is_file())
    largest = max(p.stat().st_size for p in args.out.rglob("*") if p.is_file())
    print(f"{size / 1e6:.1f} MB, largest file {largest / 1e6:.1f} MB")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--model", type=Path, default=HERE / "model", help="for its configurations")
    p.add_argument("--base", type=Path, default=HERE / ".work/base")
    p.add_argument("--trained", type=Path, default=HERE / ".work/out")
    p.add_argument("--loras", type=Path, default=HERE / ".work/loras")
    p.add_argument("--out", type=Path, default=HERE / ".work/model")
    export(p.parse_args())
