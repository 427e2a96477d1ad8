"""Say what the machine ran out of while micrographs were picked, and what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitripick.errors import ResourceError, UsageError, parameter, path_problem


@contextmanager
def resource_errors(out: Path) -> Iterator[None]:
    """Turn errors of a full disk or full memory into errors that say what to do."""
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
        # Torch may not be loaded here, so its class, a RuntimeError, is recognised by name.
        if isinstance(error, RuntimeError) and type(error).__name__ != "OutOfMemoryError":
            raise
        raise ResourceError(
            f"out of memory while picking ({error}); run again on "
            f"{parameter('device', 'cpu')}, with {parameter('jobs', 1)} or a smaller network."
        ) from error
