"""The training engine: compiled operations, the plan that strings them together, and the trainer that runs it.

The only room that imports numba. A stack is lowered to a list of *operations*, each a compiled function of one
signature with its arguments (addresses and sizes) in a record; a small compiled interpreter calls one after the
other. Nothing is ever compiled for a particular stack, and a new layer, activation or optimizer adds operations
without touching the interpreter.
"""

from gradsim.engine.kernels import is_warm, warm_up
from gradsim.engine.trainer import Chunk, Gradients, Metrics, Snapshot, Trainer

__all__ = ["Chunk", "Gradients", "Metrics", "Snapshot", "Trainer", "is_warm", "warm_up"]
