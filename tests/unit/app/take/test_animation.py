"""Moving pictures, opened again by Pillow."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gradsim.app.take import animation
from gradsim.telemetry.palette import table

CELLS = [tuple(int(v) for v in row) for row in table("diverging", "light")]


def frames(count: int = 5, noise: int = 0) -> list[animation.Frame]:
    """Each shows all colours that a cell can have, and one square that moves; ``noise`` lines of other colours."""
    made = []
    generator = np.random.default_rng(0)
    for number in range(count):
        frame = np.full((60, 256, 3), 255, np.uint8)
        frame[:20] = np.array(CELLS, np.uint8)[None]
        frame[30:40, 10 * number : 10 * number + 10] = CELLS[3]
        if noise:
            frame[60 - noise :] = generator.integers(0, 256, (noise, 256, 3))
        made.append(frame)
    return made


def opened(path: Path) -> list[np.ndarray]:
    with Image.open(path) as image:
        found = []
        for number in range(image.n_frames):
            image.seek(number)
            found.append(np.asarray(image.convert("RGB")))
    return found


@pytest.mark.parametrize("form", ["gif", "webp", "apng"])
def test_that_frames_come_back_in_number_size_and_exact_colours(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"x{animation.FORMS[form].suffix}"
    made = frames()
    animation.write(path, made, form=form, rate=10, first=CELLS)
    found = opened(path)
    assert len(found) == 5
    for ours, theirs in zip(made, found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_that_a_gif_with_more_colours_than_it_can_hold_keeps_those_of_the_cells(tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    animation.write(path, frames(3, noise=10), form="gif", rate=10, first=CELLS)
    for frame in opened(path):
        np.testing.assert_array_equal(frame[:20], np.broadcast_to(np.array(CELLS, np.uint8), (20, 256, 3)))


def test_that_the_pace_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    animation.write(path, frames(), form="gif", rate=4)
    with Image.open(path) as image:
        assert image.info["duration"] == 250
        assert image.info["loop"] == 0


class Broken(Exception):
    pass


def breaking() -> Iterator[animation.Frame]:
    yield frames(1)[0]
    raise Broken


@pytest.mark.parametrize("form", ["gif", "webp", "apng"])
def test_that_an_end_in_the_middle_leaves_nothing_and_an_old_file_as_it_was(tmp_path: Path, form: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(Broken):
        animation.write(path, breaking(), form=form, rate=10)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_that_it_can_be_ended_while_the_file_is_made(tmp_path: Path) -> None:
    calls = iter(range(1000))

    def end() -> None:
        if next(calls) == 8:
            raise Broken

    with pytest.raises(Broken):
        animation.write(tmp_path / "x.gif", frames(), form="gif", rate=10, between=end)
    assert os.listdir(tmp_path) == []


def fake_ffmpeg(folder: Path, body: str) -> None:
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_that_a_video_is_made_by_ffmpeg_of_every_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    fake_ffmpeg(programs, 'for last; do :; done\ncat > "$last"')
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / "x.mp4"
    made = frames(4)
    animation.write(path, made, form="mp4", rate=10)
    assert path.read_bytes() == b"".join(frame.tobytes() for frame in made)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_that_what_ffmpeg_says_is_told_and_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    fake_ffmpeg(programs, "echo no such encoder >&2\nexit 1")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(animation.AnimationError, match="no such encoder"):
        animation.write(tmp_path / "x.mp4", frames(40), form="mp4", rate=10)
    assert os.listdir(tmp_path) == ["bin"]


@pytest.mark.parametrize(
    ("form", "size", "count", "words"),
    [
        ("bmp", (10, 10), 3, "must be one of gif"),
        ("gif", (10, 10), 0, "1 to 2000"),
        ("gif", (9999, 9999), 900, "memory"),
    ],
)
def test_that_what_can_not_be_made_is_refused_in_words(
    form: str, size: tuple[int, int], count: int, words: str
) -> None:
    with pytest.raises(animation.AnimationError, match=words):
        animation.check(form, *size, count)


def test_that_a_video_without_ffmpeg_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(animation.AnimationError, match="needs the program ffmpeg"):
        animation.check("mp4", 10, 10, 3)
