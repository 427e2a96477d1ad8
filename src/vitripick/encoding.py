"""Refuse file names that a locale without UTF-8 would garble in every file that vitripick writes."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitripick.errors import UsageError, parameter
from vitripick.text import printable_name


def encoding_problem(name: str) -> str | None:
    """Return why this name of a file cannot be written as it is, in this locale; None if it can.

    Python decodes names in the encoding of the locale, and we write UTF-8. In another encoding the bytes of a name
    would change on the way, and the next program would not find the file.
    """
    if name.isascii():
        return None
    encoding = codecs.lookup(sys.getfilesystemencoding()).name
    if encoding == "utf-8":
        return None
    return (
        f"this name has letters beyond ASCII, and the locale's encoding is {encoding}, not UTF-8; set LC_ALL=C.UTF-8 "
        "(or PYTHONUTF8=1) and try again"
    )


def check_encoding(name: str) -> None:
    """Raise a `UsageError` if this name cannot be written as it is, in this locale."""
    problem = encoding_problem(name)
    if problem is not None:
        raise UsageError(f"{printable_name(name)}: {problem}.")


def check_output_name(path: str | Path, *, option: str = "out") -> None:
    """Refuse the name of an output that our files, which are in UTF-8, could not hold as it is.

    Parameters
    ----------
    path
        A file or folder that will be written, as it was given.
    option
        The parameter that names it, for the message.

    Raises
    ------
    UsageError
        If the locale is not UTF-8 and the name is beyond ASCII, or the name's bytes are not UTF-8.
    """
    name = os.fspath(path)
    check_encoding(name)
    if printable_name(name) != name:
        raise UsageError(
            f"{printable_name(name)}: the bytes of this name are not UTF-8, so no file can hold it; give another "
            f"{parameter(option)}, or rename the folder."
        )


@contextmanager
def names_in_utf8(path: Path) -> Iterator[None]:
    """Raise a `UsageError` if writing `path` meets a name whose bytes are not UTF-8."""
    try:
        yield
    except UnicodeEncodeError as error:
        start = error.object.rfind("\n", 0, error.start) + 1
        line = error.object[start:].split("\n", 1)[0]
        raise UsageError(
            f"{path}: a name in this file is not UTF-8, in {printable_name(line)[:200]!r}; rename the file or folder."
        ) from None
