"""Trace the filaments of many micrographs into a folder; a second call goes on where the first one stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from vitripick.atomic import write_text_atomically
from vitripick.errors import InputError, UsageError, VitripickError
from vitripick.formats import MicrographFile, find_micrographs, output_stems
from vitripick.formats.passed_by import PassedBy, passed_by_collected
from vitripick.models.model import LoadedModel
from vitripick.runs.filament_folder import FailedTrace, FilamentFolder
from vitripick.runs.filament_record import Stored
from vitripick.runs.filament_suspects import suspicion_lines
from vitripick.runs.jobs import in_order
from vitripick.runs.resources import resource_errors
from vitripick.runs.shards import Shard
from vitripick.settings.filaments import FilamentSettings
from vitripick.settings.pick import PickSettings
from vitripick.text import count

# What describes the whole folder.
SUMMARY = "filaments.json"


@dataclass
class FilamentSummary:
    """Holds what a run found.

    Attributes
    ----------
    out
        The folder.
    micrographs
        One dictionary for each micrograph: name, number of filaments, their length in pixels, segments, the longest
        one, the mean confidence by length. Those that earlier calls traced into this folder with the same settings are
        among them.
    failures
        Name and error of each micrograph that could not be read or used.
    notes
        What a user should know: faults of files that were tolerated, and what earlier calls left here.
    quality
        A line for each suspicion, with its number of micrographs.
    made_with
        Model, version, threshold and settings.
    passed_by
        Files of this call's inputs that were not used, and why.
    """

    out: Path
    micrographs: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    quality: list[str] = field(default_factory=list)
    made_with: dict[str, Any] = field(default_factory=dict)
    passed_by: list[PassedBy] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {**self.of_folder(), "passed_by": [one.to_dict() for one in self.passed_by]}

    def of_folder(self) -> dict[str, Any]:
        """Return what describes the folder, ready for JSON."""
        return {
            "out": str(self.out),
            "micrographs": self.micrographs,
            "failures": self.failures,
            "notes": self.notes,
            "quality": self.quality,
            "made_with": self.made_with,
        }

    def line(self) -> str:
        """Return one sentence for the user."""
        n = sum(one["filaments"] for one in self.micrographs)
        segments = sum(one["segments"] for one in self.micrographs)
        on = count("micrograph", len(self.micrographs))
        return f"{count('filament', n)}, {count('segment', segments)} on {on}: {self.out}"

    def lines(self) -> list[str]:
        """Return what people should read, line by line: failures, notes, suspicions, the sentence."""
        failed = [f"failed: {failure['error']}" for failure in self.failures]
        return [*failed, *(f"note: {note}" for note in self.notes), *self.quality, self.line()]


def trace_many(
    inputs: Sequence[str | Path],
    out: str | Path,
    model: LoadedModel,
    lines: FilamentSettings,
    settings: PickSettings | None = None,
    *,
    jobs: int = 1,
    shard: Shard | None = None,
    on_done: Callable[[int, int, str], None] | None = None,
    on_found: Callable[[dict[str, Any]], None] | None = None,
    on_width: Callable[[str], None] | None = None,
) -> FilamentSummary:
    """Trace the filaments of every micrograph that `inputs` name into the folder `out`.

    A micrograph is not traced again if its polylines come from the same file, model and settings; its files are
    written again. What earlier calls traced into the folder with the same model and settings stays in the joined files.

    Parameters
    ----------
    inputs
        Files, globs, folders or RELION micrographs STARs.
    out
        The folder.
    model
        From `load_filament_model`, or of `open_filament_model` on an engine.
    lines
        How to trace.
    settings
        Of the options of picking: threshold, pixel size, invert, formats, overlays, which micrographs.
    jobs
        Micrographs to work on at once. What is found does not depend on it.
    shard
        Trace only this share. A later call without a shard writes the files that describe the whole folder.
    on_done
        Called with (done, total, name) after each micrograph.
    on_found
        Called with the line of each micrograph in the summary, or with its failure.
    on_width
        Called with what was estimated, in words, if the width is not given.

    Raises
    ------
    InputError, UsageError
        If `inputs` name nothing, or the settings cannot work for any micrograph.
    ResourceError
        If disk or memory runs out; what is done stays.
    """
    settings = settings or PickSettings()
    folder = FilamentFolder(out, model, lines, settings)
    with passed_by_collected() as passed_by:
        files = find_micrographs(inputs, leave_out=[folder.out], include=settings.include)
    stems = output_stems(files)
    mine = files if shard is None else shard.of(files)
    width = folder.settle_width(files)
    if width is not None and on_width is not None:
        on_width(width)
    with resource_errors(folder.out):
        summary = trace_files(folder, mine, stems, jobs=jobs, whole=shard is None, on_done=on_done, on_found=on_found)
    summary.passed_by = passed_by
    return summary


def trace_files(
    folder: FilamentFolder,
    files: Sequence[MicrographFile],
    stems: dict[str, str],
    *,
    jobs: int = 1,
    whole: bool = True,
    stop: Callable[[], bool] | None = None,
    by: Callable[[], Iterator[tuple[MicrographFile, Stored | FailedTrace]]] | None = None,
    on_done: Callable[[int, int, str], None] | None = None,
    on_found: Callable[[dict[str, Any]], None] | None = None,
) -> FilamentSummary:
    """Trace these micrographs into a folder.

    Parameters
    ----------
    folder
        The folder.
    files, stems
        The micrographs, and what the outputs of each one are called.
    jobs, on_done, on_found
        As in `trace_many`.
    whole
        Write the files that describe the whole folder, too.
    stop
        If it returns true, no other micrograph is begun, and `CancelledError` is raised.
    by
        Traces them elsewhere, and yields what became of each one, in any order; `jobs` and `stop` do nothing then.

    Raises
    ------
    InputError, UsageError
        If no micrograph could be traced.
    ResourceError
        If disk or memory runs out; what is done stays.
    """
    summary = FilamentSummary(folder.out)
    found: dict[str, Stored] = {}
    errors: list[VitripickError] = []
    worker = partial(_attempt, folder, stems)
    results = in_order(files, [worker] * max(1, min(jobs, len(files))), stop=stop) if by is None else ()
    for done, (file, result) in enumerate(zip(files, results, strict=True) if by is None else by(), start=1):
        if isinstance(result, FailedTrace):
            errors.append(result.error)
            summary.failures.append({"micrograph": file.name, "error": str(result.error)})
            row: dict[str, Any] = {"status": "failed", **summary.failures[-1]}
        else:
            found[stems[file.name]] = result
            row = {"status": "skipped" if result.skipped else "done", **folder.row(result)}
            summary.notes += result.notes
        if on_found is not None:
            on_found(row)
        if on_done is not None:
            on_done(done, len(files), file.name)
    if files and not found:
        _raise_all(errors)
    found = {stem: found[stem] for file in files if (stem := stems[file.name]) in found}
    if whole:
        join(folder, summary, found)
    else:
        _fill(folder, summary, found)
    return summary


def join(folder: FilamentFolder, summary: FilamentSummary, found: dict[str, Stored]) -> None:
    """Add what earlier calls traced to a summary, and write the files that describe the whole folder."""
    kept, other = folder.earlier(set(found))
    found = {**found, **kept}
    _fill(folder, summary, found)
    if other:
        left_out = f"{count('micrograph', other)} of earlier calls, traced with other settings"
        summary.notes.append(f"the joined files leave out {left_out}")
    folder.write_whole(found)
    text = json.dumps(summary.of_folder(), indent=1, ensure_ascii=False) + "\n"
    write_text_atomically(folder.out / SUMMARY, text)


def _fill(folder: FilamentFolder, summary: FilamentSummary, found: dict[str, Stored]) -> None:
    summary.micrographs = [folder.row(one) for one in found.values()]
    summary.quality, summary.made_with = suspicion_lines(list(found.values())), folder.facts()
    summary.notes += [f"{one.filaments.micrograph}: {warning}" for one in found.values() for warning in one.warnings]


def _attempt(folder: FilamentFolder, stems: dict[str, str], file: MicrographFile) -> Stored | FailedTrace:
    return folder.attempt(file, stems[file.name])


def _raise_all(errors: list[VitripickError]) -> NoReturn:
    """Raise the errors of all micrographs as one error; if all are usage errors, as a usage error."""
    if all(isinstance(error, UsageError) for error in errors):
        raise errors[0]
    reasons = [str(error).rstrip(".") for error in errors[:3]]
    more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
    raise InputError(f"no micrograph could be traced: {'; '.join(reasons)}{more}.")
