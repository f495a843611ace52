"""What `gradsim.watch` costs on top of a PyTorch training of 20 layers of 512 units.

    python tests/benchmarks/watch_overhead.py [--every 10] [--rounds 30] [--file run.npz]

Watched and unwatched stretches of a few steps alternate, so that a machine that is busy for a while slows both; each
step is timed by itself, in processor time (of all threads, so that one that writes a file counts), and medians are
compared. One thread.
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
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    hidden = [part for _ in range(19) for part in (nn.Linear(512, 512), nn.Tanh())]
    model = nn.Sequential(nn.Linear(784, 512), nn.Tanh(), *hidden, nn.Linear(512, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(BATCH, 784), torch.randint(0, 10, (BATCH,))
    stretch(model, optimizer, x, y, 5)
    plain: list[float] = []
    recorded: list[float] = []
    between: list[float] = []
    for _ in range(options.rounds):
        plain += stretch(model, optimizer, x, y, options.every)
        with gradsim.watch(model, every=options.every, path=options.file):
            first, *others = stretch(model, optimizer, x, y, options.every)
        recorded.append(first)
        between += others
    step, record = statistics.median(plain), statistics.median(recorded)
    other = statistics.median(between) if between else 0.0
    print(f"unwatched {step * 1e3:.2f} ms a step; watched {other * 1e3:.2f} ms, {record * 1e3:.2f} ms if recorded")
    overhead = (record + (options.every - 1) * other) / (options.every * step) - 1
    print(f"median overhead at every {options.every}. step: {overhead:+.1%}")


if __name__ == "__main__":
    main()
