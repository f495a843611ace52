"""Frames into one moving picture: GIF, WebP and APNG by Pillow, MP4 by ``ffmpeg`` where it is installed.

Nothing here knows Qt: frames are arrays, so that a thread can write them while the window lives on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gradsim import replacing
from gradsim.i18n import mark, tr

Frame = NDArray[np.uint8]
"""RGB, shape ``(height, width, 3)``."""

MOST_BYTES = 1_500_000_000
"""What all frames together may take while they are written, in memory."""
MOST_FRAMES = 2000


@dataclasses.dataclass(frozen=True)
class Form:
    """A kind of file.

    Attributes:
        suffix: With its dot.
        title: What a list calls it.
        bytes_each: Of a pixel, while it is written.
    """

    suffix: str
    title: str
    bytes_each: int


FORMS: Mapping[str, Form] = {
    "gif": Form(".gif", mark("GIF: plays everywhere"), 2),
    "webp": Form(".webp", mark("WebP: small and exact"), 4),
    "apng": Form(".apng", mark("APNG: exact, for browsers"), 4),
    "mp4": Form(".mp4", mark("MP4 video"), 0),
}


class AnimationError(ValueError):
    """What can't be made; in words."""


def ffmpeg() -> str | None:
    """Where the program is that makes MP4; None if it is not installed."""
    return shutil.which("ffmpeg")


def check(form: str, width: int, height: int, frames: int) -> None:
    """Refuses what could not be written; raises AnimationError."""
    if form not in FORMS:
        raise AnimationError(tr("format: must be one of {names} (received {name})", names=", ".join(FORMS), name=form))
    if form == "mp4" and ffmpeg() is None:
        raise AnimationError(tr("MP4 needs the program ffmpeg, which is not installed: choose GIF, WebP or APNG"))
    if not 1 <= frames <= MOST_FRAMES:
        raise AnimationError(tr("frames: must be 1 to {most} (received {n})", most=MOST_FRAMES, n=frames))
    if FORMS[form].bytes_each * width * height * frames > MOST_BYTES:
        raise AnimationError(
            tr(
                "{n} frames of {width} x {height} pixels are too many for memory: choose fewer or smaller ones",
                n=frames, width=width, height=height,
            )
        )  # fmt: skip


def write(
    path: str | os.PathLike[str],
    frames: Iterable[Frame],
    *,
    form: str,
    rate: float,
    first: Iterable[tuple[int, int, int]] = (),
    between: Callable[[], object] = lambda: None,
) -> None:
    """Writes a moving picture, whole or not at all.

    Args:
        frames: All of one size; what their iterator raises ends the writing, and no file is left.
        form: A key of ``FORMS``.
        rate: Frames a second.
        first: Colours that a palette has to hold exactly wherever they occur.
        between: Called again and again; what it raises ends the writing, and no file is left.

    Raises:
        OSError: if the file can't be written.
        AnimationError: if ffmpeg can't do it.
    """
    with replacing.beside(path) as temporary:
        if form == "mp4":
            _film(temporary, frames, rate, between)
            return
        each = max(20, round(1000 / rate))
        packed = _Packed(frames, between)
        images = list(packed.exact_palette(first) if form == "gif" else packed.images())
        with open(temporary, "wb") as stream:
            begin = images[0]
            options: dict[str, object] = {"save_all": True, "append_images": images[1:], "duration": each, "loop": 0}
            if form == "webp":
                begin.save(stream, "WEBP", lossless=True, quality=20, method=1, **options)
            elif form == "apng":
                begin.save(stream, "PNG", compress_level=6, **options)
            else:
                begin.save(stream, "GIF", optimize=False, disposal=1, **options)


class _Packed:
    """All frames, each compressed: a picture of flat colours takes a fiftieth of its pixels."""

    def __init__(self, frames: Iterable[Frame], between: Callable[[], object]) -> None:
        self.between = between
        self.kept: list[bytes] = []
        self.shape: tuple[int, ...] = ()
        for frame in frames:
            self.shape = frame.shape
            self.kept.append(zlib.compress(np.ascontiguousarray(frame).data, 1))
            between()

    def arrays(self) -> Iterator[Frame]:
        for kept in self.kept:
            self.between()
            yield np.frombuffer(zlib.decompress(kept), np.uint8).reshape(self.shape)

    def images(self) -> Iterator[Image.Image]:
        for array in self.arrays():
            yield Image.fromarray(array)

    def exact_palette(self, first: Iterable[tuple[int, int, int]]) -> Iterator[Image.Image]:
        """The frames in one palette of 256 colours for all of them."""
        palette = Palette.of(self.arrays(), first)
        height, width, _ = self.shape
        for array in self.arrays():
            image = Image.frombytes("P", (width, height), palette.indices(array).tobytes())
            image.putpalette(palette.colours.tobytes())
            yield image


class Palette:
    """256 colours, and the nearest of them for every other one."""

    def __init__(self, codes: NDArray[np.int32]) -> None:
        self.codes = codes
        self.colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)
        self._known = np.full(2**24, -1, np.int16)
        self._known[codes] = np.arange(len(codes))

    @classmethod
    def of(cls, frames: Iterable[Frame], first: Iterable[tuple[int, int, int]] = ()) -> Palette:
        """Those of ``first`` that occur, then the most frequent ones."""
        counts: dict[int, int] = {}
        for frame in frames:
            found, times = np.unique(_code(frame), return_counts=True)
            for code, number in zip(found.tolist(), times.tolist(), strict=True):
                counts[code] = counts.get(code, 0) + number
        wanted = [code for red, green, blue in first if (code := red << 16 | green << 8 | blue) in counts]
        rest = sorted(counts, key=lambda code: -counts[code])
        chosen = list(dict.fromkeys([*wanted, *rest]))[:256]
        return cls(np.array(chosen, np.int32))

    def indices(self, frame: Frame) -> NDArray[np.uint8]:
        """The frame in this palette, shape ``(height, width)``."""
        codes = _code(frame)
        found = self._known[codes]
        if (found < 0).any():
            unknown = np.unique(codes[found < 0])
            colours = np.stack([unknown >> 16, unknown >> 8 & 255, unknown & 255], axis=1).astype(np.int32)
            for start in range(0, len(unknown), 1024):
                part = slice(start, start + 1024)
                gaps = ((colours[part, None] - self.colours[None].astype(np.int32)) ** 2).sum(axis=2)
                self._known[unknown[part]] = gaps.argmin(axis=1)
            found = self._known[codes]
        return found.astype(np.uint8)


def _code(frame: Frame) -> NDArray[np.int32]:
    wide = frame.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def _film(path: str, frames: Iterable[Frame], rate: float, between: Callable[[], object]) -> None:
    program = ffmpeg()
    if program is None:
        raise AnimationError(tr("MP4 needs the program ffmpeg, which is not installed: choose GIF, WebP or APNG"))
    process: subprocess.Popen[bytes] | None = None
    with tempfile.TemporaryFile() as said:
        try:
            for frame in frames:
                if process is None:
                    height, width, _ = frame.shape
                    process = subprocess.Popen(
                        [
                            program, "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24",
                            "-s", f"{width}x{height}", "-r", f"{rate:g}", "-i", "-", "-an",
                            "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-f", "mp4", path,
                        ],
                        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said,
                    )  # fmt: skip
                assert process.stdin is not None
                process.stdin.write(np.ascontiguousarray(frame).data)
                between()
            if process is not None:
                assert process.stdin is not None
                process.stdin.close()
                process.wait()
        except BrokenPipeError:
            assert process is not None
            process.wait()
        finally:
            if process is not None and process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        if process is None or process.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace").strip().splitlines()
            raise AnimationError(tr("ffmpeg can't make the video: {words}", words=words[-1] if words else "?"))
