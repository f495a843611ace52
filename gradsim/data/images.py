"""Own pictures: a folder with one folder for each class, PNG and JPEG in them.

A file is looked at before it is decoded, so that neither a huge picture nor a small one that claims to be huge can take
much memory: what is kept is bounded by :data:`MAX_VALUES`, what is decoded at a time by :data:`MAX_PIXELS`.
"""

from __future__ import annotations

import functools
import struct
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gradsim.data.dataset import MAX_CLASSES, Array, DataError, Dataset, Signature, classified, split
from gradsim.data.files import MAX_VALUES, OwnFile, resolved, seed_option, share_option
from gradsim.data.sources import registry
from gradsim.data.tables import Report
from gradsim.i18n import tr
from gradsim.nn.spec import MISSING, Fault, frozen, option

SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_FILES = 50_000
MAX_FILE_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000
"""Of one picture as it lies on the disk: more than cameras make."""


@registry.register("images")
@frozen
class Images(OwnFile):
    """Pictures in a folder (PNG, JPEG), one folder in it for each class; pixels from 0 to 1."""

    title = "Folder of pictures"

    width: int = option("Width", "Pictures are cut and scaled to it.", default=28, ge=1, le=512, unit="pixels")
    height: int = option("Height", "Pictures are cut and scaled to it.", default=28, ge=1, le=512, unit="pixels")
    colour: bool = option(
        "Colour", "Red, green and blue, or one grey value for each pixel.", default=False, kw_only=True
    )
    per_class: int | None = option(
        "Pictures per class",
        "At most so many, the first ones by name; empty: all of them.",
        default=None,
        ge=1,
        le=MAX_FILES,
        kw_only=True,
    )
    broken: Literal["error", "skip"] = option(
        "Broken pictures", "error: report them; skip: leave them out.", default="error", kw_only=True
    )
    validation_split: float = share_option("Share of the pictures that is kept for validation.")
    seed: int = seed_option()

    def stamp(self, base: Path | None = None) -> object:
        folder = resolved(self.path, base)
        try:
            return tuple((entry.name, entry.stat().st_mtime_ns) for entry in sorted(folder.iterdir()) if entry.is_dir())
        except (OSError, ValueError):
            return None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one picture."""
        return (self.height, self.width, 3) if self.colour else (self.height, self.width)

    def load(self, base: Path | None = None) -> Dataset:
        folder = resolved(self.path, base)
        bare = (self.width, self.height, self.colour, self.per_class, self.broken)
        pixels, labels, names = _decoded(folder, *bare, self.stamp(base))
        train, val = self._divided(labels)
        features = _names(self.height, self.width, self.colour)
        dataset = classified(pixels, labels, train, val, names, features, folder.name)
        for part in (dataset.x_train, dataset.x_val):
            if part is not None:
                part /= np.float32(255)
        return dataset

    def _divided(self, labels: Array) -> tuple[Array, Array]:
        rng = np.random.Generator(np.random.PCG64(self.seed))
        return split(len(labels), self.validation_split, rng, labels)

    def row_counts(self, base: Path | None = None) -> tuple[int, int]:
        """As of any source, but without decoding anything: broken pictures that will be left out are counted, too."""
        files = _files(resolved(self.path, base), self.per_class, self.shape)
        train, val = self._divided(np.repeat(np.arange(len(files)), [len(paths) for _, paths in files]))
        return len(train), len(val)

    def signature(self, base: Path | None = None) -> Signature:
        # Without decoding anything: a stack asks for it on every edit.
        names = tuple(name for name, _ in _files(resolved(self.path, base), self.per_class, self.shape))
        if len(names) == 2:
            return Signature(self.shape, "binary", 1, names)
        return Signature(self.shape, "classification", len(names), names)


def _files(folder: Path, per_class: int | None, shape: tuple[int, ...]) -> list[tuple[str, list[Path]]]:
    """The classes in the order of their names, with the files of each.

    Raises:
        DataError: if there are too few of them, or too many.
    """
    found = []
    total = 0
    for entry in _inside(folder):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        files = [one for one in _inside(entry) if one.suffix.lower() in SUFFIXES and not one.name.startswith(".")]
        files = files[:per_class]
        total += len(files)
        if total > MAX_FILES:
            raise DataError([Fault("path", tr("must hold at most {most} pictures", most=f"{MAX_FILES:,}"), "more")])
        if files:
            found.append((entry.name, files))
    if not 2 <= len(found) <= MAX_CLASSES:
        message = tr("must hold 2 to {most} folders with PNG or JPEG pictures, one for each class", most=MAX_CLASSES)
        names = ", ".join(name for name, _ in found[:5]) or tr("none")
        raise DataError([Fault("path", message, names if len(found) < 2 else len(found))])
    values = total * int(np.prod(shape))
    if values > MAX_VALUES:
        message = tr(
            "must give at most {most} values: make the pictures smaller, or take fewer", most=f"{MAX_VALUES:,}"
        )
        raise DataError([Fault("path", message, f"{total:,} x {' x '.join(map(str, shape))}")])
    return found


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=lambda entry: entry.name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError([Fault("path", tr("can't be opened: {error}", error=reason), str(folder))]) from None


@functools.lru_cache(maxsize=2)
def _decoded(
    folder: Path, width: int, height: int, colour: bool, per_class: int | None, broken: str, stamp: object
) -> tuple[Array, Array, tuple[str, ...]]:
    """All pictures as uint8 ``(rows, height, width)`` (and 3 for colours), their classes, and the classes' names."""
    # Imported here: it takes a while, and only such data need it.
    from PIL import Image, ImageOps, UnidentifiedImageError

    shape = (height, width, 3) if colour else (height, width)
    classes = _files(folder, per_class, shape)
    report = Report()
    found: list[Array] = []
    labels: list[int] = []
    for number, (name, files) in enumerate(classes):
        before = len(found)
        for path in files:
            place = f"{name}/{path.name}"
            try:
                with warnings.catch_warnings():
                    # A picture beyond Pillow's own bound is refused by ours; notes of the camera do not matter.
                    warnings.simplefilter("ignore")
                    if path.stat().st_size > MAX_FILE_BYTES:
                        raise _RefusedError(tr("must be a file of at most {most} MB", most=MAX_FILE_BYTES // 2**20))
                    with Image.open(path, formats=("PNG", "JPEG")) as image:
                        if image.width * image.height > MAX_PIXELS:
                            raise _RefusedError(tr("must have at most {most} pixels", most=f"{MAX_PIXELS:,}"))
                        found.append(_fitted(Image, ImageOps, image, (width, height), colour))
                        labels.append(number)
            except _RefusedError as error:
                _refuse(report, broken, place, str(error))
            except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
                # A damaged PNG makes Pillow raise SyntaxError.
                reason = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
                _refuse(report, broken, place, tr("must be a readable PNG or JPEG picture{reason}", reason=reason))
        if len(found) == before and broken == "skip":
            report.add(name, tr("must hold at least one readable picture"), MISSING)
    report.check()
    return np.stack(found), np.asarray(labels, np.int64), tuple(name for name, _ in classes)


class _RefusedError(Exception):
    """A picture that is not decoded."""


def _refuse(report: Report, broken: str, place: str, message: str) -> None:
    if broken == "error":
        report.add(place, message, MISSING)


def _fitted(module: Any, operations: Any, image: Any, size: tuple[int, int], colour: bool) -> Array:
    """A picture cut to the shape that is asked for, and scaled to it."""
    mode = "RGB" if colour else "L"
    # A JPEG can be decoded at an eighth of its size.
    image.draft(mode, (2 * size[0], 2 * size[1]))
    try:
        turned = operations.exif_transpose(image)
    except (struct.error, SyntaxError):
        # What a damaged note says of the camera does not matter; damaged pixels are met again below.
        turned = image
    if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
        # What is transparent is white, as on paper.
        turned = turned.convert("RGBA")
        turned = module.alpha_composite(module.new("RGBA", turned.size, "white"), turned)
    elif turned.mode.startswith("I"):
        turned = module.fromarray((np.asarray(turned, np.float64) / 257).clip(0, 255).astype(np.uint8))
    fitted = operations.fit(turned.convert(mode), size, method=module.Resampling.BILINEAR)
    return np.asarray(fitted, np.uint8)


def _names(height: int, width: int, colour: bool) -> tuple[str, ...]:
    kinds = (" red", " green", " blue") if colour else ("",)
    return tuple(
        f"pixel {row + 1},{column + 1}{kind}" for row in range(height) for column in range(width) for kind in kinds
    )
