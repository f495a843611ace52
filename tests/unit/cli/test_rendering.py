"""``gradsim render``, in processes of their own: the platform must be set before Qt loads."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PIL import Image

from gradsim import api

ROOT = Path(__file__).resolve().parents[3]


def gradsim(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    # As on a server: no display, and nothing said of the platform.
    plain = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "QT_QPA_PLATFORM")}
    return subprocess.run(
        [sys.executable, "-m", "gradsim", *map(str, arguments)],
        env={**plain, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("record") / "run.npz"
    api.Experiment.of(api.find("small-spiral").experiment).run(steps=30).save(path)
    return path


def test_that_an_experiment_becomes_a_png_without_a_display(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    done = gradsim("render", "small-spiral", "-o", path, "--size", "640x400", "--steps", 20)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[-1] == f"gradsim: {path} written"
    assert "propagateSizeHints" not in done.stderr
    with Image.open(path) as image:
        assert image.size == (640, 400)
        assert len(image.convert("RGB").getcolors(10**6) or ()) > 20


def test_that_a_recording_becomes_an_svg_at_a_step(recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.svg"
    done = gradsim("render", recording, "-o", path, "--step", 12, "--view", "profile", "--quantity", "gradient_rms")
    assert done.returncode == 0, done.stderr
    texts = [element.text or "" for element in ElementTree.fromstring(path.read_text()).iter()]
    assert any("step 12" in text for text in texts)


def test_that_a_recording_becomes_an_animation(recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.webp"
    done = gradsim("render", recording, "-o", path, "--frames", 5, "--size", "300x200", "--theme", "dark")
    assert done.returncode == 0, done.stderr
    with Image.open(path) as image:
        assert (image.n_frames, image.size) == (5, (300, 200))


def test_that_bad_input_is_refused_with_all_faults_and_leaves_nothing(tmp_path: Path) -> None:
    done = gradsim(
        "render", "small-spiral", "-o", tmp_path / "x.txt", "--view", "nice", "--size", "12", "--theme", "pink",
        "--step", "9999", "--quantity", "q", "--set", "a=1", "--layer", "none",
    )  # fmt: skip
    assert done.returncode == 2
    for name in ("--output", "--view", "--size", "--theme", "--step", "--quantity", "a:", "--layer"):
        assert f"  {name}" in done.stderr
    assert os.listdir(tmp_path) == []


def test_that_a_file_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"nothing of the kind")
    done = gradsim("render", tmp_path / "x.npz", "-o", tmp_path / "x.png")
    assert done.returncode == 2
    assert "an .npz archive" in done.stderr
    assert os.listdir(tmp_path) == ["x.npz"]


def test_that_missing_libraries_of_qt_are_said(recording: Path, tmp_path: Path) -> None:
    fake = tmp_path / "fake" / "PySide6"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text("raise ImportError('libEGL.so.1: cannot open shared object file')")
    path = tmp_path / "x.png"
    done = gradsim("render", recording, "-o", path, PYTHONPATH=os.pathsep.join([str(fake.parent), str(ROOT)]))
    assert done.returncode == 1
    assert "libEGL.so.1" in done.stderr
    assert "gradsim doctor" in done.stderr
    assert not path.exists()


def test_that_a_file_with_its_run_shows_that_run(tmp_path: Path) -> None:
    from gradsim.engine import saved
    from gradsim.engine.trainer import Trainer
    from gradsim.telemetry import Recorder

    experiment = api.Experiment.of(api.find("small-spiral").experiment)
    trainer = Trainer(experiment)
    recorder = Recorder(trainer.layer_table, 4_000_000)
    chunk = trainer.advance(16)
    recorder.append(chunk.layers, chunk.steps)
    before = trainer.snapshot().arrays
    chunk = trainer.advance(1)
    recorder.append(chunk.layers, chunk.steps)
    live = ((0, experiment.optimizer),)
    run = saved.SavedRun(*recorder.paused(), 17, before, False, None, live, saved.digest(trainer.snapshot()))
    path = tmp_path / "own.gradsim"
    saved.save(path, experiment, run)
    for view in ("profile", "data"):
        done = gradsim("render", path, "-o", tmp_path / f"{view}.svg", "--view", view)
        assert done.returncode == 0, done.stderr
        texts = [
            element.text or "" for element in ElementTree.fromstring((tmp_path / f"{view}.svg").read_text()).iter()
        ]
        assert any("step 16" in text for text in texts)
    assert gradsim("show", path).returncode == 0


def test_that_a_lesson_becomes_a_handout(tmp_path: Path) -> None:
    path = tmp_path / "x.pdf"
    done = gradsim("handout", "clipping", "-o", path, "--language", "zh_CN")
    assert done.returncode == 0, done.stderr
    assert path.read_bytes().startswith(b"%PDF")
    assert os.listdir(tmp_path) == ["x.pdf"]


def test_that_a_handout_is_refused_with_all_faults(tmp_path: Path) -> None:
    done = gradsim("handout", "nothing", "-o", tmp_path / "x.txt", "--language", "fr")
    assert done.returncode == 2
    for name in ("--output", "--language", "LESSON"):
        assert f"  {name}" in done.stderr
    assert os.listdir(tmp_path) == []
