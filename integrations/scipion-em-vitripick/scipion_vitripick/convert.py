# SPDX-License-Identifier: GPL-3.0-or-later
"""Hand micrographs and coordinates to vitripick, and read its picks.

Scipion counts x and y in whole pixels from the first pixel that its image readers give, and vitripick does the same for
MRC files. It turns TIFF, PNG and JPG files upside down on reading, as RELION and EMAN2 do, and Scipion does not. So y
changes its direction for those files, here and nowhere else.
"""

import json
import os
import re
from typing import NamedTuple

from emtable import Table

# Files that store the top row first, by their suffix.
_TOP_ROW_FIRST = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
_PACKED = (".gz", ".bz2")
# Names of files have at most 255 bytes, and vitripick puts its own endings behind.
_LONGEST_STEM = 180


class Pick(NamedTuple):
    """Holds the centre of one pick in whole pixels of Scipion's frame, and its confidence, 0-1."""

    x: int
    y: int
    confidence: float


class Segment(NamedTuple):
    """Holds one segment of a filament in Scipion's frame, and what helical processing needs.

    `psi` is counted as RELION counts it, in degrees; `track` is the distance from the filament's first end in Å.
    """

    x: int
    y: int
    confidence: float
    tube: int
    psi: float
    track: float


class RunFolder:
    """Reads the files of a run folder of vitripick (docs/picking.md says what is where)."""

    records = "micrographs"

    def __init__(self, folder):
        self.folder = folder

    def record(self, stem):
        """Return what is known about a micrograph that is done, as a dictionary; None if it is not done."""
        return _read_json(os.path.join(self.folder, self.records, f"{stem}.json"))

    def failure(self, stem):
        """Return why a micrograph failed; None if it did not."""
        failure = _read_json(os.path.join(self.folder, "failed", f"{stem}.json"))
        return None if failure is None else failure.get("error") or "vitripick gives no reason"

    def forget_failure(self, stem):
        """Remove the note that a micrograph failed, before it is picked again."""
        path = os.path.join(self.folder, "failed", f"{stem}.json")
        if os.path.exists(path):
            os.remove(path)

    def failures(self):
        """Return the reasons of all failures, by the stem of the micrograph."""
        folder = os.path.join(self.folder, "failed")
        stems = sorted(name[: -len(".json")] for name in os.listdir(folder)) if os.path.isdir(folder) else []
        return {stem: self.failure(stem) for stem in stems}

    def surveyed(self):
        """Return the names of the micrographs on which diameter and threshold were found; an empty list if on none."""
        parts = [part for part in self._survey().values() if isinstance(part, dict)]
        names = [_name_of(one) for part in parts for one in part.get("micrographs", ())]
        return list(dict.fromkeys(names))

    def survey_lines(self):
        """Return what the survey found, as sentences for the summary."""
        survey = self._survey()
        lines = []
        found = survey.get("diameter") or {}
        if found.get("diameter"):
            lines.append(f"Diameter found on the micrographs: {_with_unit(found)}.")
        seen = survey.get("seen") or {}
        if seen.get("diameter"):
            lines.append(f"Diameter that the network sees: {_with_unit(seen)}.")
        threshold = survey.get("threshold") or {}
        if threshold.get("threshold") is not None:
            lines.append(f"Threshold chosen from the scores: {threshold['threshold']:g}.")
        return lines

    def _survey(self):
        return _read_json(os.path.join(self.folder, "survey.json")) or {}

    def picks(self, stem, file_name):
        """Return the picks of one micrograph above the threshold, in Scipion's frame.

        `file_name` is the micrograph's file, whose kind says where y starts.
        """
        return [Pick(*place, float(row.rlnAutopickFigureOfMerit)) for place, row in self._places(stem, file_name)]

    def _places(self, stem, file_name):
        """Yield (x, y) in Scipion's frame, and the row of vitripick's STAR, for each pick of a micrograph."""
        n_rows, n_columns = self.record(stem)["shape"]
        path = os.path.join(self.folder, "star", f"{stem}_autopick.star")
        for row in Table(fileName=path):
            x, y = float(row.rlnCoordinateX), float(row.rlnCoordinateY)
            if starts_at_top(file_name):
                y = n_rows - 1 - y
            # A centre in the outer half of the last pixel would round to a pixel that does not exist.
            yield (min(max(round(x), 0), n_columns - 1), min(max(round(y), 0), n_rows - 1)), row

    def diameter_px(self, stem):
        """Return the diameter that a micrograph was picked with, in its pixels; None if nothing says it."""
        quality = (self.record(stem) or {}).get("quality") or {}
        return quality.get("diameter_px")


class FilamentFolder(RunFolder):
    """Reads the files of a folder of filaments of vitripick (docs/filaments.md says what is where)."""

    records = "filament_records"

    def surveyed(self):
        """Return nothing: the folder itself keeps the width that was found."""
        return []

    def width(self):
        """Return the width that was estimated, with its unit, such as `180 Å`; None if it was given."""
        found = _read_json(os.path.join(self.folder, "width.json")) or {}
        if not found.get("value"):
            return None
        return f"{found['value']:g} {'Å' if found.get('field') == 'width_angstrom' else 'px'}"

    def survey_lines(self):
        """Return what was estimated, as sentences for the summary."""
        return [f"Width found on the micrographs: {self.width()}."] if self.width() else []

    def diameter_px(self, stem):
        """Return the width that a micrograph was traced with, in its pixels; None if nothing says it."""
        return (self.record(stem) or {}).get("width_px")

    def segments(self, stem, file_name):
        """Return the segments of one micrograph, in Scipion's frame."""
        # A mirrored micrograph mirrors directions, too.
        turn = -1 if starts_at_top(file_name) else 1
        return [
            Segment(
                *place,
                float(row.rlnAutopickFigureOfMerit),
                int(row.rlnHelicalTubeID),
                turn * float(row.rlnAnglePsiPrior),
                float(row.rlnHelicalTrackLengthAngst),
            )
            for place, row in self._places(stem, file_name)
        ]


def _name_of(surveyed):
    """Return the micrograph's name from one entry of a survey: a name, or a dictionary that has it."""
    return surveyed["micrograph"] if isinstance(surveyed, dict) else surveyed


def _with_unit(found):
    return f"{found['diameter']:g} {'Å' if found.get('unit') == 'angstrom' else 'px'}"


def starts_at_top(file_name):
    """Return whether vitripick turns this file upside down on reading."""
    return file_name.lower().endswith(_TOP_ROW_FIRST)


def even_box(diameter_px):
    """Return the smallest even number of pixels that holds the diameter; extraction needs even boxes."""
    return 2 * -(-round(diameter_px) // 2)


def input_name(mic):
    """Return the name under which vitripick sees a micrograph: its number in the set, then its own name.

    The number keeps micrographs of one name apart. Blanks would separate columns of a STAR.
    """
    base = os.path.basename(mic.getMicName() or mic.getFileName())
    suffix = _suffix(mic.getFileName())
    stem = base[: -len(suffix)] if suffix and base.lower().endswith(suffix.lower()) else base
    return f"{mic.getObjId():06d}_{re.sub(r'[^A-Za-z0-9._+-]', '_', stem)[:_LONGEST_STEM]}{suffix}"


def input_stem(mic):
    """Return the name of a micrograph's outputs in the run folder, without ending."""
    name = input_name(mic)
    return name[: len(name) - len(_suffix(name))]


def _suffix(file_name):
    root, suffix = os.path.splitext(file_name)
    return os.path.splitext(root)[1] + suffix if suffix.lower() in _PACKED else suffix


def link_micrographs(mics, folder):
    """Link the micrographs into a folder, and return the names of the links; the files stay where they are."""
    os.makedirs(folder, exist_ok=True)
    for mic in mics:
        link = os.path.join(folder, input_name(mic))
        target = os.path.relpath(os.path.realpath(mic.getFileName()), os.path.realpath(folder))
        if os.path.islink(link) and os.readlink(link) != target:
            os.remove(link)
        if not os.path.islink(link):
            os.symlink(target, link)
    return [input_name(mic) for mic in mics]


def write_micrographs_star(names, path, sampling_rate, acquisition=None):
    """Write a RELION micrographs STAR of these links, which must lie in the STAR's folder.

    The optics block carries Scipion's pixel size, which counts for more than that of the files.
    """
    columns = [("rlnOpticsGroupName", "opticsGroup1"), ("rlnOpticsGroup", 1)]
    columns.append(("rlnMicrographPixelSize", f"{sampling_rate:.6f}"))
    for name, value in (
        ("rlnVoltage", acquisition and acquisition.getVoltage()),
        ("rlnSphericalAberration", acquisition and acquisition.getSphericalAberration()),
        ("rlnAmplitudeContrast", acquisition and acquisition.getAmplitudeContrast()),
    ):
        if value is not None:
            columns.append((name, f"{value:.6f}"))
    lines = ["# version 30001", "", "data_optics", "", "loop_"]
    lines += [f"_{name} #{number}" for number, (name, _) in enumerate(columns, start=1)]
    lines += [" ".join(str(value) for _, value in columns), "", "# version 30001", "", "data_micrographs", "", "loop_"]
    lines += ["_rlnMicrographName #1", "_rlnOpticsGroup #2"]
    lines += [f"{name} 1" for name in names]
    _write_text(path, "\n".join(lines) + "\n")


def write_labels_star(places, path):
    """Write the places of one micrograph, (x, y) in vitripick's frame, as a STAR of coordinates."""
    lines = ["# version 30001", "", "data_", "", "loop_", "_rlnCoordinateX #1", "_rlnCoordinateY #2"]
    lines += [f"{x:.3f} {y:.3f}" for x, y in places]
    _write_text(path, "\n".join(lines) + "\n")


def label_place(coord, file_name, n_rows, scale=1.0):
    """Return (x, y) of a coordinate of Scipion in vitripick's frame, in pixels of the micrograph to train on."""
    x, y = coord.getX() * scale, coord.getY() * scale
    return (x, n_rows - 1 - y) if starts_at_top(file_name) else (x, y)


def _read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write_text(path, text):
    # A step that is killed leaves no half file under this name.
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.part", path)
