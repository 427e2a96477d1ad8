"""Bring picks and labels together under the same names, so that an evaluation can compare them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from vitripick.errors import FormatError, InputError
from vitripick.formats import find_micrographs, pair_labels, read_all_picks, read_header, recentre
from vitripick.geometry import Boxes
from vitripick.runs.folder import is_run_folder, read_run_folder


@dataclass(frozen=True, eq=False)
class GatheredSets:
    """Holds picks and labels under the same names, ready for `evaluate`.

    Attributes
    ----------
    picks, labels
        Boxes by micrograph.
    threshold
        The threshold of the run that the picks come from; None if they do not come from a run.
    unmatched_picks
        Names with picks but no labels; they are not judged.
    unmatched_labels
        Names with labels that are not judged, because the micrograph is not in the run or not in the folder.
    failed_labels
        Names of micrographs with labels that failed in the run; they are not judged.
    without_picks
        Names with labels but no picks file; they are judged as zero picks.
    diameter_px
        The run's diameter, if there are neither picks nor labels whose boxes would give it.
    """

    picks: dict[str, Boxes]
    labels: dict[str, Boxes]
    threshold: float | None = None
    unmatched_picks: tuple[str, ...] = ()
    unmatched_labels: tuple[str, ...] = ()
    failed_labels: tuple[str, ...] = ()
    without_picks: tuple[str, ...] = ()
    diameter_px: float | None = None


def gather_sets(
    picks: str | Path,
    labels: str | Path,
    *,
    micrographs: str | Path | None = None,
    label_box_size_px: float | None = None,
    pixel_size: float | None = None,
    keep_coordinates: bool = False,
) -> GatheredSets:
    """Read picks and labels and pair them by the micrograph's name.

    Parameters
    ----------
    picks
        The output folder of `pick`, or a file or folder in any format we read.
    labels
        A file or folder in any format we read.
    micrographs
        Folder of the micrographs. Their shapes give the border; a run knows them already.
    label_box_size_px
        Size of the labels' boxes, if their format has none.
    pixel_size
        Å per pixel of the micrographs, for refined shifts, where nothing else says it.
    keep_coordinates
        Take coordinates as they stand; by default refined shifts in files of RELION and cryoSPARC are applied.

    Raises
    ------
    InputError
        If nothing can be read, or no labels belong to any picks.
    """
    label_parts = read_all_picks(labels, box_size_px=label_box_size_px, keep_coordinates=True)
    if is_run_folder(picks):
        run = read_run_folder(picks)
        # The evaluation has its own rule for the border, which counts pairs of pick and label.
        picked = run.read_picks(cut_ones=True)
        failed = set(run.failed) - set(picked)
        # Failed micrographs are paired, too. Otherwise their labels might go to another micrograph of a similar name.
        pairing = pair_labels([*picked, *sorted(failed)], label_parts)
        judged = {name: own for name, own in pairing.pairs.items() if name not in failed}
        compared = [boxes for name, own in judged.items() for boxes in (picked[name], own)]
        sets = GatheredSets(
            picks=picked,
            labels=judged,
            threshold=run.threshold,
            unmatched_picks=tuple(name for name in pairing.unmatched_micrographs if name not in failed),
            unmatched_labels=pairing.unmatched_labels,
            failed_labels=tuple(name for name in pairing.pairs if name in failed),
            diameter_px=None if any(map(len, compared)) else run.diameter_px,
        )
    elif micrographs is not None:
        picks_parts = read_all_picks(picks, keep_coordinates=True)
        sets = _by_micrographs(picks_parts, label_parts, Path(micrographs), pixel_size)
    else:
        sets = _by_names(
            read_all_picks(picks, keep_coordinates=True),
            label_parts,
            both_files=Path(picks).is_file() and Path(labels).is_file(),
        )
    if not keep_coordinates:
        sets = dataclasses.replace(
            sets,
            picks=_recentred(sets.picks, sets.labels, picks, pixel_size),
            labels=_recentred(sets.labels, sets.picks, labels, pixel_size),
        )
    if sets.failed_labels and not sets.labels:
        raise InputError(
            f"{labels}: every micrograph that these labels belong to failed, for example {sets.failed_labels[0]}; "
            f"{picks}/failures.jsonl says why."
        )
    if not sets.labels or not set(sets.labels) - set(sets.without_picks):
        raise InputError(
            f"{labels}: none of these labels belongs to any of the picks in {picks}. They are matched by the "
            "micrograph's name: the same stem, with or without an ending such as _autopick or _DW."
        )
    return sets


def _recentred(
    parts: dict[str, Boxes], others: dict[str, Boxes], path: str | Path, pixel_size: float | None
) -> dict[str, Boxes]:
    """Return boxes with their refined shifts applied. If their own file gives no pixel size, the other one may."""
    sizes = [
        pixel_size or boxes.pixel_size or (others[name].pixel_size if name in others else None)
        for name, boxes in parts.items()
    ]
    return dict(zip(parts, recentre(list(parts.values()), path, pixel_sizes=sizes), strict=True))


def read_ignored(path: str | Path, names: list[str]) -> tuple[dict[str, Boxes], tuple[str, ...]]:
    """Return the boxes to ignore by the name of a judged micrograph, and the names of those of no such micrograph.

    Raises
    ------
    InputError
        If they cannot be read.
    """
    pairing = pair_labels(names, read_all_picks(path, keep_coordinates=True))
    return pairing.pairs, pairing.unmatched_labels


def _by_micrographs(
    pick_parts: list[Boxes], label_parts: list[Boxes], folder: Path, pixel_size: float | None
) -> GatheredSets:
    """Return picks and labels paired by the micrographs' own names; the headers of labelled ones are read."""
    # Picks may be of any image, so none is left out.
    files = {file.name: file for file in find_micrographs([folder], include=["*"])}
    picked, labelled = pair_labels(list(files), pick_parts), pair_labels(list(files), label_parts)
    labels = {}
    for name, boxes in labelled.pairs.items():
        header = read_header(files[name].path)
        size = pixel_size or files[name].pixel_size or boxes.pixel_size or header.pixel_size
        labels[name] = boxes.of(shape=header.shape, pixel_size=size)
    return GatheredSets(
        picks=picked.pairs,
        labels=labels,
        unmatched_picks=(*picked.unmatched_labels, *(name for name in picked.pairs if name not in labels)),
        unmatched_labels=labelled.unmatched_labels,
        without_picks=tuple(name for name in labels if name not in picked.pairs),
    )


def _by_names(pick_parts: list[Boxes], label_parts: list[Boxes], *, both_files: bool) -> GatheredSets:
    """Return picks and labels paired by the names in the picks; two files of one micrograph each need no name."""
    if both_files and len(pick_parts) == 1 and len(label_parts) == 1:
        name = label_parts[0].micrograph or pick_parts[0].micrograph or "micrograph"
        return GatheredSets(picks={name: pick_parts[0]}, labels={name: label_parts[0]})
    # A part without a name cannot be paired; with a placeholder, a message can still name it.
    named: dict[str, Boxes] = {}
    for i, part in enumerate(pick_parts):
        name = part.micrograph or f"picks {i + 1}"
        if named.setdefault(name, part) is not part:
            raise FormatError(
                f"two sets of picks have the name {name}; leave only one of them in the picks' folder, or give "
                "one of the files."
            )
    pairing = pair_labels(list(named), label_parts)
    alone = {
        part.micrograph: part
        for part in label_parts
        if part.micrograph is not None and part.micrograph in pairing.unmatched_labels
    }
    return GatheredSets(
        picks=named,
        labels={**pairing.pairs, **alone},
        unmatched_picks=pairing.unmatched_micrographs,
        without_picks=tuple(alone),
    )
