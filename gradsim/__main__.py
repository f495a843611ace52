"""``python -m gradsim``: the same as the command ``gradsim``."""

from gradsim.cli import main

if __name__ == "__main__":
    main()
