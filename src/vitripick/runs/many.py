"""Pick many micrographs into a run folder, in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vitripick.formats import find_micrographs
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
    # Left out, or a run folder inside the input folder would offer its own overlays as micrographs next time.
    files = find_micrographs(inputs, leave_out=[out])
    machine = Machine([str(one) for one in (device if isinstance(device, list) else [device])], jobs)
    listener = Listener(on_survey, on_outcome, on_done)
    with Run(files, out, model, settings, machine=machine, share=shard, listener=listener) as run:
        run.survey()
        run.pick()
        return run.finish()
