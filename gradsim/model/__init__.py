"""The experiment a person made: frozen values, edits, history and files."""

from gradsim.model.experiment import Experiment
from gradsim.model.stack import Placed, Stack, StackError

__all__ = ["Experiment", "Placed", "Stack", "StackError"]
