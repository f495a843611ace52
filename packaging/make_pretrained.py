"""Trains the first part of the pretrained case and keeps the weights that its second part starts from.

    python packaging/make_pretrained.py

Writes ``resources/weights/eight-classes.npz``: the arrays of the first six layers of ``pretrained-1-eight-classes``,
in Keras' order, after as many epochs as its validation loss falls. The same machine makes the same bytes; another one
makes the same numbers to five digits or so.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
EPOCHS = 15
LAYERS = 6
"""Flatten and the five hidden layers."""


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from gradsim import api

    experiment = api.load("pretrained-1-eight-classes")
    recording = experiment.run(epochs=EPOCHS)
    print(f"validation accuracy {recording.validation.val_accuracy[-1]:.3f}")
    kept = sum(placed.index < LAYERS for placed, _ in experiment.stack().weights())
    weights = recording.final_weights
    assert weights is not None
    target = ROOT / "resources" / "weights" / "eight-classes.npz"
    target.parent.mkdir(exist_ok=True)
    np.savez_compressed(target, *weights[:kept])
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 2**20:.2f} MB")


if __name__ == "__main__":
    main()
