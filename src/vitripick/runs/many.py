"""Pick many micrographs into a run folder: a loop around one step in which one bad micrograph never stops the rest.

The run folder (docs/picking.md shows it):

    run.json                   settings, model, counts; written last
    micrographs/STEM.json      one record for each micrograph that is done
    failed/STEM.json           one for each that failed
    cbox/STEM.cbox             all its picks down to the floor confidence: the store everything else is made from
    star/, box/, csv/ …        the formats asked for
    junk/STEM.png              what the network takes for junk, where it says so
    quality.csv                a line for each micrograph: junk, confidence, what it is suspected of
    distributions/             confidences and sizes of all picks, as CSV and PNG
    failures.jsonl             one line for each micrograph that failed
    log/                       times; no result
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitripick.atomic import remove_leftovers, write_text_atomically
from vitripick.formats import MicrographFile, find_micrographs, output_stems
from vitripick.geometry import Boxes
from vitripick.models import Model
from vitripick.models.engines import available_cores
from vitripick.runs.distributions import write_distributions
from vitripick.runs.export import ExportError, RunEntry, check_formats, write_run_exports
from vitripick.runs.jobs import in_order
from vitripick.runs.record import Outcome, Record, read_stored, refuse_other_files, write_failures
from vitripick.runs.resources import resource_errors
from vitripick.runs.settings import PickSettings
from vitripick.runs.shards import Shard
from vitripick.runs.step import FolderPicker
from vitripick.runs.survey import Survey
from vitripick.runs.suspects import within_run, write_quality
from vitripick.runs.watch.lock import refuse_if_watched
from vitripick.version import VERSION

if TYPE_CHECKING:
    import torch


@dataclass
class RunSummary:
    """What a run did.

    Attributes
    ----------
    records
        One for each micrograph that is done, in the order of the input.
    failures
        `{"micrograph", "path", "error"}` for each that failed.
    n_skipped
        Of the records, those found done already.
    threshold
        Picks at or above this were exported.
    threshold_from
        Whose it is: `given`, the `model`'s own, or chosen by the `survey`.
    survey
        What a look at some micrographs found beforehand, where something was left open.
    model
        Name of the model.
    engine
        What ran the network, in words; empty where nothing was picked.
    jobs
        How many micrographs were worked on at once.
    seconds
        Of the whole run.
    """

    out: Path
    threshold: float
    model: str = ""
    threshold_from: str = "model"
    survey: Survey | None = None
    records: list[Record] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    n_skipped: int = 0
    engine: str = ""
    jobs: int = 1
    seconds: float = 0.0

    @property
    def n_picks(self) -> int:
        """Exported picks of all micrographs."""
        return sum(record.n_picks for record in self.records)

    def add(self, outcome: Outcome) -> None:
        """Count one more micrograph."""
        if outcome.record is not None:
            self.records.append(outcome.record)
            self.n_skipped += outcome.skipped
        elif outcome.failure is not None:
            failure = outcome.failure
            self.failures.append({key: failure[key] for key in ("micrograph", "path", "error")})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **self.stable_dict(),
            "n_skipped": self.n_skipped,
            "engine": self.engine,
            "jobs": self.jobs,
            "seconds": round(self.seconds, 3),
        }

    def stable_dict(self) -> dict[str, Any]:
        """What does not depend on whether the run was interrupted: for `run.json`."""
        return {
            "out": str(self.out),
            "threshold": self.threshold,
            "threshold_from": self.threshold_from,
            "survey": None if self.survey is None else self.survey.told(),
            "n_micrographs": len(self.records),
            "n_failed": len(self.failures),
            "n_picks": self.n_picks,
            "n_stored": sum(record.n_stored for record in self.records),
            "micrographs": [
                {
                    "name": r.name,
                    "stem": r.stem,
                    "n_picks": r.n_picks,
                    "n_stored": r.n_stored,
                    "quality": None if r.quality is None else r.quality.to_dict(),
                }
                for r in within_run(self.records)
            ],
            "failures": self.failures,
        }


def pick_many(
    inputs: Sequence[str | Path],
    out: str | Path,
    model: Model,
    settings: PickSettings | None = None,
    *,
    device: str | torch.device | list[str] = "cpu",
    jobs: int | None = 1,
    shard: Shard | None = None,
    on_done: Callable[[int, int, str], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    on_survey: Callable[[Survey], None] | None = None,
) -> RunSummary:
    """Pick every micrograph that `inputs` name into the folder `out`.

    A micrograph whose record and picks are there, made from the same file with the same model and settings, is not
    picked again; threshold and formats may differ, its files are then written anew from the stored picks.

    Parameters
    ----------
    inputs
        Files, globs, folders or RELION micrographs STARs.
    out
        The run folder.
    model
        From `open_model`, or from `load_model`.
    settings
        Defaults where None.
    device
        To run the network on; several share the micrographs.
    jobs
        Micrographs to work on at once; None for one on each core. Picks do not depend on it.
    shard
        Pick only this share of the micrographs, and leave the files that speak of the whole run to a later call
        without a shard.
    on_done
        Called with (done, total, name) after each micrograph, failed ones too.
    on_outcome
        Called with what became of each micrograph.
    on_survey
        Called with what was found beforehand of what the settings leave open: the diameter, the threshold.

    Raises
    ------
    InputError, UsageError
        Before anything is picked, if `inputs` name nothing, the settings cannot work for any micrograph, no diameter
        is given and none stands out, or picks of other micrographs in `out` would be overwritten.
    ResourceError
        If disk, memory or GPU run out; what is done stays.
    """
    started = time.perf_counter()
    out = Path(out)
    devices = device if isinstance(device, list) else [device]
    # Also checks the settings, before a folder is made.
    pickers = [FolderPicker(out, model, settings, device=one) for one in devices]
    picker = pickers[0]
    # Left out, or a run folder inside the input folder would offer its own overlays as micrographs next time.
    files = find_micrographs(inputs, leave_out=[out])
    check_formats(picker.settings.formats, [file.name for file in files])
    # Names of outputs follow from the whole list, so that every shard calls its files as one run would.
    stems = output_stems(files)
    mine = files if shard is None else shard.of(files)
    if len(pickers) == 1:  # several devices have one micrograph each in hand
        picker.jobs = min(available_cores() if jobs is None else jobs, max(1, len(mine)))
    with resource_errors(out):
        refuse_if_watched(out)
        refuse_other_files(mine, stems, picker.layout)
        # Before the folder is made: without a diameter there is nothing to put there.
        found = picker.survey(files)
        prepare_folder(out)
        for other in pickers[1:]:
            other.use(picker.settings, found)
        if found is not None and on_survey is not None:
            on_survey(found)
        summary = summary_of(picker)
        pick_each(pickers, mine, stems, summary, on_done=on_done, on_outcome=on_outcome)
        if shard is None:
            finish_run(picker, files, summary)
        summary.seconds = time.perf_counter() - started
        picker.log.write(run={"seconds": round(summary.seconds, 3), "n_skipped": summary.n_skipped})
    return summary


def summary_of(picker: FolderPicker) -> RunSummary:
    """The summary of a run, before its first micrograph."""
    return RunSummary(
        out=picker.layout.out,
        threshold=picker.threshold,
        model=picker.model.card.name,
        threshold_from=picker.threshold_from,
        survey=picker.surveyed,
    )


def prepare_folder(out: Path) -> None:
    """Make the run folder, and clear away what killed processes were writing there.

    Raises
    ------
    UsageError
        If a watcher is at work in it.
    """
    refuse_if_watched(out)
    out.mkdir(parents=True, exist_ok=True)
    remove_leftovers(out)


def pick_each(
    pickers: Sequence[FolderPicker],
    files: Sequence[MicrographFile],
    stems: dict[str, str],
    summary: RunSummary,
    *,
    on_done: Callable[[int, int, str], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> bool:
    """The loop: each file through one of `pickers` and into `summary`, as many at once as they have jobs.

    What was begun is finished when `stop` says so, or Ctrl-C; False if `stop` said so before the last one.
    """
    summary.jobs = sum(picker.jobs for picker in pickers)
    workers = [partial(_attempt, picker, stems) for picker in pickers for _ in range(picker.jobs)]
    outcomes = in_order(files, workers, stop=stop)
    with closing(outcomes), suppress(CancelledError):
        for done, outcome in enumerate(outcomes, start=1):
            summary.add(outcome)
            summary.engine = pickers[0].engine
            if on_outcome is not None:
                on_outcome(outcome)
            if on_done is not None:
                on_done(done, len(files), outcome.file.name)
        return True
    return False


def _attempt(picker: FolderPicker, stems: dict[str, str], file: MicrographFile) -> Outcome:
    return picker.attempt(file, stems[file.name])


def finish_run(
    picker: FolderPicker,
    files: Iterable[MicrographFile],
    summary: RunSummary,
    *,
    remembered: dict[str, tuple[Record, Boxes]] | None = None,
    distributions: bool = True,
) -> None:
    """Write what speaks of the whole run, anew from what is there: joined files, quality, failures, `run.json`.

    `remembered` is for `write_run_exports`. Without `distributions` those are left as they are: they need every stored
    pick, which is a minute's reading for 20,000 micrographs.

    Raises
    ------
    ExportError
        At the end, when all else is written, if some formats cannot hold what was picked.
    """
    layout, settings, model = picker.layout, picker.settings, picker.model
    by_name = {file.name: file for file in files}
    entries = [RunEntry(by_name[record.name], record) for record in summary.records]
    refused: ExportError | None = None
    try:
        write_run_exports(layout, entries, settings.formats, summary.threshold, remembered=remembered)
    except ExportError as error:
        refused = error
    if distributions:
        stored = (read_stored(layout, record) for record in summary.records)
        write_distributions(layout.out, stored, summary.threshold)
    write_quality(layout.quality, summary.records)
    write_failures(summary.failures, layout)
    run = {
        "vitripick": VERSION,
        "model": model.card.name,
        "model_sha256": model.sha256,
        "threshold": summary.threshold,
        "settings": settings.model_dump(),
        "engines": sorted({record.engine for record in summary.records}),
        **summary.stable_dict(),
    }
    write_text_atomically(layout.run, json.dumps(run, indent=1, ensure_ascii=False) + "\n")
    if refused is not None:
        raise refused
