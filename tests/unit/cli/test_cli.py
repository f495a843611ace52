"""The command line: what it prints, writes and refuses, and with which exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import gradsim
from gradsim import Recording, layers, resources
from gradsim.cli.main import cli
from gradsim.model import Experiment, bundled, file, schema
from gradsim.nn import activations
from gradsim.nn.spec import frozen

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.gradsim"
    experiment = Experiment(
        layers=[layers.Repeat(2, layers=[layers.Dense(4, activation="tanh")]), layers.Dense(1, activation="sigmoid")],
        data={"type": "moons", "samples": 100},
        loss="binary_crossentropy",
        name="Small",
    )
    file.save(path, experiment)
    return path


def process(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gradsim", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, **options)  # type: ignore[call-overload]


def test_that_a_run_ends_in_a_table_of_layers(run: Run, small: Path) -> None:
    result = run("run", small, "--steps", 5)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "Small"
    assert lines[1] == "After step 4:"
    for title in ("layer", "kind", "delta RMS", "gradient RMS", "update/weight", "state"):
        assert title in lines[2]
    assert [line.split()[1] for line in lines[3:6]] == ["dense", "dense_1", "dense_2"]
    assert all("healthy" in line for line in lines[3:6])
    assert "5 steps in" in result.stdout
    assert "validation accuracy" in result.stdout
    assert "\x1b" not in result.stdout


def test_that_vanishing_is_a_result(run: Run) -> None:
    result = run("run", "vanishing-sigmoid", "--steps", 3)
    assert result.exit_code == 0
    rows = [line for line in result.stdout.splitlines() if "dense" in line]
    assert "▼ vanishing" in rows[0]
    assert "● healthy" in rows[-1]


def test_that_nan_is_a_result_and_is_named_instead_of_the_rest(run: Run, tmp_path: Path) -> None:
    result = run("run", "exploding-avalanche", "--steps", 30, "-o", tmp_path / "x.npz")
    assert result.exit_code == 0
    row = next(line for line in result.stdout.splitlines() if "dense_3" in line)
    assert "× NaN" in row
    assert "0.00e+00" not in row
    # The first thing that is not finite in this run is an overflow; the NaN follow from it.
    assert "First Inf: step 3, dense_1 (activation)" in result.stdout
    first = Recording.load(tmp_path / "x.npz").first_nonfinite
    assert first is not None
    assert f"step {first.step}, " in result.stdout


def test_that_frozen_layers_are_called_so(run: Run, small: Path) -> None:
    result = run("run", small, "--steps", 2, "--set", "layers[0].trainable=false")
    assert result.stdout.count("= frozen") == 2


def test_that_the_csv_has_a_row_for_each_step_and_layer(run: Run, small: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    result = run("run", small, "--steps", 6, "-o", target)
    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert len(rows) == 6 * 3
    assert [row["layer_name"] for row in rows[:3]] == ["dense", "dense_1", "dense_2"]
    assert {"step", "loss", "gradient_rms", "delta_rms", "update_ratio", "val_loss"} <= rows[0].keys()
    assert f"{target} written" in result.stderr


def test_that_the_npz_is_the_recording_that_python_gives(run: Run, small: Path, tmp_path: Path) -> None:
    run("run", small, "--epochs", 2, "--seed", 3, "-o", tmp_path / "out.npz")
    recording = Recording.load(tmp_path / "out.npz")
    expected = gradsim.load(small)
    expected = type(expected).of(file.loads(file.dumps(expected).replace('"seed": 0', '"seed": 3')).experiment)
    assert recording == expected.run(epochs=2)


def test_that_options_and_settings_reach_the_experiment(run: Run, small: Path, tmp_path: Path) -> None:
    run(
        "run", small, "--steps", 2, "--dtype", "float64", "--set", "layers[0].layers[0].units=7",
        "--set", "layers[0].layers[0].activation=elu", "--set", "layers[0].layers[0].activation.alpha=0.5",
        "--set", "optimizer=Adam", "--set", "optimizer.learning_rate=.5", "--set", "batch_size=None",
        "--set", 'data={"type": "circle", "samples": 50}', "--set", "name=3 words, no JSON", "-o", tmp_path / "o.npz",
    )  # fmt: skip
    recording = Recording.load(tmp_path / "o.npz")
    assert recording.dtype == "float64"
    assert recording.experiment is not None
    made = file.loads(json.dumps(recording.experiment)).experiment
    [block, _] = made.layers
    assert isinstance(block, layers.Repeat)
    assert block.layers[0] == layers.Dense(7, activation=activations.ELU(0.5), uid=block.layers[0].uid)
    assert made.optimizer.identifier == "Adam"
    assert made.optimizer.learning_rate == 0.5
    assert made.batch_size is None
    assert made.data.identifier == "circle"
    assert made.name == "3 words, no JSON"


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("layers[5].units=3", "layers[5]: must be from layers[0] to layers[1] (received 5)"),
        ("layers[1].unit=3", "(did you mean 'units'?)"),
        ("layers[1].units=0", "layers[1].units: must be at least 1 (received 0)"),
        ("layers[1].units=abc", "layers[1].units: must be a whole number (received 'abc')"),
        ("layers.units=3", "layers has no fields"),
        ("seed[0]=3", "seed: is no list"),
        ("seed.x=3", "seed has no fields"),
        ("optimizer.rate=3", "optimizer.rate: is not a field here; must be one of learning_rate, "),
        ("optimizers.learning_rate=3", "(did you mean 'optimizer'?)"),
        ("optimizer.learning_rate=nan", "optimizer.learning_rate: must be"),
        ("=3", "--set: must be a path as in"),
        ("a..b=3", "--set: must be a path as in"),
        ("layers[1].uid=3", "layers[1].uid: is not a field here"),
        ("units", "--set: must be PATH=VALUE, as in layers[3].units=50 (received 'units')"),
        ("batch_size=[[[[", "batch_size: must be a whole number"),
    ],
)
def test_that_a_wrong_setting_is_refused_with_its_path(run: Run, small: Path, setting: str, fault: str) -> None:
    for command in ("run", "show"):
        result = run(command, small, "--set", setting)
        assert result.exit_code == 2
        assert fault in result.stderr
        assert result.stdout == ""


def test_that_all_faults_of_all_kinds_are_reported_together(run: Run, small: Path, tmp_path: Path) -> None:
    result = run(
        "run", small, "--seed", "x", "--dtype", "float16", "--set", "loss=mze", "--set", "layers[9].units=1",
        "--set", "nonsense", "--steps", 1, "--epochs", 1, "-o", tmp_path / "x.txt",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "small.gradsim can't be used: 7 faults" in result.stderr
    for path in ("seed", "dtype", "loss", "layers[9]", "--set", "--epochs", "--output"):
        assert f"\n  {path}: " in result.stderr


def test_that_a_file_with_faults_names_them_all(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.gradsim"
    path.write_text('{"gradsim": 1, "layers": [{"type": "Dense", "units": 0}, {"type": "Dens"}], "seed": -1}')
    for command in ("run", "show"):
        result = run(command, path)
        assert result.exit_code == 2
        assert "3 faults" in result.stderr
        assert "layers[0].units: must be at least 1 (received 0)" in result.stderr


def test_that_what_can_not_be_computed_is_refused_before_it_starts(run: Run, small: Path, tmp_path: Path) -> None:
    result = run("run", small, "--set", "layers[1].units=3", "-o", tmp_path / "x.csv")
    assert result.exit_code == 2
    assert "layers[1].units: the last layer must have 1 or 2 units" in result.stderr
    assert not (tmp_path / "x.csv").exists()


def test_that_an_unknown_experiment_is_answered_with_the_nearest(run: Run) -> None:
    result = run("run", "vanishing-sigmod")
    assert result.exit_code == 2
    assert "did you mean 'vanishing-sigmoid'?" in result.stderr
    assert "No such file" in run("run", "missing.gradsim").stderr


def test_that_an_output_that_can_not_be_written_is_found_before_the_run(run: Run, small: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for target in (tmp_path / "missing" / "x.csv", tmp_path / "folder.csv", tmp_path / "x", small / "x.csv"):
        result = run("run", small, "--steps", 10_000_000, "-o", target)
        assert result.exit_code == 2
        assert "--output: " in result.stderr


def test_that_a_wrong_option_is_a_fault_of_input(run: Run, small: Path) -> None:
    assert run("run", small, "--steps", 0).exit_code == 2
    assert run("run", small, "--nonsense").exit_code == 2
    assert run("nonsense").exit_code == 2


def test_that_show_lists_layers_with_parameters(run: Run, small: Path) -> None:
    result = run("show", small)
    assert result.exit_code == 0
    assert "Small" in result.stdout
    assert "3 layers, 37 parameters (37 trained), input 2" in result.stdout
    row = next(line for line in result.stdout.splitlines() if "dense_1" in line)
    assert row.split() == ["1", "dense_1", "Dense", "4", "tanh", "4", "20"]
    assert "Optimizer: SGD" in result.stdout
    assert "Data: moons(samples=100)" in result.stdout


def test_that_show_tells_what_is_unwise(run: Run) -> None:
    result = run("show", "lecture-clipping")
    assert "! unwise: loss: softmax under mse" in result.stdout
    assert "i note: optimizer.clipvalue" in result.stdout


@pytest.mark.parametrize("name", bundled.names())
def test_that_every_bundled_experiment_can_be_shown(run: Run, name: str) -> None:
    result = run("show", name)
    assert result.exit_code == 0
    assert "null" not in result.stdout
    assert "Trained weights: \n" not in result.stdout


def test_that_show_says_what_an_empty_batch_size_stands_for(run: Run) -> None:
    assert "Batch size: the whole training set" in run("show", "regime-batch").stdout


def test_that_list_names_everything_there_is(run: Run) -> None:
    result = run("list")
    assert result.exit_code == 0
    for word in (
        "vanishing-sigmoid",
        "fashion_mnist",
        "BatchNormalization",
        "gelu",
        "orthogonal",
        "AdamW",
        "WarmUp",
        "l1_l2",
        "mae",
    ):
        assert word in result.stdout
    alone = run("list", "optimizers")
    assert "fields: learning_rate" in alone.stdout
    assert "fashion_mnist" not in alone.stdout
    refused = run("list", "optimiser")
    assert refused.exit_code == 2
    assert "did you mean 'optimizers'?" in refused.stderr


def test_that_a_new_definition_is_listed_at_once(run: Run) -> None:
    @activations.registry.register("throw_away")
    @frozen
    class ThrowAway(activations.Activation):
        """A test's own."""

    try:
        assert "throw_away" in run("list", "activations").stdout
    finally:
        activations.registry.unregister("throw_away")


def test_that_the_published_schema_is_printed_and_written(run: Run, tmp_path: Path) -> None:
    published = resources.resource(schema.NAME).read_text(encoding="utf-8")
    assert run("schema").stdout == published
    assert run("schema", "-o", tmp_path / "s.json").exit_code == 0
    assert (tmp_path / "s.json").read_text(encoding="utf-8") == published
    assert run("schema", "-o", tmp_path / "missing" / "s.json").exit_code == 2


def test_that_the_version_is_told(run: Run) -> None:
    assert run("--version").stdout.strip() == f"gradsim, version {gradsim.__version__}"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a display")
@pytest.mark.parametrize("arguments", [[], ["experiment.gradsim"]])
def test_that_without_a_display_the_window_says_so(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert "no display" in result.stderr
    assert "Traceback" not in result.output


def test_that_the_command_starts_without_the_engine_and_qt() -> None:
    code = (
        "import sys; from gradsim.cli.main import cli; from click.testing import CliRunner;"
        "assert CliRunner().invoke(cli, ['list']).exit_code == 0;"
        "print(sorted({'numba', 'scipy', 'PySide6'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_that_the_real_command_runs_and_writes(small: Path, tmp_path: Path) -> None:
    done = process("run", small, "--steps", 4, "-o", tmp_path / "x.csv")
    assert done.returncode == 0, done.stderr
    assert "update/weight" in done.stdout
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 1 + 4 * 3
    assert "training" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoding", "locale", "said"), [("gbk", "zh_CN.GBK", "梯度消失"), ("cp1252", "C", "Vanishing")]
)
def test_that_an_older_encoding_keeps_no_command_from_its_end(encoding: str, locale: str, said: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "gradsim", "diagnose", "vanishing-sigmoid", "--steps", "20"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding, "LC_ALL": locale},
        timeout=280,
    )
    assert found.returncode == 0, found.stderr
    assert f"? {said}" in found.stdout.decode(encoding)


@pytest.mark.slow
def test_that_the_first_run_says_that_it_compiles(small: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "GRADSIM_KERNELS": str(tmp_path / "kernels")}
    first = process("run", small, "--steps", 1, env=environment)
    second = process("run", small, "--steps", 1, env=environment)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "compiling (first run only)" in first.stderr
    assert second.stderr == ""


def test_that_a_reader_that_has_enough_is_no_fault() -> None:
    command = [sys.executable, "-m", "gradsim", "schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(10)
        running.stdout.close()
        complaint = running.stderr.read()
    assert b"Traceback" not in complaint
    assert b"BrokenPipe" not in complaint


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C can't be sent to one process")
def test_that_ctrl_c_ends_the_run_and_keeps_what_was_recorded(small: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.npz"
    command = [sys.executable, "-c", _SLOW, "run", str(small), "--steps", "100000000", "-o", str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        while "running" not in (line := running.stderr.readline()):
            assert line, "it ended before it ran"
        running.send_signal(signal.SIGINT)
        try:
            out, err = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 130, err
    assert "update/weight" in out
    assert "interrupted after" in err
    recording = Recording.load(target)
    assert 0 < len(recording) < 100_000_000
    assert recording.final_weights is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.gradsim", "x.npz"]


# Says on stderr when the first steps are done, so that the test knows when to press.
_SLOW = """
import signal
import sys
# Whoever starts the tests in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from gradsim import cli
from gradsim.telemetry import Recorder
publish = Recorder.publish
def noted(self):
    publish(self)
    print("running", file=sys.stderr, flush=True)
    Recorder.publish = publish
Recorder.publish = noted
cli.main(sys.argv[1:])
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_that_a_terminal_shows_progress_and_colours(small: Path) -> None:
    import pty

    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "120"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "gradsim", "run", str(small), "--steps", "2000"]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment) as running:
        os.close(terminal)
        shown = b""
        while True:
            try:
                part = os.read(controller, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
    os.close(controller)
    assert running.returncode == 0
    text = shown.decode()
    assert "training" in text
    assert "loss 0." in text
    assert "2000/2000" in text
    assert "48;2;" in text
