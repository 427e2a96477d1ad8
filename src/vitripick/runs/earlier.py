"""Find what earlier calls left in a run folder, because its joined files cover all that was ever picked into it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitripick.errors import ResourceError, VitripickError
from vitripick.formats.folders import forget_links, real_folder
from vitripick.formats.star.optics import with_given_optics
from vitripick.run_layout import RunLayout
from vitripick.runs.export import place_of
from vitripick.runs.record import Outcome, Record, as_named, path_of, read_failure, read_record
from vitripick.runs.step import FolderPicker
from vitripick.text import count, listed, printable_name


@dataclass(frozen=True)
class Earlier:
    """Holds what earlier calls left in a run folder.

    Attributes
    ----------
    records
        The records of micrographs that this call did not take. Their files are as this call asks for them.
    failures
        `{"micrograph", "path", "error"}` for each one that failed then.
    notes
        What the user should know: what was left out or removed, and what was picked in another way.
    """

    records: list[Record] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class EarlierCalls:
    """Finds what earlier calls left in a run folder; a watcher keeps it, so that each record is read once."""

    def __init__(self) -> None:
        self._known: dict[str, Record | None] = {}
        self._renewed: dict[str, Record] = {}

    def beside(self, picker: FolderPicker, outcomes: Iterable[Outcome], *, as_asked: bool = True) -> Earlier:
        """Return what lies in the run folder beside these outcomes of this call.

        With `as_asked`, exports are written again if their threshold, filters or formats differ from those of this
        call. Files of a micrograph that this call has under another name are removed. A RELION job starts again on
        another input, so there nothing is returned.
        """
        forget_links()
        layout = picker.layout
        if layout.star_folder is not None:
            return Earlier()
        outcomes = list(outcomes)
        ours = {outcome.stem for outcome in outcomes}
        paths = {_real(outcome.file.path): outcome for outcome in outcomes}
        earlier = Earlier()
        failures = self._failures(layout, {printable_name(stem) for stem in ours})
        removed, unreadable, lost_pictures, otherwise = [], [], 0, 0
        for stem, path in layout.recorded().items():
            if stem in ours or stem in failures:
                continue
            record = self._record(stem, path)
            if record is None:
                unreadable.append(f"{path}")
                continue
            again = paths.get(_real(path_of(record, layout.out)))
            if again is not None and again.record is not None:
                _remove(record, layout)
                removed.append(f"{record.name} (now {again.file.name})")
                continue
            if not as_asked:
                if picker.exporter.has_stored(record):
                    earlier.records.append(record)
                else:
                    unreadable.append(f"{layout.store(stem)}")
                continue
            if stem not in self._renewed:
                try:
                    # Values of the microscope that are given now hold for the whole folder.
                    optics = with_given_optics(record.optics, picker.settings)
                    named = as_named(record, layout, optics=optics, from_star=record.from_star)
                    renewed = picker.exporter.renew(named, None)
                except ResourceError:
                    raise
                except VitripickError as error:
                    unreadable.append(str(error))
                    continue
                lost_pictures += len(set(record.exported) - set(renewed.exported))
                self._renewed[stem] = renewed
            earlier.records.append(self._renewed[stem])
            otherwise += picker.made_otherwise(record)
        for stem, failure in failures.items():
            again = paths.get(_real(failure["path"])) if failure["path"] else None
            if again is None:
                earlier.failures.append({key: failure[key] for key in ("micrograph", "path", "error")})
            else:
                layout.failure(stem).unlink(missing_ok=True)
        if removed:
            earlier.notes.append(
                f"picked again under another name, so the older picks were removed: {listed(removed, most=3)}"
            )
        if unreadable:
            earlier.notes.append(f"left out of the files of the whole run: {listed(unreadable, most=3)}")
        if lost_pictures:
            earlier.notes.append(
                f"removed because other picks were drawn there: {count('picture', lost_pictures)} of earlier calls; "
                "pick these micrographs again to have them drawn"
            )
        if otherwise:
            earlier.notes.append(
                f"picked with another model or other settings in earlier calls: {count('micrograph', otherwise)}"
            )
        return earlier

    def _record(self, stem: str, path: Path) -> Record | None:
        if stem not in self._known:
            record = read_record(path)
            # A copied or renamed record names another micrograph's files.
            self._known[stem] = record if record is None or record.stem == stem else None
        return self._known[stem]

    def _failures(self, layout: RunLayout, ours: set[str]) -> dict[str, dict[str, Any]]:
        found = {stem: read_failure(path) for stem, path in layout.all_failures().items() if stem not in ours}
        return {stem: failure for stem, failure in found.items() if failure is not None}


def _real(path: str | Path) -> str:
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(real_folder(folder), name)


def _remove(record: Record, layout: RunLayout) -> None:
    """Remove all files of one micrograph, the record first, because a record promises them."""
    layout.record(record.stem).unlink(missing_ok=True)
    for path in [layout.store(record.stem), *(layout.path(record.stem, place_of(name)) for name in record.exported)]:
        path.unlink(missing_ok=True)
