"""Name every file and folder of a run folder, once.

A run folder is what `vitripick pick --out` makes (docs/picking.md shows it):

    run.json                   settings, model, counts; written last
    micrographs/STEM.json      one record for each micrograph that is done
    failed/STEM.json           one for each that failed
    cbox/STEM.cbox             all its picks down to the floor confidence: the store everything else is made from
    star/, box/, csv/ …        the formats asked for (`formats.picks.table` names their folders)
    junk/STEM.png              what the network takes for junk, if it reports junk
    survey.json                the diameter and the threshold that were found before the first micrograph
    quality.csv                one line per micrograph: junk, confidence, suspicions
    classes/                   two-dimensional classes of the picks (`vitripick classes`)
    distributions/             confidences and sizes of all picks, as CSV and PNG
    failures.jsonl             one line for each micrograph that failed
    log/                       times, and what batch jobs printed; no result
    status.json, watch.lock    of a watcher
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vitripick.text import printable_name

# The files that `pick --filaments` keeps for each micrograph, in a folder for filaments.
FILAMENT_RECORDS = "filament_records"
RUN, SURVEY, FAILURES, QUALITY = "run.json", "survey.json", "failures.jsonl", "quality.csv"
RECORDS, FAILED, LOG, DISTRIBUTIONS = "micrographs", "failed", "log", "distributions"
# The folder of two-dimensional classes, and the file in it that describes them.
CLASSES, CLASSES_FILE = "classes", "classes.json"
# Of a project of `vitripick label`: what was done to the labels of each micrograph.
LABEL_HISTORY = "history"
STATUS, LOCK, STOP, REPORT, AUTOPICK = "status.json", "watch.lock", "STOP", "report.html", "autopick.star"


class Place(NamedTuple):
    """Says where files of one kind lie in a run folder: their folder, and what follows the micrograph's stem."""

    folder: str
    ending: str


# The picks that everything else is made from: every pick down to the floor confidence. The format of this name in
# `formats.picks.table` reads and writes them.
STORE_FORMAT = "cbox"
STORE = Place(STORE_FORMAT, ".cbox")
# RELION looks for this ending. In a RELION job these files lie in the job's own folder.
STAR = Place("star", "_autopick.star")
JUNK = Place("junk", ".png")
# The pictures that are drawn for each micrograph, by the name in the records.
PICTURES = {
    "overlay": Place("overlays", ".png"),
    "thumbnail": Place("thumbnails", ".jpg"),
    "junk": JUNK,
    "junk_mask": Place("junk_masks", ".png"),
}
# Folders of pictures, which a search for micrographs passes over.
PICTURE_FOLDERS = tuple(sorted({DISTRIBUTIONS, CLASSES, *(place.folder for place in PICTURES.values())}))


@dataclass(frozen=True)
class RunLayout:
    """Say where each file of a run folder lies.

    Attributes
    ----------
    out
        The run folder, with the store, the records and the joined files.
    star_folder
        Where the per-micrograph STAR files and `autopick.star` go instead, in a RELION job.
    """

    out: Path
    star_folder: Path | None = None

    def path(self, stem: str, place: Place) -> Path:
        """Return where one micrograph's file of this kind lies."""
        if place == STAR and self.star_folder is not None:
            return self.star_folder / f"{stem}{place.ending}"
        return self.out / place.folder / f"{stem}{place.ending}"

    def store(self, stem: str) -> Path:
        """Return where all picks of one micrograph are stored."""
        return self.path(stem, STORE)

    def junk(self, stem: str) -> Path:
        """Return where the junk map of one micrograph lies."""
        return self.path(stem, JUNK)

    def record(self, stem: str) -> Path:
        """Return where the record of one micrograph that is done lies."""
        return self.out / RECORDS / f"{stem}.json"

    def failure(self, stem: str) -> Path:
        """Return the path of the file that says why one micrograph failed."""
        return self.out / FAILED / f"{printable_name(stem)}.json"

    @property
    def autopick_star(self) -> Path:
        """Return RELION's table of the per-micrograph STAR files."""
        return (self.star_folder or self.out) / AUTOPICK

    @property
    def run(self) -> Path:
        """Return the path of the file that describes the whole run; it is written last."""
        return self.out / RUN

    @property
    def survey(self) -> Path:
        """Return the path of the file with what was found before the first micrograph was picked."""
        return self.out / SURVEY

    @property
    def records(self) -> Path:
        """Return the folder of the records."""
        return self.out / RECORDS

    @property
    def failed(self) -> Path:
        """Return the folder of the failures."""
        return self.out / FAILED

    @property
    def classes(self) -> Path:
        """Return the folder of the two-dimensional classes."""
        return self.out / CLASSES

    @property
    def log(self) -> Path:
        """Return the folder of the times."""
        return self.out / LOG

    @property
    def failures(self) -> Path:
        """Return the list of the micrographs that failed, written when the run ends."""
        return self.out / FAILURES

    @property
    def quality(self) -> Path:
        """Return the table with a line for each micrograph."""
        return self.out / QUALITY

    @property
    def has_store(self) -> bool:
        """Return whether picks were stored here."""
        return (self.out / STORE.folder).is_dir()

    def stored(self) -> dict[str, Path]:
        """Return the files of the stored picks by their stem, in sorted order; hidden ones are being written."""
        return _by_stem(self.out / STORE.folder, STORE.ending)

    def recorded(self) -> dict[str, Path]:
        """Return the records by the stem of their micrograph, in sorted order; hidden ones are being written."""
        return _by_stem(self.records, ".json")

    def all_failures(self) -> dict[str, Path]:
        """Return the files of the failures by the printable stem of their micrograph, in sorted order."""
        return _by_stem(self.failed, ".json")

    def holds_run(self) -> bool:
        """Return whether this is the output of `pick`, finished or not."""
        # A run that was interrupted or is being watched has records, but no run.json.
        return self.has_store and (self.run.is_file() or next(_below(self.records, ".json"), None) is not None)


def _by_stem(folder: Path, ending: str) -> dict[str, Path]:
    files = sorted(path for path in _below(folder, ending) if not path.name.startswith("."))
    return {path.relative_to(folder).as_posix().removesuffix(ending): path for path in files}


def _below(folder: Path, ending: str) -> Iterator[Path]:
    """Yield the files in a folder and below it, also behind links; a folder with two paths keeps the one without."""
    plain, linked, seen = [str(folder)], list[str](), set[str]()
    while plain or linked:
        place = plain.pop() if plain else linked.pop(0)
        if (real := os.path.realpath(place)) in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):  # such a folder holds no files
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                plain.append(entry.path)
            elif entry.is_symlink() and os.path.isdir(entry.path):
                linked.append(entry.path)
            elif entry.name.endswith(ending):
                yield Path(entry.path)
