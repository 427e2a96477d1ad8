"""Sets of traced filaments beside the labelled ones: read one micrograph at a time, counted, and compared by length."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.errors import InputError
from vitripick.evaluation.filaments import evaluate_filaments
from vitripick.formats.names.pairing import match_names
from vitripick.geometry import Filament, Filaments, FloatArray
from vitripick.json_toml import is_number, read_json_object
from vitripick.models.card import read_model_card
from vitripick.runs.filament_pairs import stored_filaments
from vitripick.runs.filament_record import read_stored, records_of
from vitripick.runs.filaments import SUMMARY
from vitripick.runs.folder import is_filament_folder
from vitripick.web.limits import REJECTED_BOXES
from vitripick.web.picksets import PickSet, PickSets
from vitripick.web.project import Entry
from vitripick.web.sheet import points_json

# Thresholds at which a curve compares traced and labelled filaments.
_CURVE_POINTS = 16


class FilamentSets(PickSets):
    """Holds all sets of traced filaments of a project."""

    def lines(self, pick_set_id: str, entry: Entry) -> Filaments | None:
        """Return the filaments of one micrograph, of any confidence, surest first, or None if it was not traced."""
        with self._lock:
            key = (pick_set_id, entry.id)
            if key not in self._cache:
                pick_set = self.named(pick_set_id)
                source = self._sources(pick_set).get(entry.id)
                if source is None:
                    return None
                found = self._filaments_of(pick_set, source)
                order = np.argsort(-_confidences(found), kind="stable")
                kept = [found.filaments[i] for i in order]
                shape, size = self._project.header(entry).shape, self._project.pixel_size(entry)
                self._keep(key, Filaments(kept, entry.file.name, shape, size))
            self._cache.move_to_end(key)
            lines: Filaments = self._cache[key]
            return lines

    def kept_lines(self, pick_set_id: str, entry: Entry) -> Filaments | None:
        """Return the filaments at the threshold that the user did not reject, or None if it was not traced.

        The page has the same rules (static/line_picks.js).
        """
        lines = self.lines(pick_set_id, entry)
        if lines is None:
            return None
        lines = lines.above(self._project.settings.threshold)
        reach = REJECTED_BOXES * self._project.box_size_px(entry)
        places = np.array(list(self._sheets.get(entry).rejected.values()), np.float64).reshape(-1, 2)
        return replace(lines, filaments=[one for one in lines if not _passes(one, places, reach)])

    def described(self, pick_set_id: str, entry: Entry) -> dict[str, Any]:
        """Return what the page draws: a row for each filament with its middle, width and confidence, and its line."""
        lines = self.lines(pick_set_id, entry)
        if lines is None:
            return {"picks": None, "lines": None, "box_size_px": None}
        rows, drawn = [], []
        for one, confidence in zip(lines, _confidences(lines), strict=True):
            ((x, y),), _ = one.at([one.length / 2])
            rows.append([round(float(x), 2), round(float(y), 2), _or_zero(one.width), round(float(confidence), 4)])
            drawn.append(points_json(np.round(one.points, 2).tolist()))
        return {"picks": rows, "lines": drawn, "box_size_px": None}

    def n_found(self, pick_set_id: str, entry: Entry) -> int:
        """Return the number of filaments of one micrograph, of any confidence."""
        return len(self.lines(pick_set_id, entry) or ())

    def curve(self, pick_set_id: str) -> dict[str, Any]:
        """Return precision and recall by length, as `PickSets.curve` does for particles, at a few thresholds."""
        pick_set, project = self.named(pick_set_id), self._project
        with self._lock:
            sources = self._sources(pick_set)
            labelled = [e for e in project.entries.values() if e.id in sources and e.flag != "excluded" and not e.error]
            complete = [e for e in labelled if e.is_fully_labelled]
            chosen = complete if any(e.n_labels for e in complete) else [e for e in labelled if e.n_labels]
            traced = [self.lines(pick_set_id, entry) or Filaments() for entry in chosen]
            true = [self._sheets.filaments(entry) for entry in chosen]
        known = np.concatenate([np.empty(0), *map(_confidences, traced)])
        thresholds = np.unique(np.quantile(known, np.linspace(0, 1, _CURVE_POINTS))) if len(known) else known
        points = []
        for threshold in thresholds[::-1]:
            found = evaluate_filaments([one.above(float(threshold)) for one in traced], true)
            points.append([round(float(value), 4) for value in (threshold, found.precision, found.recall)])
        return {
            "points": points,
            "n_micrographs": len(chosen),
            "n_labels": sum(map(len, true)),
            "complete_labels": chosen is complete,
            "n_in_training": sum(entry.file.name in pick_set.trained_on for entry in chosen),
        }

    def _confidences_of(self, pick_set: PickSet, source: Any) -> FloatArray:
        return _confidences(self._filaments_of(pick_set, source))

    def _filaments_of(self, pick_set: PickSet, source: Any) -> Filaments:
        if not isinstance(source, Filaments):
            stem, record = source
            source = read_stored(pick_set.folder, stem, record).filaments
        # The page gets four decimals: with more here, a filament at the threshold would be shown and not exported.
        lines: Filaments = source
        return replace(lines, filaments=[replace(one, confidence=round(one.confidence, 4)) for one in lines])

    def _found_sources(self, pick_set: PickSet) -> dict[str, Any]:
        names = {entry.file.name: entry for entry in self._project.entries.values()}
        if is_filament_folder(pick_set.folder):
            records = list(records_of(pick_set.folder))
            pairs = match_names(list(names), [str(record["micrograph"]) for _, record in records])
            return {names[name].id: records[i] for name, i in pairs.items()}
        parts = stored_filaments(pick_set.folder)
        pairs = match_names(list(names), [str(one.micrograph) for one in parts])
        if not pairs and len(parts) == len(names) == 1:
            return {next(iter(self._project.entries)): parts[0]}
        return {names[name].id: parts[i] for name, i in pairs.items()}


def threshold_of_traced(folder: Path) -> float | None:
    """Return the threshold that a folder of `pick --filaments` was traced with; None where it does not say."""
    try:
        threshold = read_json_object(folder / SUMMARY)["made_with"]["threshold"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(threshold) if is_number(threshold) else None


def own_threshold(model: str | Path | None) -> float | None:
    """Return the threshold that a model's card gives; None where there is no such model any more."""
    try:
        return None if model is None else read_model_card(model).threshold
    except InputError:
        return None


def _confidences(lines: Filaments) -> FloatArray:
    """Return the confidence of each filament; 1 where none is known."""
    return np.nan_to_num(np.array([one.confidence for one in lines], np.float64), nan=1.0)


def _or_zero(width: float) -> float:
    return round(width, 1) if np.isfinite(width) else 0.0


def _passes(one: Filament, places: FloatArray, reach: float) -> bool:
    """Return whether the centre line comes as near as `reach` to one of the places, (n, 2)."""
    if not len(places):
        return False
    start, step = one.points[:-1, None], np.diff(one.points, axis=0)[:, None]
    along = ((places - start) * step).sum(axis=2) / np.maximum((step**2).sum(axis=2), 1e-12)
    nearest = start + np.clip(along, 0, 1)[..., None] * step
    return bool((np.hypot(*np.moveaxis(places - nearest, 2, 0)) <= reach).any())
