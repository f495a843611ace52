"""What `gradsim.watch` costs on top of a PyTorch training of 20 layers of 512 units.

    python tests/benchmarks/watch_overhead.py [--every 10] [--steps 40] [--rounds 5]

Watched and unwatched stretches alternate, so that a machine that is busy for a while slows both. One thread, and
processor time, which other programs disturb less than the clock.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
from torch import nn

import gradsim

BATCH = 128


def stretch(model: Any, optimizer: Any, x: Any, y: Any, steps: int) -> float:
    """Processor seconds per step."""
    started = time.process_time()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return (time.process_time() - started) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    hidden = [part for _ in range(19) for part in (nn.Linear(512, 512), nn.Tanh())]
    model = nn.Sequential(nn.Linear(784, 512), nn.Tanh(), *hidden, nn.Linear(512, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(BATCH, 784), torch.randint(0, 10, (BATCH,))
    stretch(model, optimizer, x, y, 5)
    shares = []
    for _ in range(options.rounds):
        plain = stretch(model, optimizer, x, y, options.steps)
        with gradsim.watch(model, every=options.every):
            watched = stretch(model, optimizer, x, y, options.steps)
        shares.append(watched / plain - 1)
        print(f"plain {plain * 1e3:.1f} ms, watched {watched * 1e3:.1f} ms a step: {shares[-1]:+.1%}")
    print(f"median overhead at every {options.every}. step: {statistics.median(shares):+.1%}")


if __name__ == "__main__":
    main()
