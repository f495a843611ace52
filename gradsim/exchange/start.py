"""What an experiment starts from: its seed, or the trained weights that it names."""

from __future__ import annotations

from gradsim.exchange.results import Array
from gradsim.model import Experiment


def start_of(experiment: Experiment) -> list[Array] | None:
    """Arrays in Keras' ``get_weights()`` order; None if all are drawn from the seed.

    Raises:
        ImportFault: if the file can't be read, or its weights do not fit on the first layers.
    """
    if not experiment.pretrained:
        return None
    # Reading files of others takes libraries that few experiments need.
    from gradsim.exchange import pretrained

    return pretrained.start_of(experiment)


def initial_weights(experiment: Experiment) -> list[Array]:
    """The same, drawn from the seed where nothing else is named; raises as :func:`start_of`."""
    found = start_of(experiment)
    return experiment.stack().initial_weights(experiment.seed) if found is None else found
