"""The command line: ``gradsim`` and its commands. Starts at once; what a command needs is loaded by it."""

from gradsim.cli import diagnosing, porting, rendering, teaching  # noqa: F401 (they add their commands)
from gradsim.cli.main import main

__all__ = ["main"]
