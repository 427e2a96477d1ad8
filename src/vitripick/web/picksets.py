"""Hold sets of picks beside the labels: read them one micrograph at a time, count them, compare them with the
labels."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.errors import UsageError, VitripickError
from vitripick.evaluation import judge, precision_recall_curve
from vitripick.evaluation.metrics import join
from vitripick.formats import pair_labels, read_all_picks, recentre_in_micrographs
from vitripick.formats.names.pairing import match_names
from vitripick.geometry import Boxes, FloatArray
from vitripick.run_layout import RunLayout
from vitripick.runs.record import read_store
from vitripick.web.limits import ranked, within_limits
from vitripick.web.project import Entry, Project
from vitripick.web.project_settings import ProjectSettings
from vitripick.web.sheets import Sheets

_KEPT_IN_MEMORY = 256
N_BINS = 40
_MAX_CURVE_POINTS = 240


@dataclass
class PickSet:
    """Describes one set of picks.

    Attributes
    ----------
    id
        `given` or the number of a run.
    title
        The name that the page shows.
    folder
        A folder that `vitripick pick` wrote, or any file or folder of picks.
    threshold
        The model's own threshold; None where it is not known.
    trained_on
        Names of the micrographs that the model was trained on.
    histograms
        Micrograph id to the number of picks in each bin of confidence, for the files that were read so far.
    confidences
        The confidences of the same picks, rising.
    """

    id: str
    title: str
    folder: Path
    threshold: float | None = None
    trained_on: frozenset[str] = frozenset()
    histograms: dict[str, list[int]] = field(default_factory=dict)
    confidences: dict[str, FloatArray] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what the page's list shows."""
        return {"id": self.id, "title": self.title, "threshold": self.threshold}


class PickSets:
    """Holds all sets of picks of a project; a file is read when its picks are needed."""

    def __init__(self, project: Project, sheets: Sheets) -> None:
        self._project, self._sheets = project, sheets
        self.sheets = sheets
        self._sets: OrderedDict[str, PickSet] = OrderedDict()
        self._paths: dict[str, dict[str, Any]] = {}
        self._cache: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._without_size: set[tuple[str, str]] = set()
        self._lock = threading.RLock()
        # Takes (set, micrograph, picks), and returns those in classes that the user finds good.
        self.cull: Callable[[str, Entry, Boxes], Boxes] = lambda pick_set_id, entry, picks: picks

    def put(self, pick_set: PickSet, *, grown: bool = False) -> None:
        """Add a set, or replace one whose files have changed; `grown`: all its old files are the same."""
        with self._lock:
            before = self._sets.get(pick_set.id)
            if grown and before is not None:
                pick_set.histograms = before.histograms
                pick_set.confidences = before.confidences
            self._sets[pick_set.id] = pick_set
            self._paths.pop(pick_set.id, None)
            for key in [key for key in self._cache if key[0] == pick_set.id]:
                del self._cache[key]

    def drop(self, pick_set_id: str) -> None:
        """Forget a set, if it is there."""
        with self._lock:
            self._sets.pop(pick_set_id, None)
            self._paths.pop(pick_set_id, None)

    def all(self) -> list[PickSet]:
        """Return all sets in the order in which they were added."""
        return list(self._sets.values())

    def named(self, pick_set_id: str) -> PickSet:
        """Return the set of this id, or raise `UsageError`."""
        if pick_set_id not in self._sets:
            raise UsageError("these picks do not exist, or no longer exist.")
        return self._sets[pick_set_id]

    def micrographs(self, pick_set_id: str) -> set[str]:
        """Return the ids of the micrographs that were picked."""
        with self._lock:
            return set(self._sources(self.named(pick_set_id)))

    def picks(self, pick_set_id: str, entry: Entry) -> Boxes | None:
        """Return the picks of one micrograph, of any confidence, surest first, or None if it was not picked."""
        with self._lock:
            key = (pick_set_id, entry.id)
            if key in self._cache:
                self._cache.move_to_end(key)
                known: Boxes = self._cache[key]
                return known
            pick_set = self.named(pick_set_id)
            source = self._sources(pick_set).get(entry.id)
            if source is None:
                return None
            boxes = _boxes_of(pick_set, source)
            shape = self._project.header(entry).shape
            size = self._project.box_size_px(entry)
            if not boxes.has_size:
                self._without_size.add(key)
                boxes = boxes.with_size(size)
            boxes = ranked(boxes.of(shape=shape, pixel_size=self._project.pixel_size(entry)))
            self._keep(key, boxes)
            return boxes

    def _keep(self, key: tuple[str, str], found: Any) -> None:
        self._cache[key] = found
        while len(self._cache) > _KEPT_IN_MEMORY:
            self._cache.popitem(last=False)

    def n_found(self, pick_set_id: str, entry: Entry) -> int:
        """Return the number of picks of one micrograph, of any confidence."""
        return len(self.found(pick_set_id, entry))

    def found(self, pick_set_id: str, entry: Entry) -> Boxes:
        """Return the picks of one micrograph, or no boxes if it was not picked."""
        picks = self.picks(pick_set_id, entry)
        return Boxes.at([], []) if picks is None else picks

    def box_size_px(self, pick_set_id: str, entry: Entry) -> float | None:
        """Return the size of the boxes of a micrograph's picks, or None if they have none of their own."""
        picks = self.picks(pick_set_id, entry)
        return None if picks is None or (pick_set_id, entry.id) in self._without_size else picks.box_size_px

    def kept(self, pick_set_id: str, entry: Entry, *, cull: bool = True) -> Boxes | None:
        """Return the picks within the limits, which are shown, counted and exported, or None if it was not picked.

        Without `cull`, those of classes that the user does not find good are among them.
        """
        picks = self.picks(pick_set_id, entry)
        if picks is None:
            return None
        picks = self.cull(pick_set_id, entry, picks) if cull else picks
        return self._within_limits(picks, entry, self._project.settings)

    def histograms(self, pick_set_id: str, *, at_most: int = 400) -> dict[str, Any]:
        """Return the number of picks in each of `N_BINS` bins of confidence from 0 to 1, for every picked micrograph.

        One call reads at most `at_most` files that were not read before. The page asks again until `complete` is true.
        """
        pick_set = self.named(pick_set_id)
        with self._lock:
            sources = dict(self._sources(pick_set))
        todo = [entry_id for entry_id in sources if entry_id not in pick_set.histograms]
        for entry_id in todo[:at_most]:
            entry = self._project.entries[entry_id]
            try:
                confidence = self._confidences_of(pick_set, sources[entry_id])
            except VitripickError as error:
                entry.error = str(error)
                pick_set.histograms[entry_id] = [0] * N_BINS
                continue
            pick_set.confidences[entry_id] = np.sort(confidence)
            counts, _ = np.histogram(np.clip(confidence, 0, 1), bins=N_BINS, range=(0, 1))
            pick_set.histograms[entry_id] = counts.tolist()
        return {"complete": len(todo) <= at_most, "n_bins": N_BINS, "micrographs": pick_set.histograms}

    def counts(self, pick_set_id: str, threshold: float) -> dict[str, int]:
        """Return the number of picks at or above a threshold, for every micrograph that `histograms` has read."""
        known = dict(self.named(pick_set_id).confidences)
        return {entry_id: len(every) - int(np.searchsorted(every, threshold)) for entry_id, every in known.items()}

    def curve(self, pick_set_id: str) -> dict[str, Any]:
        """Return precision and recall of the picks against the labels, at every threshold.

        The micrographs that are fully labelled or empty count. Without any, all micrographs with labels count, and then
        the precision is a lower bound. A pick is true if a label lies within a quarter of the box; each label makes one
        pick true at most.
        """
        pick_set, project = self.named(pick_set_id), self._project
        with self._lock:
            sources = self._sources(pick_set)
            labelled = [e for e in project.entries.values() if e.id in sources and e.flag != "excluded"]
            complete = [e for e in labelled if e.is_fully_labelled]
            chosen = complete if any(e.n_labels for e in complete) else [e for e in labelled if e.n_labels]
            # The curve runs over all thresholds; the other limits stay as they are.
            no_threshold = project.settings.model_copy(update={"threshold": 0.0})
            parts = []
            for i, entry in enumerate(chosen):
                picks = self.picks(pick_set_id, entry)
                if picks is None or entry.error:
                    continue
                labels = self._sheets.boxes(entry)
                box = project.box_size_px(entry)
                parts.append(
                    judge(
                        self._within_limits(self.cull(pick_set_id, entry, picks), entry, no_threshold),
                        labels,
                        criterion="distance",
                        distance_px=box / 4,
                        border_px=box / 2,
                        micrograph_index=i,
                    )
                )
        judged = join(parts)
        curve = precision_recall_curve(judged)
        keep = np.unique(np.linspace(0, max(0, len(curve.threshold) - 1), _MAX_CURVE_POINTS).astype(np.intp))
        keep = keep if len(curve.threshold) else keep[:0]
        points = zip(curve.threshold[keep], curve.precision[keep], np.nan_to_num(curve.recall)[keep], strict=True)
        return {
            "points": [[round(float(value), 4) for value in point] for point in points],
            "n_micrographs": len(parts),
            "n_labels": judged.n_labels,
            "complete_labels": chosen is complete,
            "n_in_training": sum(entry.file.name in pick_set.trained_on for entry in chosen),
        }

    def _within_limits(self, picks: Boxes, entry: Entry, settings: ProjectSettings) -> Boxes:
        rejected = np.array(list(self._sheets.get(entry).rejected.values()), dtype=np.float64).reshape(-1, 2)
        return within_limits(picks, settings, rejected=rejected, box_size_px=self._project.box_size_px(entry))

    def _confidences_of(self, pick_set: PickSet, source: Any) -> FloatArray:
        return np.nan_to_num(_boxes_of(pick_set, source).confidence, nan=1.0)

    def _sources(self, pick_set: PickSet) -> dict[str, Any]:
        """Return micrograph id to the file of its picks, or to the picks if one file holds several micrographs."""
        if pick_set.id not in self._paths:
            self._paths[pick_set.id] = self._found_sources(pick_set)
        return self._paths[pick_set.id]

    def _found_sources(self, pick_set: PickSet) -> dict[str, Any]:
        by_name = {entry.file.name: entry for entry in self._project.entries.values()}
        layout = RunLayout(pick_set.folder)
        found: dict[str, Path | Boxes] = {}
        if layout.has_store:
            names = layout.stored()
            for entry in self._project.entries.values():
                if entry.stem in names:
                    found[entry.id] = names.pop(entry.stem)
            # If the run had other inputs, its names may start from another folder.
            others = [name for name, entry in by_name.items() if entry.id not in found]
            for name, i in match_names(others, list(names)).items():
                found[by_name[name].id] = list(names.values())[i]
        else:
            pairs = pair_labels(list(by_name), read_all_picks(pick_set.folder, keep_coordinates=True)).pairs
            files = {name: by_name[name].file for name in pairs}
            size = self._project.settings.pixel_size
            for name, boxes in recentre_in_micrographs(pairs, files, pick_set.folder, pixel_size=size).items():
                found[by_name[name].id] = boxes
        return found


def _boxes_of(pick_set: PickSet, source: Path | Boxes) -> Boxes:
    return source if isinstance(source, Boxes) else read_store(RunLayout(pick_set.folder), source)
