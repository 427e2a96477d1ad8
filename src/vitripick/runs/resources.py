"""Report what ran out while micrographs were picked (memory, disk, files), and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitripick.errors import ResourceError, UsageError, VitripickError, parameter, path_problem, used_up


@contextmanager
def resource_errors(out: Path) -> Iterator[None]:
    """Turn errors of used-up memory, disk or open files, and of a lost run folder, into errors that say what to do."""
    try:
        yield
    except VitripickError:
        raise
    except Exception as error:
        lacking = used_up(error)
        if lacking is not None and lacking.startswith("out of memory"):
            raise ResourceError(
                f"{lacking} while picking; run again on {parameter('device', 'cpu')}, with {parameter('jobs', 1)} or a "
                "smaller network. What is done stays, and the run goes on from there."
            ) from error
        if lacking is not None:
            raise ResourceError(f"{out}: {lacking}; mend that and run again to go on from here.") from error
        reason = path_problem(error) if isinstance(error, OSError) else None
        if reason is None:
            raise
        raise UsageError(f"{reason}; give another {parameter('out')}, or put it back and run again.") from error
