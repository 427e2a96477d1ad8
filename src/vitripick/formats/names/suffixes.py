"""Say which names are micrographs that vitripick reads."""

from __future__ import annotations

MRC_SUFFIXES = (".mrc", ".mrcs", ".rec", ".map")
PACKED_MRC_SUFFIXES = tuple(mrc + packed for mrc in MRC_SUFFIXES for packed in (".gz", ".bz2"))
TIFF_SUFFIXES = (".tif", ".tiff")
RASTER_SUFFIXES = (".png", ".jpg", ".jpeg")
MICROGRAPH_SUFFIXES = (*MRC_SUFFIXES, *PACKED_MRC_SUFFIXES, *TIFF_SUFFIXES, *RASTER_SUFFIXES)


def suffix_of(name: str) -> str | None:
    """Return the suffix that says what kind of micrograph this is, in lower case; None if vitripick reads no such
    files.

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


# Images of other kinds, which a user may take for micrographs, and what to do with them.
_UNREAD = {
    (".eer",): "an EER movie, which we do not read; average it first",
    (
        ".dm3",
        ".dm4",
        ".ser",
        ".emi",
        ".emd",
    ): "an image of a microscope's program, which we do not read; save it as MRC",
    (".hdf", ".h5", ".hdf5", ".spi", ".img", ".hed", ".em", ".st", ".ali"): "an image of a kind we do not read; "
    "save it as MRC",
    (".bmp", ".gif", ".webp", ".jp2", ".jxl", ".svg"): "a picture of a kind we do not read; save it as PNG or MRC",
    (".npy", ".npz", ".raw"): "an array, which we do not read; save it as MRC",
    tuple(
        image + packed
        for image in (*MRC_SUFFIXES, *TIFF_SUFFIXES)
        for packed in (".xz", ".zst", ".zip", ".7z", ".lz4", ".z", ".gz", ".bz2")
        if image + packed not in PACKED_MRC_SUFFIXES
    ): "packed in a way that we do not read; unpack it",
}


def unread_image(name: str) -> str | None:
    """Return what this file is, if its suffix says that it is an image of a kind that we do not read; else None.

    Examples
    --------
    >>> unread_image("a.eer"), unread_image("a.mrc"), unread_image("notes.txt")
    ('an EER movie, which we do not read; average it first', None, None)
    """
    base = name.rpartition("/")[2].lower()
    return next((what for suffixes, what in _UNREAD.items() if base.endswith(suffixes)), None)


def suffixes_in_words() -> str:
    """Return the list for messages: ".mrc, .mrcs, … and .jpeg, and MRC files in .gz or .bz2"."""
    plain = (*MRC_SUFFIXES, *TIFF_SUFFIXES, *RASTER_SUFFIXES)
    return f"{', '.join(plain[:-1])} and {plain[-1]}, and MRC files in .gz or .bz2"
