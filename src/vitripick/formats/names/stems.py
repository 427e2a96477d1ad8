"""Split names of micrographs and of their files, as text; nothing here reads a disk."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from vitripick.formats.names.suffixes import MRC_SUFFIXES, RASTER_SUFFIXES, TIFF_SUFFIXES

# In "May08_04.32.27" the ".27" belongs to the name, so only suffixes that we know are taken off. Movies (.eer) are
# not read, but files name them.
IMAGE_SUFFIXES = (*MRC_SUFFIXES, *TIFF_SUFFIXES, *RASTER_SUFFIXES, ".eer")
PACKED_SUFFIXES = (".gz", ".bz2")

# Labelling and picking programs (RELION, EMAN2) and people put these behind the micrograph's name.
LABEL_ENDINGS = ("_autopick", "_manualpick", "_info", "_picks", "_coords", "_labels", "_boxes")
# Motion correction and clean-up put these there: MotionCor2, cryoSPARC (patch and rigid), RELION, Topaz denoise.
MICROGRAPH_ENDINGS = (
    "_DWS",
    "_DW",
    "_noDW",
    "_patch_aligned_doseweighted",
    "_patch_aligned",
    "_rigid_aligned_doseweighted",
    "_rigid_aligned",
    "_aligned_doseweighted",
    "_doseweighted",
    "_aligned",
    "_denoised",
)
_CRYOSPARC_UID = re.compile(r"^\d{21}_(?=.)")


def has_image_suffix(name: str) -> bool:
    """Return whether `name` ends like a micrograph's file."""
    return without_image_suffix(name) != name


def without_image_suffix(name: str) -> str:
    """Return `name` without `.mrc`, `.tif`, `.mrc.gz` and the like; folders stay.

    Examples
    --------
    >>> without_image_suffix("grid1/a.b.mrc.gz"), without_image_suffix("May08_04.32.27")
    ('grid1/a.b', 'May08_04.32.27')
    """
    unpacked = without_one_of(name, PACKED_SUFFIXES)
    bare = without_one_of(unpacked, IMAGE_SUFFIXES)
    return name if bare == unpacked else bare


def split_name(name: str) -> tuple[tuple[str, ...], str]:
    """Return the folders and the stem of a micrograph's name: `grid1/a.mrc` gives `(("grid1",), "a")`."""
    path = PurePosixPath(name.replace("\\", "/"))
    folders = tuple(part for part in path.parts[:-1] if part not in ("/", "."))
    return folders, without_image_suffix(path.name)


def base_name(name: str) -> str:
    """Return the last part of a path."""
    return PurePosixPath(name.replace("\\", "/")).name


def base_name_without_suffix(name: str) -> str:
    """Return the last part of a path without `.mrc` and the like."""
    return split_name(name)[1]


def stem_variants(stem: str) -> dict[str, int]:
    """Return `stem` and its shorter forms without endings and cryoSPARC's uid, each with the number of parts removed.

    Examples
    --------
    >>> stem_variants("000123456789012345678_a_DW")["a"]
    2
    """
    found = {stem: 0}
    queue = [stem]
    for current in queue:  # the queue grows during the loop
        shorter = [_CRYOSPARC_UID.sub("", current)]
        shorter += [current.removesuffix(ending) for ending in (*LABEL_ENDINGS, *MICROGRAPH_ENDINGS)]
        for variant in shorter:
            if variant and variant not in found:
                found[variant] = found[current] + 1
                queue.append(variant)
    return found


def cryosparc_uid(name: str) -> int | None:
    """Return the number in a leading 21-digit uid, if there is one and it fits 64 bits; else None."""
    base = base_name(name)
    if not _CRYOSPARC_UID.match(base):
        return None
    uid = int(base[:21])
    return uid if 0 < uid < 2**64 else None


def without_one_of(name: str, suffixes: tuple[str, ...]) -> str:
    """Return `name` without the first of `suffixes` that it ends in, in any case of letters."""
    lower = name.lower()
    for suffix in suffixes:
        if lower.endswith(suffix) and len(name) > len(suffix) and name[-len(suffix) - 1] != "/":
            return name[: -len(suffix)]
    return name
