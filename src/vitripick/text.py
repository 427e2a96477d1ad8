"""Write counts, lists and names for messages."""

from __future__ import annotations

from collections.abc import Sequence


def printable_name(name: str) -> str:
    """Return `name` as text; bytes of a file name that are not UTF-8 become `\\xb5`, which `ls -b` shows in octal.

    Examples
    --------
    >>> print(printable_name("mic_\\udcb5m.mrc"), printable_name("µ.mrc"))
    mic_\\xb5m.mrc µ.mrc
    """
    # Python holds such bytes as lone surrogates, which no file in UTF-8 can hold.
    return name.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")


def count(noun: str, n: int) -> str:
    """Return a number with its noun, which gets an s unless there is exactly one.

    Examples
    --------
    >>> count("micrograph", 1), count("micrograph", 3)
    ('1 micrograph', '3 micrographs')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return the names with commas between them; beyond the first `most`, only how many more there are.

    Examples
    --------
    >>> listed(["a", "b"]), listed(["a", "b", "c", "d"], most=2)
    ('a, b', 'a, b and 2 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def duration(seconds: float) -> str:
    """Return a time in a unit that is easy to read.

    Examples
    --------
    >>> duration(8.4), duration(95), duration(740), duration(8000)
    ('8 s', '2 min', '12 min', '2 h 13 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
