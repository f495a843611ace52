"""Time of one training step: gradsim, the bare matrix products of the same step, and other frameworks, side by side.

    python tests/benchmarks/compare_engines.py                  # everything; needs an otherwise idle machine
    python tests/benchmarks/compare_engines.py --settings 10x32x32 --engines gradsim "GEMM floor"

Every engine runs in a process of its own, limited to one thread and then to all cores. All are set up first; then
they take turns, a repetition each, so that whatever else the machine does meets all of them alike. The figure is the
median over the repetitions. An engine that isn't installed has a line that says so.

What is compared: all start from the same weights, take mini-batches from the same 2,048 rows in an order that is new
in each epoch, and update every step. gradsim records all its quantities of every layer in every step. "+ norms"
records the norm of each kernel's gradient in every step, as a user of that framework would write it; the other lines
of peers record nothing. "GEMM floor" is only the 3L-1 matrix products of a step with L dense layers, from compiled
code through the same BLAS; "numpy.dot" the same from Python, for information.
"""

from __future__ import annotations

import argparse
import datetime
import json
import mmap
import os
import platform
import selectors
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from workers import ENGINES, ROWS, SETTINGS, Setting

HERE = Path(__file__).resolve().parent
PLAYGROUND = "Playground nn.ts"
# Colour and marker in the chart; what records gradients has a solid line.
LOOKS = {
    "gradsim": ("black", "o"),
    "GEMM floor": ("0.45", "_"),
    "numpy.dot": ("0.7", "_"),
    "PyTorch eager": ("C3", "s"),
    "PyTorch compile": ("C1", "D"),
    "JAX": ("C0", "^"),
    "Keras": ("C2", "v"),
    "Playground": ("C4", "*"),
}
PACKAGES = ("numpy", "scipy", "numba", "torch", "jax", "jaxlib", "keras")
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class Failed(Exception):
    """What a table says in place of a number."""


class Worker:
    """A child process that trains on request."""

    def __init__(self, engine: str, command: list[str], threads: int) -> None:
        self.engine = engine
        self.command = command
        self.threads = threads
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        environment = os.environ | dict.fromkeys(LIMITS, str(self.threads))
        if self.threads == 1:
            flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
            environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {flags}".strip()
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, request: dict[str, Any], timeout: float) -> float:
        """Seconds that the request took; raises `Failed`."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed("ended unexpectedly") from None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                self.stop()
                raise Failed(f"no answer in {timeout:g} s")
        line = self.process.stdout.readline()
        if not line:
            raise Failed("ended unexpectedly")
        answer = json.loads(line)
        if "seconds" not in answer:
            raise Failed(answer.get("missing") or answer["failed"])
        return float(answer["seconds"])

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def translate_playground(source: Path, target: Path) -> Path:
    """`nn.js` from the Playground's `nn.ts`, by the TypeScript compiler beside it or on the path."""
    found = next((file for file in (source, source / "nn.ts", source / "src" / "nn.ts") if file.is_file()), None)
    if found is None:
        raise Failed(f"no nn.ts in {source}")
    beside = next((p / "node_modules/.bin/tsc" for p in found.parents if (p / "node_modules/.bin/tsc").exists()), None)
    compiler = str(beside) if beside else shutil.which("tsc")
    if compiler is None or shutil.which("node") is None:
        raise Failed("needs node and a TypeScript compiler (tsc)")
    options = ["--target", "es2017", "--module", "commonjs", "--outDir", str(target)]
    # It was written for an older TypeScript: the complaints about types don't keep it from being translated.
    subprocess.run([compiler, *options, str(found)], check=False, stdout=subprocess.DEVNULL)
    if not (target / "nn.js").exists():
        raise Failed("nn.ts could not be translated")
    return target / "nn.js"


def measure(
    setting: Setting, workers: Sequence[Worker], repetitions: int, seconds: float, timeout: float
) -> tuple[dict[str, float | str], dict[str, list[float]]]:
    """Median seconds a step of each worker, or why there is none; and those of every repetition."""
    results: dict[str, float | str] = {}
    steps: dict[str, int] = {}
    for worker in workers:
        try:
            worker.ask({"setup": setting._asdict()}, timeout)
            epoch = 1 if worker.engine == PLAYGROUND else setting.epoch
            each = worker.ask({"run": epoch}, timeout) / epoch
            steps[worker.engine] = max(1, round(seconds / each / epoch)) * epoch
        except Failed as reason:
            results[worker.engine] = str(reason)
    times: dict[str, list[float]] = {engine: [] for engine in steps}
    for repetition in range(repetitions):
        # Another one first each time, so that nobody always runs behind the same neighbour.
        for worker in [*workers[repetition % len(workers) :], *workers[: repetition % len(workers)]]:
            if worker.engine in results:
                continue
            if worker.threads > 1:
                # Idle threads of BLAS and OpenMP go on looking for work for a while; that is not the next one's cost.
                time.sleep(0.2)
            try:
                took = worker.ask({"run": steps[worker.engine]}, timeout)
                times[worker.engine].append(took / steps[worker.engine])
            except Failed as reason:
                results[worker.engine] = str(reason)
    medians = {engine: statistics.median(each) for engine, each in times.items() if engine not in results}
    return results | medians, times


def touch_memory(most: int = 4 * 2**30) -> None:
    """Writes to memory once and gives it back.

    A virtual machine gets a page from its host when it first writes to it, which may take as long as a step: a cost of
    the machine's, and not the same for all that take turns.
    """
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return
    with mmap.mmap(-1, max(min(most, free // 2), mmap.PAGESIZE)) as memory:
        for place in range(0, len(memory), mmap.PAGESIZE):
            memory[place] = 1


def machine() -> dict[str, Any]:
    name = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    # The checkout is what is measured, installed or not.
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())
    versions = {"gradsim": project["project"]["version"]}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
        "processor": name,
        "cores": cores(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": versions,
    }


def cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def markdown(rows: dict[str, dict[str, float | str]], settings: Sequence[Setting], title: str) -> str:
    """Microseconds a step and, in parentheses, how many times gradsim's (the floor's where gradsim has none)."""
    unit = "gradsim" if any(isinstance(v, float) for v in rows.get("gradsim", {}).values()) else "GEMM floor"
    lines = [
        f"{title}: microseconds a step (times {unit})",
        "",
        "| engine | " + " | ".join(map(str, settings)) + " |",
        "|---" * (len(settings) + 1) + "|",
    ]
    for engine, values in rows.items():
        cells = []
        for setting in settings:
            value = values.get(str(setting), "")
            base = rows.get(unit, {}).get(str(setting))
            if isinstance(value, float):
                ratio = f" ({value / base:.2f})" if isinstance(base, float) else ""
                cells.append(f"{value * 1e6:,.0f}{ratio}")
            else:
                cells.append(value)
        lines.append(f"| {engine} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(report: dict[str, Any], settings: Sequence[Setting], path: Path) -> None:
    """One panel for each number of threads: a line for each engine, microseconds a step on a log axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(report["results"]), 1, figsize=(11, 4.6 * len(report["results"])), squeeze=False)
    places = range(len(settings))
    for panel, (threads, rows) in zip(axes[:, 0], report["results"].items(), strict=True):
        shown = {
            engine: values for engine, values in rows.items() if any(isinstance(v, float) for v in values.values())
        }
        for engine, values in shown.items():
            heights = [values.get(str(s)) for s in settings]
            known = [(x, h * 1e6) for x, h in zip(places, heights, strict=True) if isinstance(h, float)]
            family = next(name for name in LOOKS if engine.startswith(name))
            colour, marker = LOOKS[family]
            style = "-" if engine == "gradsim" or engine.endswith("+ norms") else "--"
            width = 2.6 if engine == "gradsim" else 1.3
            panel.plot(*zip(*known, strict=True), style, color=colour, linewidth=width, marker=marker, label=engine)
        panel.set_yscale("log")
        panel.set_xticks(list(places), [str(s) for s in settings], rotation=12)
        panel.set_ylabel("microseconds a step")
        panel.set_title("one thread" if threads == "1" else f"{threads} threads")
        panel.grid(True, which="both", alpha=0.25)
        panel.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle(
        f"Training step, hidden layers x width x batch; {report['processor']}, {report['date'][:10]}", fontsize=10
    )
    figure.tight_layout()
    figure.savefig(path)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compares the time of a training step across engines.")
    names = [str(setting) for setting in SETTINGS]
    parser.add_argument("--settings", nargs="+", choices=names, default=names, metavar="LxWxB", help=", ".join(names))
    parser.add_argument("--engines", nargs="+", choices=[*ENGINES, PLAYGROUND], help="default: all")
    parser.add_argument("--threads", nargs="+", type=int, default=sorted({1, cores()}))
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.4, help="length of one repetition")
    parser.add_argument("--timeout", type=float, default=600.0, help="for building a network, compiling included")
    parser.add_argument("--playground", type=Path, help="a copy of TensorFlow Playground, or its nn.ts")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--json", type=Path, help="write everything here")
    parser.add_argument("--chart", type=Path, help="draw here (.png or .svg); needs matplotlib")
    return parser.parse_args()


def main() -> None:
    chosen = options()
    settings = [setting for setting in SETTINGS if str(setting) in chosen.settings]
    touch_memory()
    report: dict[str, Any] = machine() | {
        "rows": ROWS,
        "repetitions": chosen.repetitions,
        "results": {},
        "repeated": {},
    }
    with tempfile.TemporaryDirectory() as scratch:
        commands = {name: [chosen.python, str(HERE / "workers.py"), name] for name in ENGINES}
        missing: dict[str, str] = {}
        if chosen.playground:
            try:
                script = translate_playground(chosen.playground, Path(scratch))
                commands[PLAYGROUND] = ["node", str(HERE / "playground.cjs"), str(script)]
            except Failed as reason:
                missing[PLAYGROUND] = str(reason)
        for threads in chosen.threads:
            workers = [
                Worker(name, command if name == PLAYGROUND else [*command, str(threads)], threads)
                for name, command in commands.items()
                # The Playground and the interpreter of numpy.dot gain nothing from more threads than one.
                if (not chosen.engines or name in chosen.engines) and (threads == 1 or name != PLAYGROUND)
            ]
            rows: dict[str, dict[str, float | str]] = {worker.engine: {} for worker in workers}
            try:
                for setting in settings:
                    found, times = measure(setting, workers, chosen.repetitions, chosen.seconds, chosen.timeout)
                    report["repeated"].setdefault(str(threads), {})[str(setting)] = times
                    for engine, value in found.items():
                        rows[engine][str(setting)] = value
                    print(f"{threads} thread(s), {setting}: done", file=sys.stderr, flush=True)
            finally:
                for worker in workers:
                    worker.stop()
            for engine, reason in missing.items():
                rows[engine] = {str(setting): reason for setting in settings}
            report["results"][str(threads)] = rows
            print(markdown(rows, settings, "One thread" if threads == 1 else f"{threads} threads"), flush=True)
            print()
    print(f"{report['processor']}, {report['cores']} cores, {report['date']}; medians of {chosen.repetitions}")
    print(", ".join(f"{package} {version}" for package, version in report["versions"].items()))
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1) + "\n")
    if chosen.chart:
        draw(report, settings, chosen.chart)


if __name__ == "__main__":
    main()
