"""Find which labels belong to which micrograph: by name, by declared rules, never by substring.

1. The exact stems match: `grid1/a.mrc` and `a.box`.
2. The stems match without declared endings (`stems.LABEL_ENDINGS`, `stems.MICROGRAPH_ENDINGS`) and without the 21
   digits that cryoSPARC puts in front. A match with fewer parts removed is better.
3. Where several micrographs share a stem, the folders decide.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from vitripick.errors import FormatError
from vitripick.formats.names.stems import split_name, stem_variants
from vitripick.geometry import Boxes


@dataclass(frozen=True)
class Pairing:
    """Holds what `pair_labels` found.

    Attributes
    ----------
    pairs
        Micrograph name to its boxes, in the order of the micrographs; `Boxes.micrograph` is that name.
    unmatched_micrographs
        Names of micrographs without labels.
    unmatched_labels
        Names of label sets without a micrograph.
    """

    pairs: dict[str, Boxes]
    unmatched_micrographs: tuple[str, ...]
    unmatched_labels: tuple[str, ...]


def pair_labels(micrograph_names: Sequence[str], labels: Sequence[Boxes]) -> Pairing:
    """Give every micrograph its label set, one to one.

    Parameters
    ----------
    micrograph_names
        Paths relative to the input root, or the strings of a STAR.
    labels
        One per micrograph, each with `Boxes.micrograph`; a set without a name matches nothing.

    Raises
    ------
    FormatError
        If a label set fits two micrographs equally well, or two label sets fit one micrograph; it names both.
    """
    micrographs = list(dict.fromkeys(micrograph_names))
    found = match_names(micrographs, [boxes.micrograph for boxes in labels])
    matched = set(found.values())
    return Pairing(
        pairs={name: dataclasses.replace(labels[i], micrograph=name) for name, i in found.items()},
        unmatched_micrographs=tuple(name for name in micrographs if name not in found),
        unmatched_labels=tuple(
            boxes.micrograph or "(without a name)" for i, boxes in enumerate(labels) if i not in matched
        ),
    )


def match_names(micrographs: Sequence[str], label_names: Sequence[str | None]) -> dict[str, int]:
    """Pair as `pair_labels` does, on names alone, and return the index of each micrograph's label set."""
    index: dict[str, list[tuple[str, int]]] = {}
    for name in micrographs:
        for variant, n_removed in stem_variants(split_name(name)[1]).items():
            index.setdefault(variant, []).append((name, n_removed))

    # Each micrograph has the label sets that claim it: (distance of the names, index of the label set).
    claims: dict[str, list[tuple[int, int]]] = {}
    for number, label_name in enumerate(label_names):
        if label_name is None:
            continue
        distances: dict[str, int] = {}
        for variant, n_removed in stem_variants(split_name(label_name)[1]).items():
            for name, n_removed_there in index.get(variant, ()):
                distance = n_removed + n_removed_there
                distances[name] = min(distance, distances.get(name, distance))
        if not distances:
            continue
        best = min(distances.values())
        candidates = _by_folder(label_name, [name for name in distances if distances[name] == best])
        if len(candidates) > 1:
            raise FormatError(
                f"the labels {label_name} fit {candidates[0]} and {candidates[1]} equally well; give the "
                "labels the same folders as the micrographs, or give one folder of each at a time."
            )
        claims.setdefault(candidates[0], []).append((best, number))
    return {name: _strongest(name, claims[name], label_names) for name in micrographs if name in claims}


def _strongest(name: str, claims: list[tuple[int, int]], label_names: Sequence[str | None]) -> int:
    """Return the index of the label set that fits the micrograph `name` best."""
    best = min(distance for distance, _ in claims)
    numbers = {str(label_names[number]): number for distance, number in claims if distance == best}
    if len(numbers) < sum(distance == best for distance, _ in claims):
        raise FormatError(f"there are two label sets of the name {next(iter(numbers))} for the micrograph {name}.")
    candidates = _by_folder(name, list(numbers))
    if len(candidates) > 1:
        raise FormatError(
            f"the labels {candidates[0]} and {candidates[1]} fit the micrograph {name} equally well; leave "
            "only one of them in the labels' folder, or give that folder's subfolder."
        )
    return numbers[candidates[0]]


def _by_folder(name: str, candidates: list[str]) -> list[str]:
    """Return those of several `candidates` whose folders agree with those of `name`: the same, or with the same ending.

    The same ending suffices, because one side may be counted from further up: RELION's `MotionCorr/job002/grid1/a.mrc`
    is `grid1/a` if the user gave that folder. If no folders agree, all are returned, and the caller reports that they
    are ambiguous.
    """
    folders = split_name(name)[0]
    if len(candidates) < 2:
        return candidates
    same = [candidate for candidate in candidates if split_name(candidate)[0] == folders]
    if same:
        return same
    agreeing = [c for c in candidates if folders and _is_tail(folders, split_name(c)[0])]
    return agreeing or candidates


def _is_tail(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    n = min(len(a), len(b))
    return n > 0 and a[-n:] == b[-n:]
