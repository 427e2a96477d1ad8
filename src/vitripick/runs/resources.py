"""What the machine runs out of while micrographs are picked, in words that help."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitripick.errors import ResourceError, UsageError, parameter, path_problem


@contextmanager
def resource_errors(out: Path) -> Iterator[None]:
    """What the machine runs out of, as errors of ours that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(f"{out}: the disk is full; make room and run again to go on from here.") from error
        reason = path_problem(error)
        if reason is None:
            raise
        raise UsageError(f"{reason}; give another {parameter('out')}.") from error
    except (RuntimeError, MemoryError) as error:
        # Torch's class is a RuntimeError; torch itself may not be loaded.
        if isinstance(error, RuntimeError) and type(error).__name__ != "OutOfMemoryError":
            raise
        raise ResourceError(
            f"out of memory while picking ({error}); run again on "
            f"{parameter('device', 'cpu')}, with {parameter('jobs', 1)} or a smaller network."
        ) from error
