"""Exit codes of the commands, besides 0: done."""

FAILED = 1
"""What this installation can't do: the window, Qt, a check."""
BAD_INPUT = 2
INTERRUPTED = 130
"""What shells say of a program that Ctrl-C ended."""
