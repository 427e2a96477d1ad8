"""Count the CPU cores that this process may use, and limit the threads of libraries, which would compete for them.

Several micrographs are picked at once, each in one thread. If a library starts a thread per core in each of them, all
become slower, most of all on a busy machine. Each library is limited here:

- BLAS (NumPy, SciPy) and OpenMP (torch): `calm_libraries`, before these are imported, by the command line.
- OpenMP (torch): `calm_torch`, where our own code imports torch first, as in a script that trains.
- OpenCV: `one_thread_of_opencv`, where several micrographs are worked on at once.
- The engines and torch: they get their numbers of threads when a model is loaded (`models/engines`).
"""

from __future__ import annotations

import os

BLAS_THREADS = "OPENBLAS_NUM_THREADS"


def usable_cores() -> int:
    """Return the number of CPU cores this process may use (its affinity mask, else all cores).

    Schedulers and containers set the affinity mask.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def calm_libraries() -> None:
    """Let BLAS start no threads, and let torch's threads sleep while they wait; settings of the user stay.

    NumPy and torch read this when they are imported. No step of picking or training multiplies large matrices with
    NumPy.
    """
    os.environ.setdefault(BLAS_THREADS, "1")
    calm_torch()


def calm_torch() -> None:
    """Let torch's threads sleep while they wait; settings of the user stay. Torch's threads wait for each other some
    hundred times in a step of training, and by default they keep their cores busy meanwhile. Where other programs want
    these cores, a step took three times as long (docs/speed.md). It acts only if it is called before torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def one_thread_of_opencv() -> None:
    """Let OpenCV start no threads: each job keeps a core busy by itself."""
    import cv2

    cv2.setNumThreads(1)
