"""What gradsim's engine costs: over depth, in memory, for recording, and until the first step.

    python tests/benchmarks/scaling.py                  # everything: some minutes, on an otherwise idle machine
    python tests/benchmarks/scaling.py depth memory

Prints one table for each part; `--json` keeps the numbers. One thread.

depth       microseconds a step, and per layer, from 10 to 1,000 hidden layers; the matrix products alone
recording   the step with all quantities recorded against the step without
memory      the engine's block, and what the process grew by, against what the arrays of a step need
allocation  what is allocated while steps are done
startup     the first training on a machine (nothing compiled yet), in a second process, and everything compiled
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for _limit in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_limit] = "1"
# Numba counts its allocations only if told so before it is imported.
os.environ["NUMBA_NRT_STATS"] = "1"

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from workers import SETTINGS, Setting, floor, gradsim, gradsim_trainer  # noqa: E402

DEPTHS = (10, 30, 100, 300, 1000)
MEMORY = (Setting(10, 32, 32, "tanh-sgd"), Setting(100, 256, 64, "tanh-sgd"), Setting(20, 512, 128, "tanh-sgd"),
          Setting(100, 256, 64, "bn-elu-adam"))  # fmt: skip
REPETITIONS = 7
SECONDS = 0.3

FIRST_STEP = """
import sys, time
started = time.perf_counter()
sys.path[:0] = {paths!r}
from workers import Setting, gradsim_trainer
trainer = gradsim_trainer(Setting(20, 100, 32, "tanh-sgd"))
trainer.advance(1)
from gradsim.engine import operations
print(time.perf_counter() - started, len(operations.compiled))
"""
WARM_UP = """
import sys, time
started = time.perf_counter()
sys.path[:0] = {paths!r}
from gradsim.engine import kernels, operations
kernels.warm_up()
print(time.perf_counter() - started, len(operations.compiled))
"""


def microseconds(runs: dict[Any, tuple[Callable[[int], object], int]]) -> dict[Any, float]:
    """Median time of a step of each, in turns: `key -> (run, steps that it is called with at least)`."""
    steps = {}
    for key, (run, epoch) in runs.items():
        run(epoch)
        started = time.perf_counter()
        run(epoch)
        steps[key] = max(1, round(SECONDS / (time.perf_counter() - started))) * epoch
    times: dict[Any, list[float]] = {key: [] for key in runs}
    for _ in range(REPETITIONS):
        for key, (run, _epoch) in runs.items():
            started = time.perf_counter()
            run(steps[key])
            times[key].append((time.perf_counter() - started) / steps[key] * 1e6)
    return {key: statistics.median(each) for key, each in times.items()}


def table(header: list[str], rows: list[list[str]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|---" * len(header) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def depth() -> dict[str, Any]:
    settings = [Setting(each, 32, 32, "tanh-sgd") for each in DEPTHS]
    runs: dict[Any, tuple[Callable[[int], object], int]] = {s.depth: (gradsim(s), s.epoch) for s in settings}
    # Where all arrays no longer fit into a cache, the bare products of a layer take longer too.
    found = microseconds(runs | {("floor", s.depth): (floor(s), s.epoch) for s in settings})
    rows = []
    for each in DEPTHS:
        layer, products = (found[key] / (each + 1) for key in (each, ("floor", each)))
        first = found[DEPTHS[0]] / (DEPTHS[0] + 1)
        rows.append([str(each), f"{found[each]:,.1f}", f"{layer:.2f}", f"{layer / first:.2f}", f"{products:.2f}"])
    header = ["hidden layers x 32 x 32", "us a step", "us a layer", f"against {DEPTHS[0]} layers", "products alone"]
    table(header, rows)
    return {
        "us_per_step": {each: found[each] for each in DEPTHS},
        "products_us_per_step": {each: found["floor", each] for each in DEPTHS},
    }


def recording() -> dict[str, Any]:
    found: dict[str, dict[str, float]] = {}
    for setting in SETTINGS:
        runs = {on: (gradsim(setting, record=on), setting.epoch) for on in (True, False)}
        on_off = microseconds(runs)
        found[str(setting)] = {"on": on_off[True], "off": on_off[False]}
    table(
        ["setting", "us recorded", "us not recorded", "ratio"],
        [[name, f"{v['on']:,.1f}", f"{v['off']:,.1f}", f"{v['on'] / v['off']:.3f}"] for name, v in found.items()],
    )
    return found


def needed_bytes(setting: Setting) -> int:
    """Weights, gradients, optimizer slots and the activations that the backward pass needs; float32.

    A tanh layer needs its output alone. One with BatchNormalization and ELU needs three arrays of that size: what
    Dense, BatchNormalization and ELU give. The signal on its way back needs one array, of the widest layer.
    """
    trained = sum(inputs * outputs + outputs for inputs, outputs in setting.shapes)
    state = 0
    arrays = 1
    slots = 0
    if setting.normalized:
        trained += setting.depth * 2 * setting.width
        state = setting.depth * 2 * setting.width
        arrays, slots = 3, 2
    activations = setting.batch * (arrays * setting.depth * setting.width + 10)
    signal = setting.batch * setting.width
    batch = setting.batch * (setting.width + 10)
    return 4 * ((2 + slots) * trained + state + activations + signal + batch)


def resident() -> int:
    """Memory of this process in bytes (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory() -> dict[str, Any]:
    # What compiled code and libraries take is there before.
    for kind in ("tanh-sgd", "bn-elu-adam"):
        gradsim_trainer(Setting(1, 8, 32, kind)).advance(1)
    found = {}
    for setting in MEMORY:
        gc.collect()
        before = resident()
        trainer = gradsim_trainer(setting)
        trainer.advance(3)
        gc.collect()
        grown = resident() - before
        needed = needed_bytes(setting)
        found[str(setting)] = {"needed": needed, "block": trainer.nbytes, "grown": grown}
        del trainer
    table(
        ["setting", "needed MB", "engine's block MB", "ratio", "process grew by MB"],
        [
            [name, f"{v['needed'] / 1e6:.2f}", f"{v['block'] / 1e6:.2f}", f"{v['block'] / v['needed']:.3f}",
             f"{v['grown'] / 1e6:.2f}"]
            for name, v in found.items()
        ],
    )  # fmt: skip
    return found


def allocation() -> dict[str, Any]:
    """Numba's allocations, Python's peak and the growth of the process, for few and for many steps of one call."""
    from numba.core.runtime import rtsys

    found = {}
    for kind in ("tanh-sgd", "bn-elu-adam"):
        trainer = gradsim_trainer(Setting(20, 64, 32, kind))
        trainer.advance(256)
        one_call = {}
        for steps in (1, 256):
            tracemalloc.start()
            numba_before, resident_before = rtsys.get_allocation_stats(), resident()
            chunk = trainer.advance(steps)
            numba_after, resident_after = rtsys.get_allocation_stats(), resident()
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            # The copy of the record that is handed out is the caller's; it is not part of a step.
            handed_out = chunk.layers.nbytes + chunk.steps.nbytes
            one_call[steps] = {
                "numba": numba_after.alloc - numba_before.alloc,
                "python_peak": peak - handed_out,
                "grown": resident_after - resident_before - handed_out,
            }
            del chunk
        before = resident()
        for _ in range(100):
            trainer.advance(256)
        found[kind] = {"one_call": one_call, "grown_in_25600_steps": resident() - before}
    table(
        ["kind", "steps in the call", "numba allocations", "Python's peak kB", "process grew by kB"],
        [
            [kind, str(steps), str(v["numba"]), f"{v['python_peak'] / 1e3:.1f}", f"{v['grown'] / 1e3:.0f}"]
            for kind, each in found.items()
            for steps, v in each["one_call"].items()
        ]
        + [[kind, "100 calls of 256", "", "", f"{v['grown_in_25600_steps'] / 1e3:.0f}"] for kind, v in found.items()],
    )
    return found


def startup() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as other:
        runs = {
            "first training, nothing compiled yet": (FIRST_STEP, empty),
            "first training in a second process": (FIRST_STEP, empty),
            "everything compiled, nothing compiled before": (WARM_UP, other),
            "everything loaded in a second process": (WARM_UP, other),
            "training after that, in a third process": (FIRST_STEP, other),
        }
        found = {
            name: dict(zip(("whole", "inside", "compiled"), _timed(*how), strict=True)) for name, how in runs.items()
        }
    table(
        ["process", "seconds, interpreter's start included", "seconds of imports and work", "operations compiled"],
        [[name, f"{v['whole']:.2f}", f"{v['inside']:.2f}", str(int(v["compiled"]))] for name, v in found.items()],
    )
    return found


def _timed(code: str, kernels: str) -> Iterator[float]:
    program = code.format(paths=[str(HERE), str(HERE.parents[1])])
    # The helper process of the engine has to find gradsim too, installed or not.
    path = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = os.environ | {"GRADSIM_KERNELS": kernels, "PYTHONPATH": path}
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"startup: the process failed\n{done.stderr}")
    yield time.perf_counter() - started
    yield from map(float, done.stdout.split())


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    part.__name__: part for part in (depth, recording, memory, allocation, startup)
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what gradsim's engine costs.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"default: {' '.join(PARTS)}")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    chosen = parser.parse_args()
    unknown = set(chosen.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    found = {}
    for name in chosen.parts or PARTS:
        print(f"{name}\n", flush=True)
        found[name] = PARTS[name]()
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
