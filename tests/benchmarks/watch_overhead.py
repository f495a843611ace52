"""What `gradsim.watch` costs on top of a PyTorch training of 20 layers of 512 units.

    python tests/benchmarks/watch_overhead.py [--every 10] [--rounds 40] [--file run.npz]

A few steps of a watched training and of the same one unwatched alternate, so that a machine that is busy for a while
slows both. One thread, and processor time, which other programs disturb less than the clock, and which counts the
thread that writes a file, too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
from torch import nn

import gradsim

BATCH = 128


class Training:
    """A model with its optimizer and one batch."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        hidden = [part for _ in range(19) for part in (nn.Linear(512, 512), nn.Tanh())]
        self.model = nn.Sequential(nn.Linear(784, 512), nn.Tanh(), *hidden, nn.Linear(512, 10))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)
        self.x, self.y = torch.randn(BATCH, 784), torch.randint(0, 10, (BATCH,))

    def seconds(self, steps: int) -> float:
        """Of processor time per step."""
        started = time.process_time()
        for _ in range(steps):
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(self.x), self.y).backward()
            self.optimizer.step()
        return (time.process_time() - started) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    plain, watched = Training(), Training()
    found = []
    with gradsim.watch(watched.model, every=options.every, path=options.file):
        for _ in range(1 + options.rounds):
            found.append((plain.seconds(options.every), watched.seconds(options.every)))
    found = found[1:]
    before, after = (statistics.median(seconds) * 1e3 for seconds in zip(*found, strict=True))
    print(f"{before:.2f} ms a step, watched {after:.2f} ms")
    overhead = statistics.median(its / mine - 1 for mine, its in found)
    print(f"median overhead at every {options.every}. step: {overhead:+.1%}")


if __name__ == "__main__":
    main()
