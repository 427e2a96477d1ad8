"""The errors vitripick raises on purpose, each with the exit code the command line ends with.

Everything here is the user's to mend: the message says which file, what was found there and what to do.
Anything else that escapes is a bug and ends with exit code 1.
"""

from __future__ import annotations


class VitripickError(Exception):
    """Base of all errors that vitripick raises on purpose."""

    exit_code = 1


class UsageError(VitripickError):
    """Options that contradict one another, or one that is missing."""

    exit_code = 2


class InputError(VitripickError):
    """A file is missing, or what it holds cannot be used."""

    exit_code = 3


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
