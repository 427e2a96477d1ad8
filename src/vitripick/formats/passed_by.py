"""Report which files and folders a search did not use, and why."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from vitripick.errors import parameter
from vitripick.text import listed, printable_name

log = logging.getLogger("vitripick")


@dataclass(frozen=True)
class PassedBy:
    """Names a file or folder that a search found and did not use.

    Attributes
    ----------
    path
        Its path, as the search reached it.
    reason
        Why it is not used, in words that follow "because" or a colon.
    derived
        Whether it is an image that was derived from a micrograph, which `include` brings back.
    """

    path: str
    reason: str
    derived: bool = False

    def to_dict(self) -> dict[str, str]:
        """Return path and reason, ready for JSON."""
        return {"path": printable_name(self.path), "reason": printable_name(self.reason)}


_collecting: ContextVar[tuple[list[PassedBy], ...]] = ContextVar("passed_by", default=())


@contextmanager
def passed_by_collected() -> Iterator[list[PassedBy]]:
    """Yield a list that collects what every search inside the block does not use, in this thread.

    Examples
    --------
    >>> with passed_by_collected() as found:
    ...     say_passed_by([PassedBy("m/a.eer", "an EER movie")])
    >>> found[0].path
    'm/a.eer'
    """
    found: list[PassedBy] = []
    token = _collecting.set((*_collecting.get(), found))
    try:
        yield found
    finally:
        _collecting.reset(token)


def passed_by_lines(found: Iterable[PassedBy]) -> list[str]:
    """Return one line for each reason, with a count and up to three names; all derived images share one line.

    Examples
    --------
    >>> passed_by_lines([PassedBy("m/a.eer", "a movie"), PassedBy("m/b.eer", "a movie")])
    ['2 passed by: m/a.eer, m/b.eer (a movie)']
    >>> passed_by_lines([PassedBy("a_PS.mrc", "power spectrum", derived=True)])
    ['1 derived image passed by: a_PS.mrc (power spectrum: 1); to take such images: include=']
    """
    by_reason: dict[str, list[str]] = {}
    derived: list[PassedBy] = []
    for one in found:
        if one.derived:
            derived.append(one)
        else:
            by_reason.setdefault(one.reason, []).append(one.path)
    lines = []
    if derived:
        counts = Counter(one.reason for one in derived)
        kinds = "; ".join(f"{reason}: {n}" for reason, n in sorted(counts.items()))
        images = "image" if len(derived) == 1 else "images"
        names = listed([one.path for one in derived], most=3)
        lines.append(
            f"{len(derived)} derived {images} passed by: {names} ({kinds}); to take such images: {parameter('include')}"
        )
    lines += [f"{len(paths)} passed by: {listed(paths, most=3)} ({reason})" for reason, paths in by_reason.items()]
    return [printable_name(line) for line in lines]


def say_passed_by(found: Sequence[PassedBy]) -> None:
    """Log the lines of `passed_by_lines` as warnings, and add `found` to every list of `passed_by_collected`."""
    collect_passed_by(found)
    for line in passed_by_lines(found):
        log.warning("%s", line)


def collect_passed_by(found: Sequence[PassedBy]) -> None:
    """Add `found` to every list of `passed_by_collected`, for files that are logged in other words."""
    for collected in _collecting.get():
        collected += found
