"""Runs before everything else in the frozen program.

NumPy's OpenBLAS takes some processors without AVX for newer ones and dies of an unknown instruction. Naming the oldest
core that x86-64-v2 stands for keeps it to what they have.
"""

import os


def _has_avx() -> bool:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("flags"):
                    return "avx" in line.split()
    except OSError:
        pass
    # Not Linux, or not told: OpenBLAS decides by itself.
    return True


if not _has_avx():
    os.environ.setdefault("OPENBLAS_CORETYPE", "Nehalem")
