"""What is measured, recorded, saved, compared and coloured. NumPy and the standard library only."""

from gradsim.telemetry.classes import MARKS, Mark, Special, State, classify, state, states, value_at
from gradsim.telemetry.columns import Columns
from gradsim.telemetry.files import RecordingFileError
from gradsim.telemetry.palette import THEMES, colour, table
from gradsim.telemetry.quantities import (
    LAYER_COLUMNS,
    STEP_COLUMNS,
    Quantity,
    Thresholds,
    definitions,
    quantity,
)
from gradsim.telemetry.recorder import News, Position, Recorder
from gradsim.telemetry.recording import Comparison, FirstNonfinite, Layer, Recording, SummaryRow, Validation

__all__ = [
    "LAYER_COLUMNS",
    "MARKS",
    "STEP_COLUMNS",
    "THEMES",
    "Columns",
    "Comparison",
    "FirstNonfinite",
    "Layer",
    "Mark",
    "News",
    "Position",
    "Quantity",
    "Recorder",
    "Recording",
    "RecordingFileError",
    "Special",
    "State",
    "SummaryRow",
    "Thresholds",
    "Validation",
    "classify",
    "colour",
    "definitions",
    "quantity",
    "state",
    "states",
    "table",
    "value_at",
]
