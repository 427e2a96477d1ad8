"""Pick as an External job of a RELION project, as RELION's manual describes such jobs.

RELION calls the program in the project's folder, with unquoted arguments, and reads only files. These are the
coordinate files in the job's folder, `RELION_OUTPUT_NODES.star`, and one empty file that says how the job ended. The
pipeliner and the Extract job of RELION 3.1.3 were tried (`tests/live/relion`); those of RELION 4 and 5 were not.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError

from vitripick.atomic import check_folder, write_text_atomically
from vitripick.errors import InputError, UsageError, parameters_spelled
from vitripick.formats import find_micrographs
from vitripick.formats.star.dialect import StarBlock, format_star, table_of
from vitripick.models import DEFAULT_MODEL, device_name, open_model
from vitripick.models.filament_card import DEFAULT_FILAMENT_MODEL
from vitripick.programs.relion_filaments import trace_as_job
from vitripick.programs.relion_names import (
    COORDS_SUFFIX,
    STORE_FOLDER,
    coordinates_by_suffix,
    major_version,
    relion_stems,
    with_one_stack,
)
from vitripick.run_layout import STAR, RunLayout
from vitripick.runs.filaments import FilamentSummary
from vitripick.runs.run import Listener, Machine, Run
from vitripick.runs.summary import RunSummary
from vitripick.settings import Settings, option_names, plain_type
from vitripick.settings.filaments import FilamentSettings, check_filament_options
from vitripick.settings.pick import PickSettings
from vitripick.settings.wording import first_problem
from vitripick.text import count

JobSummary: TypeAlias = RunSummary | FilamentSummary
S = TypeVar("S", bound=Settings)

SUCCESS, FAILURE, ABORTED = (f"RELION_JOB_EXIT_{end}" for end in ("SUCCESS", "FAILURE", "ABORTED"))
ABORT_NOW = "RELION_JOB_ABORT_NOW"
NODES = "RELION_OUTPUT_NODES.star"
# The type of coordinates: a word for RELION 4 and 5, a number for RELION 3.1, and each reads only its own.
_NODE_TYPE, _NODE_NUMBER = "MicrographCoordsGroup.star.relion.autopick", "2"

# A user may give the options of picking as labels in the GUI, and `model` and `device`, too. Format and micrographs are
# not labels, because the format is always RELION's, and its STAR lists the micrographs.
_LABELS = {label: name for name, label in option_names(PickSettings).items() if name not in ("formats", "include")}
_OF_FILAMENTS = {label: name for name, label in option_names(FilamentSettings).items()}
_SWITCHES = {
    label
    for labels, settings in ((_LABELS, PickSettings), (_OF_FILAMENTS, FilamentSettings))
    for label, name in labels.items()
    if plain_type(settings.model_fields[name])[0] is bool
}
# Messages name each parameter of the library by these labels; RELION itself gives the threads and the job's folder.
_NAMES = {**option_names(PickSettings), **option_names(FilamentSettings), "jobs": "j", "out": "o"}
_OTHER_INPUTS = ("in_movies", "in_coords", "in_parts", "in_3dref", "in_mask")
_LINE_SECONDS = 60.0


@dataclass(frozen=True)
class RelionJob:
    """Holds what the command line of an External job says.

    Attributes
    ----------
    folder
        The job's folder, relative to the project, such as `External/job012`.
    micrographs
        The micrographs STAR.
    threads
        Threads of the network on a CPU.
    model, device
        As in `pick`.
    settings, lines
        The settings that the other labels give: of picking, and of tracing filaments.
    """

    folder: Path
    micrographs: Path
    threads: int = 1
    model: str = DEFAULT_MODEL
    device: str = "auto"
    settings: PickSettings = field(default_factory=PickSettings)
    lines: FilamentSettings = field(default_factory=FilamentSettings)


def run_relion_job(arguments: Sequence[str], *, tell: Callable[[str], None] = lambda line: None) -> JobSummary | None:
    """Run an External job from its command line, and leave the file that says how it ended.

    Parameters
    ----------
    arguments
        The arguments as RELION gives them, without the program's name.
    tell
        Called with lines for the job's `run.out`.

    Returns
    -------
    RunSummary, FilamentSummary or None
        None if the job was asked to abort.

    Raises
    ------
    VitripickError
        If the job fails; if its folder is known, the file that marks the failure is written first.
    """
    folder = job_folder(arguments)
    with parameters_spelled(_as_label):
        check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for marker in (SUCCESS, FAILURE, ABORTED, ABORT_NOW):
        (folder / marker).unlink(missing_ok=True)
    end = FAILURE
    try:
        with parameters_spelled(_as_label):
            summary = _pick(parse_relion_arguments(arguments), tell)
        if summary is None:
            end = ABORTED
            tell("aborted; Continue goes on from here")
        elif summary.records if isinstance(summary, RunSummary) else summary.micrographs:
            end = SUCCESS
        return summary
    except KeyboardInterrupt:
        end = ABORTED
        raise
    finally:
        (folder / ABORT_NOW).unlink(missing_ok=True)
        (folder / end).touch()


def job_folder(arguments: Sequence[str]) -> Path:
    """Return the job's folder, which is the value of `--o`.

    Raises
    ------
    UsageError
        If `--o` is missing.
    """
    given = dict(_labels_and_values(arguments, strict=False))
    if not given.get("o"):
        raise UsageError("RELION gives an External job its folder as --o External/job001/; run this from its GUI.")
    folder = os.path.normpath(given["o"])
    # RELION's STAR files name everything from the project's folder.
    inside = os.path.isabs(folder) and not os.path.relpath(folder).startswith("..")
    return Path(os.path.relpath(folder) if inside else folder)


def parse_relion_arguments(arguments: Sequence[str]) -> RelionJob:
    """Return the job that RELION's and the user's arguments describe.

    Raises
    ------
    UsageError
        If a label is unknown, a value is impossible, or an input is not micrographs. It names all unknown labels.
    """
    given = dict(_labels_and_values(arguments, strict=True))
    folder = job_folder(arguments)
    for name in _OTHER_INPUTS:
        if given.pop(name, ""):
            raise UsageError(
                f"--{name}: this job picks micrographs; give a micrographs STAR, and leave that field empty."
            )
    star = given.pop("in_mics", "")
    if not star:
        raise UsageError("--in_mics is missing: choose a micrographs STAR under Input, such as micrographs_ctf.star.")
    if not star.endswith(".star"):
        raise UsageError(f"--in_mics {star}: this should be a micrographs STAR.")
    threads = given.pop("j", "1")
    if not threads.isdecimal() or int(threads) < 1:
        raise UsageError(f"--j {threads}: the number of threads should be a whole number above zero.")
    given.pop("o")
    given.pop("pipeline_control", None)
    unknown = sorted(set(given) - {*_LABELS, *_OF_FILAMENTS, "model", "device"})
    if unknown:
        raise UsageError(
            f"unknown label{'s' if len(unknown) > 1 else ''} {', '.join('--' + name for name in unknown)}; the labels "
            f"are {', '.join(known_labels())}."
        )
    # A label with an empty value in the GUI counts as not given, unless it is a switch.
    known = {name: value for name, value in given.items() if value or name in _SWITCHES}
    settings = _settings(PickSettings, _LABELS, known, formats=("star",))
    lines = _settings(FilamentSettings, _OF_FILAMENTS, known)
    check_filament_options(lines, settings)
    return RelionJob(
        folder=folder,
        micrographs=Path(star),
        threads=int(threads),
        model=known.get("model") or (DEFAULT_FILAMENT_MODEL if lines.filaments else DEFAULT_MODEL),
        device=known.get("device") or "auto",
        settings=settings,
        lines=lines,
    )


def _settings(settings: type[S], labels: dict[str, str], known: dict[str, str], **fixed: Any) -> S:
    """Return the settings that the known labels give; an impossible value is an error that names its label."""
    fields: dict[str, Any] = {labels[name]: _value(name, known[name]) for name in labels if name in known}
    try:
        return settings(**fixed, **fields)
    except ValidationError as error:
        name, _, reason = first_problem(error, settings)
        label = next(label for label, target in labels.items() if target == name)
        raise UsageError(f"--{label} {known[label]}: {reason}{'' if reason.endswith('?') else '.'}") from error


def _pick(job: RelionJob, say: Callable[[str], None]) -> JobSummary | None:
    layout = RunLayout(job.folder / STORE_FOLDER, star_folder=job.folder)
    files = find_micrographs([job.micrographs])
    for name in (str(job.folder), *(file.name for file in files)):
        if re.search(r"\s", name):
            raise InputError(
                f"{name!r}: this name has a blank; RELION separates its tables and commands by blanks and cannot "
                "read it. Rename the file or folder and import it again."
            )
    stems, is_version_3 = relion_stems(files), major_version(".") == 3
    if is_version_3:
        _refuse_what_version_3_cannot_find(stems, job.micrographs)
    for twins in with_one_stack(stems)[:1]:
        say(
            f"note: {twins[0]} and {twins[1]} share their path after JobType/jobNNN/, so Extract would write their "
            "particles into one stack, where one overwrites the other; extract the micrographs of each job apart"
        )
    line_at = time.monotonic()

    def on_done(done: int, total: int, name: str) -> None:
        nonlocal line_at
        if time.monotonic() - line_at >= _LINE_SECONDS:
            line_at = time.monotonic()
            say(f"{done} of {total} micrographs" + ("" if job.lines.filaments else f", {run.n_picks} picks"))

    def write_outputs() -> None:
        suffix = job.folder / COORDS_SUFFIX
        write_text_atomically(suffix, f"{job.micrographs}\n")
        _write_nodes(job.folder, suffix if is_version_3 else layout.autopick_star)

    if job.lines.filaments:
        say(f"tracing filaments on {count('micrograph', len(files))} of {job.micrographs}")
        traced = trace_as_job(
            layout,
            files,
            stems,
            job.lines,
            job.settings,
            model=job.model,
            device=device_name(job.device),
            threads=job.threads,
            stop=(job.folder / ABORT_NOW).exists,
            on_done=on_done,
            say=say,
        )
        if traced is not None:
            write_outputs()
            for line in traced.lines():
                say(line)
        return traced
    run = Run(
        files,
        layout,
        open_model(job.model),
        job.settings,
        machine=Machine([device_name(job.device)], jobs=job.threads, threads=job.threads),
        stems=stems,
        listener=Listener(on_done=on_done),
    )
    with run:
        found = run.survey()
        for line in [] if found is None else found.summary_lines():
            say(line)
        say(f"picking {count('micrograph', len(files))} of {job.micrographs}")
        if not run.pick(stop=(job.folder / ABORT_NOW).exists):
            return None
        summary = run.finish()
        write_outputs()
    for failure in summary.failures:
        say(f"failed: {failure['error']}")
    if summary.failures:
        say(f"{len(summary.failures)} of {count('micrograph', len(files))} failed")
    for line in summary.lines(out=job.folder, again=""):
        say(line)
    return summary


def _refuse_what_version_3_cannot_find(stems: dict[str, str], star: Path) -> None:
    """Raise `InputError` if RELION 3.1, which is given no table of coordinate files, would look elsewhere for some."""
    lost = [name for name, stem in stems.items() if stem + STAR.ending != coordinates_by_suffix(name)]
    if lost:
        raise InputError(
            f"{star}: RELION 3.1 finds coordinates by the micrograph's path after JobType/jobNNN/, and {len(lost)} of "
            f"{len(stems)} micrographs share theirs with another or lie outside the project, for example {lost[0]}. "
            "Pick the micrographs of each job in a job of its own, or use RELION 4 or later."
        )


def _write_nodes(folder: Path, output: Path) -> None:
    """Write down which file of the job is its output, for the pipeline of any version of RELION."""
    nodes = {
        "rlnPipeLineNodeName": [str(output)],
        "rlnPipeLineNodeTypeLabel": [_NODE_TYPE],
        "rlnPipeLineNodeType": [_NODE_NUMBER],
    }
    write_text_atomically(folder / NODES, format_star([StarBlock("output_nodes", table=table_of(nodes))]))


def known_labels() -> list[str]:
    """Return the labels that a user may give in RELION's GUI."""
    return sorted([*_LABELS, *_OF_FILAMENTS, "model", "device"])


def _labels_and_values(arguments: Sequence[str], *, strict: bool) -> list[tuple[str, str]]:
    """Return (label, value) of each `--label [value]`; a label without a value has the value ""."""
    pairs: list[tuple[str, str]] = []
    for argument in arguments:
        if argument.startswith("--"):
            pairs.append((argument[2:].replace("-", "_"), ""))
        elif pairs and not pairs[-1][1]:
            pairs[-1] = (pairs[-1][0], argument)
        elif strict:
            before = f" after --{pairs[-1][0]} {pairs[-1][1]}" if pairs else ""
            raise UsageError(
                f"{argument!r}{before}: one value too many. RELION passes values unquoted, so a blank in a name or "
                "path cuts it in two; use names without blanks."
            )
    return pairs


def _value(label: str, text: str) -> str | bool:
    if label not in _SWITCHES:
        return text
    # A field that is left empty in the GUI becomes a label without a value.
    if text.lower() in ("", "yes", "true", "1"):
        return True
    if text.lower() in ("no", "false", "0"):
        return False
    raise UsageError(f"--{label} {text}: this should be Yes or No.")


def _as_label(parameter: str) -> str:
    """Return the label that stands for a parameter of the library, for messages."""
    return "--" + _NAMES.get(parameter, parameter)
