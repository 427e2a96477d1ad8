"""Keep the files of one micrograph and its record up to date with threshold, filters and formats."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from vitripick.formats import FORMATS
from vitripick.geometry import Boxes, Micrograph
from vitripick.picking.junk import read_junk, write_junk
from vitripick.picking.narrow import Narrowing
from vitripick.picking.one import Look
from vitripick.picking.quality import Quality, assess, rounded
from vitripick.run_layout import PICTURES, STORE_FORMAT, RunLayout
from vitripick.runs.export import (
    NEED_THE_IMAGE,
    NOT_OF_THE_PICKS,
    exports_of,
    listed_before,
    place_of,
    threshold_of,
    write_exports,
)
from vitripick.runs.record import Record, read_stored, write_record
from vitripick.settings.pick import PickSettings


class Exporter:
    """Writes the files of one micrograph after the other, and keeps their records.

    Parameters
    ----------
    layout
        The layout of the run folder.
    settings
        Formats, pictures, and which picks are exported.
    threshold
        Picks at or above it are exported.
    """

    def __init__(self, layout: RunLayout, settings: PickSettings, threshold: float) -> None:
        self.layout, self.threshold = layout, threshold
        self._narrowing = Narrowing.of(settings)
        self._asked = tuple(dict.fromkeys([*exports_of(settings), *listed_before(layout)]))

    def write(self, seen: Look, micrograph: Micrograph, record: Record) -> Record:
        """Write everything of a micrograph that was just picked, its record last, and return the completed record.

        `record` says what the picks were made from.
        """
        # Files change from here on, so an older record is removed first. A record promises all files: it comes last.
        stem, size = record.stem, rounded(seen.diameter_px)
        self.layout.record(stem).unlink(missing_ok=True)
        store = self._narrowing.stored(seen.picks, size)
        write_exports(store, None, self.layout, stem, [STORE_FORMAT], self.threshold)
        write_junk(self.layout.junk(stem), seen.junk)
        # Stored values are rounded. All else is made from them, so that it is the same after a restart.
        stored = read_stored(self.layout, record)
        picks = self._narrowing.applied(stored, size, record.border)
        self._write(picks, micrograph, stem, self._asked[1:])
        names = [*self._asked, *(["junk"] if seen.junk is not None else [])]
        record = dataclasses.replace(
            record,
            n_stored=len(stored),
            n_picks=len(picks.above(self.threshold)),
            quality=self._quality(picks, stem, size),
            narrowing=self._narrowing,
            exported={name: threshold_of(name, self.threshold) for name in sorted(names)},
        )
        write_record(record, self.layout)
        return record

    def stale(self, record: Record) -> list[str]:
        """Return which exports are missing or differ from what is asked for, those of earlier formats included."""
        known = FORMATS.keys() | PICTURES.keys()  # another version may have written other formats
        others = (name for name in record.exported if name in known and name not in self._asked)
        return [
            name
            for name in (*self._asked, *others)
            if record.exported.get(name) != threshold_of(name, self.threshold)
            or (record.narrowing != self._narrowing and self._changes(name, record))
            or not self.layout.path(record.stem, place_of(name)).is_file()
        ]

    def has_stored(self, record: Record) -> bool:
        """Return whether all results of the network are stored, so that everything else can be made from them."""
        junk = [self.layout.junk(record.stem)] if "junk" in record.exported else []
        return all(path.is_file() for path in [self.layout.store(record.stem), *junk])

    def is_current(self, record: Record) -> bool:
        """Return whether a record and all its files fit the current settings."""
        # A quality of another threshold, or a missing one, is made again from the stored picks.
        is_of_threshold = record.quality is not None and record.quality.threshold == self.threshold
        return is_of_threshold and record.narrowing == self._narrowing and not self.stale(record)

    def renew(self, record: Record, opened: Callable[[], Micrograph] | None) -> Record:
        """Write outdated files again from the stored picks, and return the record that lists them.

        Parameters
        ----------
        record
            The record of a micrograph whose picks are stored.
        opened
            Opens the micrograph, if a picture must be drawn again. None removes such pictures instead.

        Raises
        ------
        VitripickError
            If the picks are not stored any more, or the micrograph cannot be opened.
        """
        if self.is_current(record):
            return record
        names = self.stale(record)
        lost = [name for name in names if (opened is None and name in NEED_THE_IMAGE) or name == "junk"]
        names = [name for name in names if name not in lost]
        stored = read_stored(self.layout, record)
        picks = self._narrowing.applied(stored, record.diameter_px, record.border)
        micrograph = opened() if opened is not None and NEED_THE_IMAGE & set(names) else None
        # This process may be killed at any time, so the record first drops what is about to change.
        kept = {name: level for name, level in record.exported.items() if name not in {*names, *lost}}
        if kept != record.exported:
            write_record(dataclasses.replace(record, exported=kept), self.layout)
        for name in lost:
            self.layout.path(record.stem, place_of(name)).unlink(missing_ok=True)
        if STORE_FORMAT in names:
            boxed = self._narrowing.stored(stored, record.diameter_px)
            write_exports(boxed, None, self.layout, record.stem, [STORE_FORMAT], self.threshold)
        self._write(picks, micrograph, record.stem, [name for name in names if name != STORE_FORMAT])
        exported = {**kept, **{name: threshold_of(name, self.threshold) for name in names}}
        record = dataclasses.replace(
            record,
            n_picks=len(picks.above(self.threshold)),
            quality=self._quality(picks, record.stem, record.diameter_px),
            narrowing=self._narrowing,
            exported=dict(sorted(exported.items())),
        )
        write_record(record, self.layout)
        return record

    def _changes(self, name: str, record: Record) -> bool:
        """Return whether changed filters would change this export."""
        if name == STORE_FORMAT:  # it holds all picks, but its boxes have the size to export
            return record.narrowing is None or record.narrowing.box_size_px != self._narrowing.box_size_px
        return name not in NOT_OF_THE_PICKS

    def _quality(self, picks: Boxes, stem: str, diameter_px: float | None) -> Quality:
        # The stored map is used, so that a changed threshold gives the same bytes as a new run with it.
        junk = read_junk(self.layout.junk(stem))
        return assess(picks, junk, threshold=self.threshold, diameter_px=diameter_px)

    def _write(self, picks: Boxes, micrograph: Micrograph | None, stem: str, names: Sequence[str]) -> None:
        # Picks must not depend on whether pictures are drawn, so the whole image is read again for pictures only.
        image = micrograph.image if micrograph is not None and NEED_THE_IMAGE & set(names) else None
        write_exports(picks, image, self.layout, stem, names, self.threshold)
