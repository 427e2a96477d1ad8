"""Read back what `pick` wrote into a run folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.errors import InputError
from vitripick.geometry import Boxes
from vitripick.json_toml import is_number, parse_json, read_json_object
from vitripick.run_layout import FILAMENT_RECORDS, RunLayout
from vitripick.runs.log import read_log
from vitripick.runs.record import Record, is_failure, is_stem, read_exported, read_record


@dataclass(frozen=True, eq=False)
class RunFolder:
    """Holds the contents of an output folder of `pick`.

    Attributes
    ----------
    run
        The contents of `run.json`.
    records
        One for each micrograph of the run that is done, by name.
    failures
        `{"micrograph", "path", "error"}` for each that failed.
    """

    folder: Path
    run: dict[str, Any]
    records: dict[str, Record]
    failures: list[dict[str, Any]]

    @property
    def layout(self) -> RunLayout:
        """Return the layout that says where the files of this run lie."""
        return RunLayout(self.folder)

    @property
    def threshold(self) -> float | None:
        """Return the threshold that picks were exported with."""
        threshold = self.run.get("threshold")
        return None if threshold is None else float(threshold)

    @property
    def failed(self) -> tuple[str, ...]:
        """Return the names of the micrographs that failed."""
        return tuple(failure["micrograph"] for failure in self.failures if "micrograph" in failure)

    @property
    def diameter_px(self) -> float | None:
        """Return the particle's diameter, the median over the micrographs; None if no record states it."""
        stated = [r.quality.diameter_px for r in self.records.values() if r.quality is not None]
        known = [d for d in stated if d is not None]
        return float(np.median(known)) if known else None

    @property
    def box_size_px(self) -> float | None:
        """Return the size of the boxes as exported: the one that was asked for, else the particle's diameter."""
        asked = self.run.get("settings", {}).get("box_size_px")
        return float(asked) if is_number(asked) and asked > 0 else self.diameter_px

    def read_picks(self, *, cut_ones: bool = False) -> dict[str, Boxes]:
        """Return the run's picks of any confidence by micrograph, each with its shape and pixel size.

        With `cut_ones`, particles that the border cuts are there, too.
        """
        return {name: self.read_picks_of(record, cut_ones=cut_ones) for name, record in self.records.items()}

    def read_picks_of(self, record: Record, *, cut_ones: bool = False) -> Boxes:
        """Return the run's picks of one micrograph, of any confidence, as `read_picks` does."""
        if cut_ones and record.narrowing is not None and record.narrowing.edge == "particle":
            record = replace(record, narrowing=replace(record.narrowing, edge="centre"))
        return read_exported(self.layout, record)


def is_run_folder(path: str | Path) -> bool:
    """Return whether `path` is the output folder of `pick`, finished or not."""
    layout = RunLayout(Path(path))
    return layout.run.is_file() or layout.holds_run()


def is_filament_folder(path: str | Path) -> bool:
    """Return whether `path` is a folder that `pick --filaments` wrote."""
    return (Path(path) / FILAMENT_RECORDS).is_dir()


def run_before(layout: RunLayout) -> dict[str, Any] | None:
    """Return the contents of `run.json`; None if it is missing or damaged."""
    try:
        run = _read_json(layout.run)
        _check_run(run, layout.run)
    except (OSError, InputError):
        return None
    return run


def threshold_of_run(folder: str | Path) -> float | None:
    """Return the threshold that picks were exported with; None if `run.json` is missing or damaged."""
    run = run_before(RunLayout(Path(folder))) or {}
    return None if run.get("threshold") is None else float(run["threshold"])


def read_run_folder(folder: str | Path) -> RunFolder:
    """Read `run.json`, the records of its micrographs with their times from the log, and its failures.

    An earlier run may have left records of other micrographs in the same folder; they are left out.

    Raises
    ------
    InputError
        If the folder is not the output of `pick`, or a record is missing or damaged.
    """
    folder, layout = Path(folder), RunLayout(Path(folder))
    if is_filament_folder(folder):
        raise InputError(
            f"{folder}: this folder holds traced filaments, and picks of particles are needed here. `vitripick report` "
            "takes it, `convert` and `evaluate` take it with --filaments, and RELION extracts its segments."
        )
    if not layout.run.is_file():
        raise InputError(
            f"{folder}: there is no run.json here. Give the folder that `vitripick pick --out` wrote. If that run "
            "was interrupted, run it again to finish; done micrographs are not picked twice."
        )
    run = _read_json(layout.run)
    _check_run(run, layout.run)
    wanted = _wanted(run, layout.run)
    records: dict[str, Record] = {}
    log = read_log(layout)
    timed = {line["micrograph"]: line for line in log if _tells_times(line)}
    for path in _record_paths(layout, wanted):
        record = read_record(path)
        if record is None:
            raise InputError(f"{path}: this is not a record that this version of vitripick wrote. Run pick again.")
        if record.name in wanted:
            line = timed.get(record.name)
            if line is not None:
                record = replace(record, seconds=line["seconds"], timings=line["timings"])
            records[record.name] = record
    lost = sorted(set(wanted) - set(records))
    if lost:
        raise InputError(
            f"{folder}: run.json names {len(lost)} micrographs that have no record in micrographs/, first "
            f"{lost[0]!r}. Run pick again; done micrographs are not picked twice."
        )
    records = {name: records[name] for name in wanted}
    whole = [line["run"] for line in log if isinstance(line.get("run"), dict)]
    seconds = [entry["seconds"] for entry in whole if is_number(entry.get("seconds"))]
    run = {key: value for key, value in run.items() if key != "seconds" or is_number(value)}
    if seconds:
        run = {**run, "seconds": seconds[-1]}
    return RunFolder(folder, run, records, _read_failures(layout.failures))


def _wanted(run: dict[str, Any], path: Path) -> dict[str, str | None]:
    """Return the names of the run's micrographs, each with its stem if `run.json` gives one."""
    listed = run.get("micrographs")
    if not isinstance(listed, list) or not all(_is_listed(entry) for entry in listed):
        raise InputError(f"{path}: this does not list the run's micrographs. Run pick again to replace it.")
    return {entry["name"]: entry.get("stem") for entry in listed}


def _is_listed(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return False
    return entry.get("stem") is None or is_stem(entry["stem"])


def _record_paths(layout: RunLayout, wanted: dict[str, str | None]) -> Iterable[Path]:
    """Return the paths of a run's records; if one micrograph has two, the valid one comes last."""
    stems = [stem for stem in wanted.values() if stem is not None]
    if wanted and len(stems) == len(wanted):
        return [path for path in map(layout.record, stems) if path.is_file()]
    # An older run.json does not name the stems. If a micrograph's stem changed, its older record is still there.
    # Hidden files are left out: a watcher is writing them, or was killed while it wrote.
    paths = [path for path in layout.records.rglob("*.json") if not path.name.startswith(".")]
    return sorted(sorted(paths), key=lambda path: path.stat().st_mtime_ns)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path)
    except ValueError as error:
        raise InputError(f"{path}: this should be JSON, but: {error}. Run pick again to replace it.") from error


def _check_run(run: dict[str, Any], path: Path) -> None:
    """Raise `InputError` if a value in `run.json` is impossible for a run."""
    threshold = run.get("threshold")
    if threshold is not None and not (is_number(threshold) and 0 <= threshold <= 1):
        raise InputError(
            f"{path}: the threshold should be a number from 0 to 1, but it is {threshold!r}. Run pick again to "
            "replace it."
        )
    if not isinstance(run.get("settings", {}), dict):
        raise InputError(f"{path}: the settings should be a table of names and values. Run pick again to replace it.")


def _read_failures(path: Path) -> list[dict[str, Any]]:
    """Return the failures, one JSON object a line; a line that a crash cut short is kept as an `error`."""
    if not path.is_file():
        return []
    failures: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines():
        try:
            failure = parse_json(line)
        except ValueError:
            failure = None
        shown = {"error": line.decode("utf-8", errors="backslashreplace")}
        failures.append(failure if is_failure(failure) else shown)
    return failures


def _tells_times(line: dict[str, Any]) -> bool:
    """Return whether a line of the log says how long a micrograph took. Other lines are left out."""
    timings = line.get("timings")
    return (
        isinstance(line.get("micrograph"), str)
        and is_number(line.get("seconds"))
        and isinstance(timings, dict)
        and all(map(is_number, timings.values()))
    )
