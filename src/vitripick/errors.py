"""The errors vitripick raises on purpose, each with the exit code the command line ends with.

Everything here is the user's to mend: the message says which file, what was found there and what to do.
Anything else that escapes is a bug and ends with exit code 1.
"""

from __future__ import annotations

import errno

# Of a path that somebody gave; anything else the system says of a file may well be a bug of ours.
_IN_THE_WAY = {
    errno.EACCES: "you are not allowed to read or write here",
    errno.EPERM: "you are not allowed to read or write here",
    errno.EROFS: "this disk can only be read",
    errno.ENOTDIR: "something in this path is a file, not a folder",
    errno.EEXIST: "there is a file of this name already where a folder should be",
    errno.EISDIR: "this is a folder where a file should be",
}


class VitripickError(Exception):
    """Base of all errors that vitripick raises on purpose."""

    exit_code = 1


class UsageError(VitripickError):
    """Options that contradict one another, or one that is missing."""

    exit_code = 2


class InputError(VitripickError):
    """A file is missing, or what it holds cannot be used."""

    exit_code = 3


class NotFoundError(InputError):
    """A file, or something with a name such as a micrograph of a project, does not exist."""


class FormatError(InputError):
    """A file does not hold what its format promises."""


class MicrographError(InputError):
    """One micrograph cannot be read or used; in a batch the others go on."""


class ResourceError(VitripickError):
    """Out of memory, disk or GPU."""

    exit_code = 5


class Stopped(VitripickError):
    """Somebody asked a long run to stop; what is done is kept and the same call goes on from there."""

    exit_code = 130


def path_problem(error: OSError) -> str | None:
    """Return which path cannot be read or written and why; None where it is not about a given path."""
    # A rename has two names, and the user gave the second.
    path = error.filename2 or error.filename
    reason = _IN_THE_WAY.get(error.errno or 0)
    return None if path is None or reason is None else f"{path}: {reason}"
