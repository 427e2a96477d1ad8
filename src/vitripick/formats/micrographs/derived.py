"""Distinguish micrographs from images that were derived from them, by name alone: one image for each exposure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias

from vitripick.formats.names.suffixes import PACKED_MRC_SUFFIXES, RASTER_SUFFIXES, suffix_of

ANOTHER_IMAGE = "another image of the exposure is taken"

# These names are clear, so such files are left out even if no other image of their exposure is there.
_NEVER = (
    # RELION, Warp, CTFFIND
    ("power spectrum", re.compile(r"_PS$|[_-](?i:power[_-]?spectr(um|a)|powerspec|powspec|powpair)$")),
    # RELION, MotionCor2 and 3
    ("half of the frames", re.compile(r"_(EVN|ODD)$")),
    # cryoSPARC
    ("background", re.compile(r"(?i)[_-]background(_estimate)?$")),
    ("thumbnail", re.compile(r"(?i)[_-](thumb(nail)?|preview)s?([_-]?@?\d+x?)?$")),
    # SerialEM, EPU, cryoSPARC
    (
        "gain or dark reference",
        re.compile(
            r"(?i)(^|[_-])(gain|dark)$|(^|[_-])gain[_-]?(ref(erence)?|corr(ection)?|multiplicative|estimate)([_-]|$)"
            r"|(^|[_-])(gain|dark)ref(erence)?([_-]|$)|^(super|count)ref_|(^|[_-])dark[_-]?ref(erence)?([_-]|$)"
        ),
    ),
    # EPU: images of a square, of a hole, of the grid
    (
        "overview image of EPU",
        re.compile(r"^(GridSquare_\d{8}_\d{6}|FoilHole_\d+_\d{8}_\d{6}|Atlas_\d+|Tile_\d+_\d+_\d+)$"),
    ),
)
_NEVER_FOLDERS = {
    "powerspectrum": "power spectrum",
    "powerspectra": "power spectrum",
    "power_spectra": "power spectrum",
    "thumbnails": "thumbnail",
    "thumbnail": "thumbnail",
}

# Matching endings are removed one by one and give the rank; the image of the lowest rank is taken. A dose-weighted
# image shows particles best. An image of all frames is better than one of some (MotionCor2's _DWS). If there is a
# _noDW, the plain name is the dose-weighted one (RELION).
_PLAIN_RANK = 3
_ENDINGS = (
    (0, re.compile(r"(?i)[_-](dose[_-]?weighted|DW)$")),
    (1, re.compile(r"(?i)[_-]DWS$")),
    (2, re.compile(r"(?i)[_-]((patch|rigid|full)[_-])?aligned$")),
    (4, re.compile(r"(?i)[_-]noDW$")),
    (5, re.compile(r"(?i)[_-](deconv(olved)?|denoised?|mask)$")),
    (6, re.compile(r"(?i)[_-](fractions|frames|movie|stk|EER)$")),
    (7, re.compile(r"(?i)[_-](PS|pow|fft|EVN|even|odd|ctf|ctf_?diag|diag(nostic)?|ctffind\d?|gctf)$")),
)
# Warp puts one file name into several folders; the movie may lie beside them.
_BEST_FOLDER = "average"
_FOLDER_RANKS = {_BEST_FOLDER: _PLAIN_RANK, "even": 7, "odd": 7, "deconv": 5, "denoised": 5, "denoising": 5, "mask": 5}
# Whether it is a PNG or JPG; the rank by its name; whether it lies outside `average`; whether it is packed or a stack.
# EPU writes a JPEG beside each image, a packed copy is slower to read, and .mrcs is a movie or a stack.
Rank: TypeAlias = "tuple[bool, int, bool, bool]"


@lru_cache(maxsize=1 << 17)
def derived_kind(name: str) -> str | None:
    """Return what this image is, if its name says that it is never a micrograph.

    Examples
    --------
    >>> derived_kind("mic_1_PS.mrc"), derived_kind("thumbnails/mic_1.png"), derived_kind("mic_1_DW.mrc")
    ('power spectrum', 'thumbnail', None)
    """
    *folders, base = name.split("/")
    for folder in folders:
        if folder.lower() in _NEVER_FOLDERS:
            return _NEVER_FOLDERS[folder.lower()]
    stem = _stem(base)
    return next((kind for kind, pattern in _NEVER if pattern.search(stem)), None)


@lru_cache(maxsize=1 << 17)
def exposure_of(name: str) -> tuple[str, Rank]:
    """Return what the images of one exposure have in common, and the rank of this one; the lowest is taken.

    Examples
    --------
    >>> exposure_of("grid1/mic_1_DW.mrc") < exposure_of("grid1/mic_1.mrc")
    True
    >>> exposure_of("average/mic_1.mrc")[0] == exposure_of("average/even/mic_1.mrc")[0]
    True
    """
    *folders, base = name.split("/")
    stem, ranks = _stem(base), [_FOLDER_RANKS[folder.lower()] for folder in folders if folder.lower() in _FOLDER_RANKS]
    while True:
        fitting = ((rank, found.start()) for rank, ending in _ENDINGS if (found := ending.search(stem)) is not None)
        rank, start = next(fitting, (0, 0))
        if start == 0:
            break
        stem = stem[:start]
        ranks.append(rank)
    kept = [folder for folder in folders if folder.lower() not in _FOLDER_RANKS]
    # The ending that makes an image worse than the plain one counts most: `x_DW_denoised` is a denoised image.
    worse = [rank for rank in ranks if rank > _PLAIN_RANK]
    by_name = max(worse) if worse else min([_PLAIN_RANK, *ranks])
    outside = _BEST_FOLDER not in (folder.lower() for folder in folders)
    suffix = suffix_of(base)
    is_copy = suffix in PACKED_MRC_SUFFIXES or suffix == ".mrcs"
    return "/".join([*kept, stem]), (suffix in RASTER_SUFFIXES, by_name, outside, is_copy)


def left_out_images(
    names: Iterable[str], *, include: Sequence[str] = (), picked_before: Callable[[str], bool] = lambda name: False
) -> dict[str, str]:
    """Return the images among `names` that are not to be picked, each with the reason.

    Parameters
    ----------
    names
        Names of images, with `/` between folders.
    include
        Patterns (`*_EVN.mrc`) or endings (`_EVN`) of names that are taken nevertheless.
    picked_before
        Whether picks of this name exist already. Then no better image of the exposure replaces it, because its
        particles would be picked twice.
    """
    left_out: dict[str, str] = {}
    exposures: dict[str, list[tuple[Rank, str]]] = {}
    for name in names:
        if is_included(name, include):
            continue
        kind = derived_kind(name)
        if kind is not None:
            left_out[name] = kind
            continue
        exposure, rank = exposure_of(name)
        exposures.setdefault(exposure, []).append((rank, name))
    for images in exposures.values():
        if len({rank for rank, _ in images}) == 1:
            continue
        before = [image for image in images if picked_before(image[1])]
        best = min(rank for rank, _ in before or images)
        left_out.update((name, ANOTHER_IMAGE) for rank, name in images if rank != best)
    return left_out


def is_included(name: str, include: Sequence[str]) -> bool:
    """Return whether a pattern or an ending of `include` fits this name.

    Examples
    --------
    >>> is_included("g/mic_1_EVN.mrc", ["_EVN"]), is_included("g/mic_1_EVN.mrc", ["*_ODD.mrc"])
    (True, False)
    """
    base = name.rpartition("/")[2]
    for pattern in include:
        if re.search(r"[*?\[]", pattern):
            if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(base, pattern):
                return True
        elif name == pattern or base.endswith(pattern) or _stem(base).endswith(pattern):
            return True
    return False


def _stem(base: str) -> str:
    suffix = suffix_of(base)
    return base if suffix is None else base[: -len(suffix)]
