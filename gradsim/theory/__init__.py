"""Mean field: what theory says about a stack before a single step, and the chain rule along one path."""

from gradsim.theory.chain import Factor, chain_rule
from gradsim.theory.prediction import GIVEN, TRAINED, Prediction, Row, Run, predict
from gradsim.theory.signals import Inputs, Targets

__all__ = [
    "GIVEN", "TRAINED", "Factor", "Inputs", "Prediction", "Row", "Run", "Targets", "chain_rule", "predict",
]  # fmt: skip
