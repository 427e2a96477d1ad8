"""Define the errors that vitripick raises on purpose, each with the exit code of the command line.

The user can mend every one of them: the message says which file, what was found there and what to do.
Any other error that escapes is a bug, and ends with exit code 1.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

# Returns how a parameter of the library is written where the user writes it, such as `--diameter-px` for `diameter_px`.
Spelling: TypeAlias = Callable[[str], str]

# The process has one spelling, because its threads report to the same person. None is Python's own spelling.
_spelling: Spelling | None = None

# The user can mend these errors, because they come from the path that was given. Other errors of the system may be
# our own bugs, so they are not listed here.
_IN_THE_WAY = {
    errno.EACCES: "you are not allowed to read or write here",
    errno.EPERM: "you are not allowed to read or write here",
    errno.EROFS: "this disk can only be read",
    errno.ENOTDIR: "something in this path is a file, not a folder",
    errno.EEXIST: "there is a file of this name already where a folder should be",
    errno.EISDIR: "this is a folder where a file should be",
    errno.ENOENT: "this does not exist, or no longer exists",
    errno.ESTALE: "the file server no longer knows this",
    errno.ENAMETOOLONG: "this name is too long for the disk",
}
_USED_UP = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota of the disk is used up",
    errno.EFBIG: "a file grew larger than the system allows (`ulimit -f` shows the limit)",
    errno.EMFILE: "this process may open no more files (`ulimit -n` shows the limit)",
    errno.ENFILE: "this machine can open no more files",
    errno.ENOMEM: "out of memory",
}
# Engines, OpenCV and threads report lack of memory by their own errors, which differ from others only in their texts.
_NO_MEMORY = re.compile(
    r"bad_alloc|bad allocation|(cannot|unable to|failed to|could not|can't) (allocate|map segment|start new thread)|"
    r"(insufficient|not enough|out of) memory|resource temporarily unavailable|defaultcpuallocator",
    re.IGNORECASE,
)


class VitripickError(Exception):
    """Stands for every error that vitripick raises on purpose: all derive from this class."""

    exit_code = 1


class UsageError(VitripickError):
    """Says that options contradict one another, or one is missing."""

    exit_code = 2


class InputError(VitripickError):
    """Says that a file is missing, or what it holds cannot be used."""

    exit_code = 3


class NotFoundError(InputError):
    """Says that a file, or something else with a name (such as a micrograph of a project), does not exist."""


class FormatError(InputError):
    """Says that a file does not hold what its format promises."""


class MicrographError(InputError):
    """Says that one micrograph cannot be read or used; in a batch the others go on."""


class ResourceError(VitripickError):
    """Says that the memory, the disk or the GPU does not suffice."""

    exit_code = 5


class Stopped(VitripickError):
    """Says that a long run was asked to stop; finished work is kept, and the same call goes on from there."""

    exit_code = 130


def parameter(name: str, value: object = None, *, quoted: bool = False) -> str:
    """Return how the caller of the library writes a parameter, for messages that ask to give it or to change it.

    Parameters
    ----------
    name
        The parameter's name in Python. One with a dot, such as `Boxes.shape`, is an attribute.
    value
        What was given, or what to give; None names the parameter alone. For True the command line writes no value, for
        False it writes `no_` before the name, and it writes the values of a tuple one by one.
    quoted
        Put quotes around texts on the command line, too.

    Examples
    --------
    >>> parameter("diameter_px"), parameter("device", "cuda:1"), parameter("Boxes.shape")
    ('diameter_px=', "device='cuda:1'", 'Boxes.shape')
    >>> with parameters_spelled(lambda name: "--" + name.replace("_", "-")):
    ...     parameter("diameter_px"), parameter("device", "cuda:1"), parameter("read_only", True)
    ('--diameter-px', '--device cuda:1', '--read-only')
    """
    if _spelling is None:
        written = name if "." in name else f"{name}="
        return written if value is None else f"{written}{value!r}"
    if value is None or value is True:
        return _spelling(name)
    if value is False:
        return _spelling(f"no_{name}")
    values = value if isinstance(value, tuple) else (value,)
    return f"{_spelling(name)} {', '.join(repr(one) if quoted else str(one) for one in values)}"


def current_spelling() -> Spelling | None:
    """Return how messages spell parameters now, to hand it on to another process; None is Python's spelling."""
    return _spelling


def spell_parameters(spelling: Spelling | None) -> None:
    """Let messages of this process spell parameters in this way from now on, for example in a new worker."""
    global _spelling
    _spelling = spelling


@contextmanager
def parameters_spelled(spelling: Spelling | None) -> Iterator[None]:
    """Let messages of this process spell parameters in this way, and in the former way afterwards."""
    before = _spelling
    spell_parameters(spelling)
    try:
        yield
    finally:
        spell_parameters(before)


def used_up(error: BaseException) -> str | None:
    """Return what has run out (memory, disk or open files), in words; None for another error."""
    if isinstance(error, OSError) and error.errno in _USED_UP:
        return _USED_UP[error.errno] + (f" ({error.filename})" if error.filename else "")
    # Torch may not be loaded here, so its class is recognised by name.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or _NO_MEMORY.search(str(error)):
        lines = str(error).strip().splitlines()
        return f"out of memory ({lines[-1].strip()[:200]})" if lines else "out of memory"
    return None


def path_problem(error: OSError) -> str | None:
    """Return which path cannot be read or written, and why; None if the error is not about a given path."""
    # A rename has two names, and the user gave the second.
    path = error.filename2 or error.filename
    reason = _IN_THE_WAY.get(error.errno or 0)
    return None if path is None or reason is None else f"{path}: {reason}"
