"""Files of a folder or an archive, and pixels of a file."""

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinydeploy.errors import DatasetError, ToolchainError

Decoded = NDArray[np.uint8]  # (H, W, 1 or 3)
Entry = tuple[tuple[str, ...], bytes | None]  # path below the root; contents, None for a folder

_PASSED_OVER = {"__MACOSX", "Thumbs.db", "desktop.ini"}
_GREY_MODES = {"1", "L", "LA", "La"}


def read_entries(path: Path) -> Iterator[Entry]:
    """Every file and folder below `path`, or inside it when it is an archive, hidden ones left out.

    DatasetError when there is nothing to read.
    """
    if path.is_dir():
        yield from _visible(_folder(path))
    elif not path.exists():
        raise DatasetError(f"{path} does not exist; give a folder of class folders, or an archive of one")
    elif zipfile.is_zipfile(path):
        yield from _visible(_zip(path))
    elif path.is_file() and tarfile.is_tarfile(path):
        yield from _visible(_tar(path))
    else:
        raise DatasetError(f"{path} is neither a folder nor a .tar or .zip archive; give one that holds class folders")


def decode(data: bytes) -> Decoded | None:
    """The pixels of an image file, grey (H, W, 1) or RGB (H, W, 3), upright; None when it is not a whole image."""
    image_module, ops = _pillow()
    try:
        with warnings.catch_warnings(action="ignore"), image_module.open(io.BytesIO(data)) as opened:
            image = ops.exif_transpose(opened)
            if image.mode.startswith("I"):  # 16 bits of grey
                return (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)[..., np.newaxis]
            if image.mode in _GREY_MODES:
                return np.asarray(image.convert("L"))[..., np.newaxis]
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, EOFError, image_module.DecompressionBombError):
        return None


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ToolchainError(
            "reading images needs Pillow, which is missing: pip install 'tinydeploy[train]'"
        ) from error
    return Image, ImageOps


def _visible(entries: Iterator[tuple[PurePosixPath, bytes | None]]) -> Iterator[Entry]:
    for path, data in entries:
        parts = tuple(part for part in path.parts if part not in ("/", "."))
        if parts and not any(part.startswith(".") or part in _PASSED_OVER for part in parts):
            yield parts, data


def _folder(path: Path) -> Iterator[tuple[PurePosixPath, bytes | None]]:
    for file in sorted(path.rglob("*")):
        inside = PurePosixPath(file.relative_to(path).as_posix())
        try:
            yield inside, None if file.is_dir() else file.read_bytes()
        except OSError as error:
            raise DatasetError(
                f"{file} cannot be read ({error.strerror}); mend its permissions or remove it"
            ) from error


def _zip(path: Path) -> Iterator[tuple[PurePosixPath, bytes | None]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                yield PurePosixPath(info.filename), None if info.is_dir() else archive.read(info)
    except (zipfile.BadZipFile, OSError, RuntimeError, EOFError) as error:
        raise _broken(path, error) from error


def _tar(path: Path) -> Iterator[tuple[PurePosixPath, bytes | None]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isdir():
                    yield PurePosixPath(member.name), None
                elif (file := archive.extractfile(member)) is not None:
                    yield PurePosixPath(member.name), file.read()
            _require_end(archive)
    except (tarfile.TarError, OSError, EOFError, KeyError) as error:
        raise _broken(path, error) from error


def _require_end(archive: tarfile.TarFile) -> None:
    """tarfile stops in silence at a damaged header, or at an end without the zeros that belong there."""
    stream = archive.fileobj
    assert stream is not None
    if stream.tell() < archive.offset + tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it ends too early")
    while rest := stream.read(1 << 20):
        if rest.strip(b"\0"):
            raise tarfile.ReadError("an entry has a bad header")


def _broken(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"{path} is damaged ({error}); copy or download the archive again")
