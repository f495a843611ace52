"""Compiles the operations of the engine for the levels of x86-64, to be shipped: ``make_kernels.py FOLDER``.

FOLDER gets one folder per level and an index that names what they were made from; see :mod:`gradsim.engine.store`.
On another architecture it gets the index only, by which a frozen program tells its sources from those of another one.
A folder that was made from the same sources by the same compiler is left as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gradsim.engine import kernels, operations, store  # noqa: E402

DTYPES = ("float32", "float64")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--level", action="append", choices=list(store.LEVELS), help="only this one; can be repeated")
    parser.add_argument("--operation", action="append", help="only this one, as in products.add; can be repeated")
    parser.add_argument("--compile", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.compile:
        compile_here(options.operation)
        return
    levels = list(store.LEVELS) if platform.machine().lower() in store.MACHINES else []
    ship(options.folder, options.level or levels, options.operation or ())


def ship(folder: Path, levels: Sequence[str], names: Sequence[str] = ()) -> None:
    """Fills the folder; ``names`` limits the operations to a few that only the number format tells apart."""
    wanted = {"system": sys.platform, "stamp": store.stamp(), "levels": list(levels), "operations": list(names)}
    index = folder / store.INDEX
    if index.is_file() and json.loads(index.read_text(encoding="utf-8")) == wanted:
        print(f"{folder}: up to date")
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for level in levels:
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            command = [sys.executable, __file__, "--compile", cache]
            for name in names:
                command += ["--operation", name]
            # Without the second variable numba adds the features of this machine to those of the level.
            chosen = {"NUMBA_CPU_NAME": level, "NUMBA_CPU_FEATURES": "", "GRADSIM_KERNELS": cache}
            subprocess.run(command, env=os.environ | chosen, check=True)
            (made,) = Path(cache).iterdir()
            made.rename(folder / level)
        files = list((folder / level).glob("*.kernel"))
        print(f"{level}: {len(files)} operations, {sum(file.stat().st_size for file in files)} bytes")
    # Last, so that an interrupted run leaves no kernels that look whole.
    index.write_text(json.dumps(wanted) + "\n", encoding="utf-8")


def compile_here(names: Sequence[str] | None) -> None:
    """Compiles into GRADSIM_KERNELS for NUMBA_CPU_NAME."""
    if not names:
        kernels.warm_up(None, DTYPES)
        return
    for name in names:
        for dtype in DTYPES:
            operations.operation(name, dtype)


if __name__ == "__main__":
    main(sys.argv[1:])
