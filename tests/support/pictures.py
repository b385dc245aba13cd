"""Pictures on disk for the tests of datasets: files, class folders, archives of them."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from PIL import Image

from tinydeploy import datasets
from tinydeploy.datasets import Dataset

COLOURS = {"green": (0, 200, 0), "red": (200, 0, 0)}


def save_image(path: Path, colour: tuple[int, int, int] | int = (9, 9, 9), size: tuple[int, int] = (20, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(path)


def save_classes(root: Path, count: int = 10) -> Path:
    for name, colour in COLOURS.items():
        for number in range(count):
            red, green, blue = colour
            save_image(root / name / f"{number:03}.png", (red, green, blue + number))
    return root


def pack(root: Path, suffix: str) -> Path:
    """`root` as an archive beside it, in no particular order."""
    archive = root.with_name(f"{root.name}{suffix}")
    files = sorted(root.rglob("*"), reverse=True)
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for file in files:
                packed.write(file, file.relative_to(root.parent))
    else:
        with tarfile.open(archive, "w" + suffix.removeprefix(".tar").replace(".", ":")) as packed:
            for file in files:
                packed.add(file, f"./{file.relative_to(root.parent)}", recursive=False)
    return archive


def load(path: Path, input_size: int = 20, channels: int | None = None) -> Dataset:
    return datasets.load(None, data=path, input_size=input_size, channels=channels)
