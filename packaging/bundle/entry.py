"""What the frozen program starts."""

import multiprocessing

from gradsim.cli import main

if __name__ == "__main__":
    multiprocessing.freeze_support()
    main()
