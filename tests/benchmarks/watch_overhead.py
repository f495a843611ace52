"""What `gradsim.watch` costs on top of a PyTorch training of 20 layers of 512 units.

    python tests/benchmarks/watch_overhead.py [--every 10] [--rounds 15] [--file run.npz]

Watched and unwatched stretches of a few steps alternate, so that a machine that is busy for a while slows both. One
thread, and processor time, which other programs disturb less than the clock, and which counts the thread that writes a
file, too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

import gradsim

BATCH = 128
PERIODS = 3


def stretch(model: Any, optimizer: Any, x: Any, y: Any, steps: int) -> list[float]:
    """Processor seconds of each step."""
    seconds = []
    for _ in range(steps):
        started = time.process_time()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        seconds.append(time.process_time() - started)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    hidden = [part for _ in range(19) for part in (nn.Linear(512, 512), nn.Tanh())]
    model = nn.Sequential(nn.Linear(784, 512), nn.Tanh(), *hidden, nn.Linear(512, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(BATCH, 784), torch.randint(0, 10, (BATCH,))
    stretch(model, optimizer, x, y, 5)
    overheads, plain, watched = [], [], []
    for _ in range(options.rounds):
        plain.append(statistics.mean(stretch(model, optimizer, x, y, PERIODS * options.every)))
        with gradsim.watch(model, every=options.every, path=options.file):
            watched.append(statistics.mean(stretch(model, optimizer, x, y, PERIODS * options.every)))
        overheads.append(watched[-1] / plain[-1] - 1)
    print(f"{statistics.median(plain) * 1e3:.2f} ms a step, watched {statistics.median(watched) * 1e3:.2f} ms")
    print(f"median overhead at every {options.every}. step: {statistics.median(overheads):+.1%}")


if __name__ == "__main__":
    main()
