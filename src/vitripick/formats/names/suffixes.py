"""Say which names are micrographs that we read."""

from __future__ import annotations

MRC_SUFFIXES = (".mrc", ".mrcs", ".rec", ".map")
PACKED_MRC_SUFFIXES = tuple(mrc + packed for mrc in MRC_SUFFIXES for packed in (".gz", ".bz2"))
TIFF_SUFFIXES = (".tif", ".tiff")
RASTER_SUFFIXES = (".png", ".jpg", ".jpeg")
MICROGRAPH_SUFFIXES = (*MRC_SUFFIXES, *PACKED_MRC_SUFFIXES, *TIFF_SUFFIXES, *RASTER_SUFFIXES)


def suffix_of(name: str) -> str | None:
    """Return the suffix that says what kind of micrograph this is, in lower case; None where we read no such files.

    Examples
    --------
    >>> suffix_of("grid1/a.b.MRC.gz"), suffix_of("notes.txt"), suffix_of(".mrc")
    ('.mrc.gz', None, None)
    """
    base = name.rpartition("/")[2].lower()
    for suffix in MICROGRAPH_SUFFIXES:
        if base.endswith(suffix) and base != suffix:
            return suffix
    return None


def suffixes_in_words() -> str:
    """Return the list for messages: ".mrc, .mrcs, … and .jpeg, and MRC files in .gz or .bz2"."""
    plain = (*MRC_SUFFIXES, *TIFF_SUFFIXES, *RASTER_SUFFIXES)
    return f"{', '.join(plain[:-1])} and {plain[-1]}, and MRC files in .gz or .bz2"
