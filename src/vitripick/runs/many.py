"""Pick many micrographs into a run folder, in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vitripick.encoding import check_output_name
from vitripick.formats import find_micrographs
from vitripick.formats.passed_by import passed_by_collected
from vitripick.models import Model
from vitripick.runs.record import Outcome
from vitripick.runs.run import Listener, Machine, Run
from vitripick.runs.shards import Shard
from vitripick.runs.summary import RunSummary
from vitripick.runs.survey import Survey
from vitripick.settings.pick import PickSettings

if TYPE_CHECKING:
    import torch


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
    on_stage: Callable[[str], None] | None = None,
) -> RunSummary:
    """Pick every micrograph that `inputs` name into the folder `out`.

    A micrograph is not picked again if its record and picks come from the same file, model and settings. If only
    threshold or formats differ, its files are written again from the stored picks.

    Parameters
    ----------
    inputs
        Files, globs, folders or RELION micrographs STARs.
    out
        The run folder.
    model
        From `open_model`, or from `load_model`.
    settings
        How to pick; defaults if None.
    device
        Device that runs the network; several devices share the micrographs.
    jobs
        Micrographs to work on at once; None for one on each core. Picks do not depend on it.
    shard
        Pick only this share of the micrographs. A later call without a shard writes the files that describe the whole
        run.
    on_done
        Called with (done, total, name) after each micrograph, failed ones too.
    on_outcome
        Called with what became of each micrograph.
    on_survey
        Called with what the survey found before picking, if the settings leave it open: the diameter, the threshold.
    on_stage
        Called with what the run does next, in words.

    Raises
    ------
    InputError, UsageError
        Before anything is picked: if `inputs` name nothing, or the settings cannot work for any micrograph. Also if no
        diameter is given and none stands out, or picks of other micrographs in `out` would be overwritten.
    ResourceError
        If disk, memory or GPU memory runs out; what is done stays.
    """
    check_output_name(out)
    # A run folder inside the input folder would offer its own overlays as micrographs, so it is left out.
    settings = settings or PickSettings()
    with passed_by_collected() as passed_by:
        files = find_micrographs(inputs, leave_out=[out], include=settings.include)
    machine = Machine([str(one) for one in (device if isinstance(device, list) else [device])], jobs)
    listener = Listener(on_survey, on_outcome, on_done, on_stage)
    with Run(files, out, model, settings, machine=machine, share=shard, listener=listener) as run:
        run.survey()
        run.pick()
        summary = run.finish()
    summary.passed_by = passed_by
    return summary
