"""Counts, lists and names in messages for people."""

from __future__ import annotations


def printable_name(name: str) -> str:
    """Return `name` as text; bytes of a file name that are not UTF-8 become `\\xb5`, which `ls -b` shows in octal.

    Examples
    --------
    >>> print(printable_name("mic_\\udcb5m.mrc"), printable_name("µ.mrc"))
    mic_\\xb5m.mrc µ.mrc
    """
    # Python holds such bytes as lone surrogates, which no file in UTF-8 can hold.
    return name.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")
