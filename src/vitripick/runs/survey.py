"""Survey some micrographs of a run before it starts, to find the particle's diameter and a threshold.

A given diameter is checked, too, because users often give the longest dimension or a box size. If the network
clearly sees particles of another size, that size is used and printed, unless `keep_diameter` is set.

What was found lies in `survey.json` in the run folder. It is kept while the model and the settings that it depends on
stay the same. So every share of a run and every later run use the same values.

This is one file because each part of a survey depends on the parts before it, and on how they are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from vitripick.atomic import write_text_atomically, write_text_once
from vitripick.cores import one_thread_of_opencv
from vitripick.formats import MicrographFile, find_micrographs
from vitripick.formats.micrographs.on_disk import open_micrograph
from vitripick.geometry import Micrograph
from vitripick.json_toml import read_json_object
from vitripick.models import LoadedModel, Model, ModelCard
from vitripick.models.engines import available_cores, load_on_engine
from vitripick.picking.diameter import (
    DiameterEstimate,
)
from vitripick.picking.one import Look, check_settings, look_at_all
from vitripick.picking.threshold import ThresholdChoice
from vitripick.run_layout import RunLayout
from vitripick.runs.record import digest
from vitripick.runs.sample import N_SURVEYED, Looker, Opener, Sample
from vitripick.settings import Settings
from vitripick.settings.pick import PickSettings
from vitripick.text import listed
from vitripick.version import VERSION


class Survey(Settings):
    """Says what a survey found, as `survey.json` holds it.

    Attributes
    ----------
    vitripick, model, model_sha256
        The version and the model that found it.
    diameter
        Diameter that was found; None if the user gave it, or the model needs none.
    seen
        Diameter that the network sees, if the user gave one.
    threshold
        Threshold that was chosen; None if the user gave it, or the model has one for its own particle.
    made_from
        Hashes of what each of the three depends on, by name.
    kept
        Names of the parts that an earlier call found; it is not part of the file.
    """

    vitripick: str
    model: str
    model_sha256: str
    diameter: DiameterEstimate | None = None
    seen: DiameterEstimate | None = None
    threshold: ThresholdChoice | None = None
    made_from: dict[str, str] = Field(default_factory=dict)
    kept: tuple[str, ...] = Field(default=(), exclude=True)

    def __eq__(self, other: object) -> bool:
        """Return whether both found the same, no matter in which call."""
        return isinstance(other, Survey) and self.to_text() == other.to_text()

    def apply(self, settings: PickSettings) -> PickSettings:
        """Return `settings` with what they leave open filled in, and with a diameter that fits."""
        changes: dict[str, Any] = {}
        if self.diameter is not None and settings.diameter_px is None and settings.diameter_angstrom is None:
            changes[f"diameter_{self.diameter.unit}"] = self.diameter.diameter
        if self.seen is not None and self.seen.contradicts:
            changes |= {"diameter_angstrom": None, "diameter_px": None}
            changes[f"diameter_{self.seen.unit}"] = self.seen.diameter
        found = self.diameter or self.seen
        if found is not None and found.contrast == "white" and settings.invert is None:
            changes["invert"] = True
        if self.threshold is not None and settings.threshold is None:
            # The aim is fulfilled by the chosen threshold, so it is dropped.
            changes |= {"threshold": self.threshold.threshold, "aim": "balanced"}
        return settings.model_copy(update=changes)

    def with_part(self, name: str, part: DiameterEstimate | ThresholdChoice, made_from: str) -> Survey:
        """Return a copy that has this part under this name."""
        return self.model_copy(update={name: part, "made_from": {**self.made_from, name: made_from}})

    @property
    def complete(self) -> bool:
        """Return whether micrographs could be looked at for everything in it."""
        return self.threshold is None or bool(self.threshold.micrographs)

    @property
    def looked_at(self) -> set[str]:
        """Return the names of the micrographs that it was made on."""
        parts = (self.diameter, self.seen, self.threshold)
        return {name for part in parts if part is not None for name in _looked_at(part)}

    def to_text(self) -> str:
        """Return the text of `survey.json`."""
        return self.model_dump_json(indent=1) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Return what was found, ready for JSON and the summary of a run, without model and hashes."""
        return self.model_dump(mode="json", include={"diameter", "seen", "threshold"})

    def summary_lines(self) -> list[str]:
        """Return lines for the user: what was found, how certain it is, and what follows."""
        lines: list[str] = []
        said: set[str] = set()
        for name in ("diameter", "seen", "threshold"):
            part: DiameterEstimate | ThresholdChoice | None = getattr(self, name)
            if part is None:
                continue
            looked_at = _looked_at(part)
            earlier = "in an earlier call" if name in self.kept else ""
            # Where both come from the same micrographs, these are named once.
            if earlier and set(looked_at) != said:
                earlier += f", on {listed(looked_at, most=3)}"
            said = set(looked_at)
            lines += part.summary_lines(earlier=earlier)
        return lines


def _looked_at(part: DiameterEstimate | ThresholdChoice) -> list[str]:
    return [one if isinstance(one, str) else one.micrograph for one in part.micrographs]


def survey_micrographs(
    inputs: Sequence[str | Path],
    model: Model,
    settings: PickSettings | None = None,
    *,
    device: str = "cpu",
) -> Survey:
    """Look at up to five micrographs, and return the particle's diameter and a suitable threshold.

    Parameters
    ----------
    inputs
        Files, globs, folders or RELION micrographs STARs. Up to five micrographs, spread over all of them, are used.
    model
        From `open_model`, or from `load_model`.
    settings
        How to pick. A given threshold is not looked for. A given diameter is compared with what the network sees,
        unless `keep_diameter` is set.
    device
        Device that runs the network.

    Returns
    -------
    Survey
        `survey.apply(settings)` gives the settings to pick with. The parts are `survey.diameter`, `survey.seen` and
        `survey.threshold`; a part that was not looked for is None. For a model that was trained on one particle all
        are None, because it knows its diameter and threshold. `survey.diameter.diameter` is in Å, or in pixels if a
        pixel size is unknown; `survey.diameter.unit` says which.

    Raises
    ------
    UsageError
        If no diameter stands out.
    InputError
        If there are no micrographs, or none can be read.
    """
    settings = settings or PickSettings()
    check_settings(model.card, settings)
    jobs = min(available_cores(), N_SURVEYED)
    if jobs > 1:
        one_thread_of_opencv()

    def ready() -> LoadedModel:
        return load_on_engine(model, engine=settings.engine, precision=settings.precision, device=device, jobs=jobs)

    def opened(file: MicrographFile) -> Micrograph:
        pixel_size = file.pixel_size if settings.pixel_size is None else settings.pixel_size
        return open_micrograph(file.path, name=file.name, pixel_size=pixel_size)

    files = find_micrographs(inputs, include=settings.include)
    if not open_questions(model.card, settings):
        return _nothing_yet(model)
    picks_with = ready()

    def look(file: MicrographFile, settings: PickSettings) -> Look:
        return look_at_all(opened(file), picks_with, settings)

    found = survey_run(files, model, settings, for_sweep=ready, opened=opened, look=look, jobs=jobs)
    return _nothing_yet(model) if found is None else found


def survey_run(
    files: Sequence[MicrographFile],
    model: Model,
    settings: PickSettings,
    *,
    for_sweep: Callable[[], LoadedModel],
    opened: Opener,
    look: Looker,
    jobs: int = 1,
    layout: RunLayout | None = None,
    belongs: Callable[[Survey], bool] = lambda survey: True,
) -> Survey | None:
    """Find what a run leaves open, from its run folder or from some of its micrographs.

    Parameters
    ----------
    files
        All micrographs of the run, as `find_micrographs` lists them. The list decides which ones are looked at.
    model, settings
        As in `survey_micrographs`.
    for_sweep
        Function that returns the model ready to run, for the search for a diameter; only called if micrographs must
        be looked at. An engine compiles for a limited number of image sizes, and that search, which needs many, would
        use up those of the model that picks.
    opened
        Function that opens a micrograph.
    look
        Function that looks at a whole micrograph, with settings whose diameter is known.
    jobs
        Micrographs to look at at once.
    layout
        The layout of the run folder, for `survey.json`; None to keep nothing.
    belongs
        Says whether a survey that lies in the run folder was made for these micrographs. One of another sample is not
        used, and the new one takes its place.

    Returns
    -------
    Survey or None
        The same as of `survey_micrographs`, with the same errors.
    """
    wants = open_questions(model.card, settings)
    if not wants:
        return None
    there = None if layout is None else read_survey(layout.survey)
    of_others = there is not None and not belongs(there)
    survey = None if layout is None or of_others else kept_survey(layout, model, settings)
    if survey is None:
        survey = _nothing_yet(model)
    sample = Sample(files, for_sweep, opened, look, jobs)
    missing = [name for name in wants if getattr(survey, name) is None]
    for name in missing:
        resolved = survey.apply(settings)
        found = sample.threshold(resolved, model.card) if name == "threshold" else sample.diameter(settings)
        survey = survey.with_part(name, found, _made_from(name, model, resolved))
    if not missing or not survey.complete or layout is None:
        return survey
    if of_others:
        write_text_atomically(layout.survey, survey.to_text())
        return survey
    return _keep(survey, layout.survey)


def _nothing_yet(model: Model) -> Survey:
    return Survey(vitripick=VERSION, model=model.card.name, model_sha256=model.sha256)


def kept_survey(layout: RunLayout, model: Model, settings: PickSettings) -> Survey | None:
    """Return what an earlier survey of a run folder found, if it is needed and still holds; None if nothing is."""
    kept = read_survey(layout.survey)
    if kept is None:
        return None
    survey = Survey(vitripick=kept.vitripick, model=kept.model, model_sha256=kept.model_sha256)
    for name in open_questions(model.card, settings):
        made_from = _made_from(name, model, survey.apply(settings))
        if kept.made_from.get(name) == made_from:
            survey = survey.with_part(name, getattr(kept, name), made_from)
    return survey.model_copy(update={"kept": tuple(survey.made_from)}) if survey.made_from else None


def open_questions(card: ModelCard, settings: PickSettings) -> tuple[str, ...]:
    """Return what a survey must find, in this order: `diameter` or `seen`, `threshold`."""
    # A model that was trained on one particle knows its diameter, and a threshold that is balanced.
    if card.diameter_px is not None or card.diameter_angstrom is not None:
        return ("threshold",) if settings.aim != "balanced" else ()
    given = settings.diameter_px is not None or settings.diameter_angstrom is not None
    wants = []
    if card.preparation.scale_by == "particle" and not (given and settings.keep_diameter):
        wants.append("seen" if given else "diameter")
    if settings.threshold is None:
        wants.append("threshold")
    return tuple(wants)


def read_survey(path: Path) -> Survey | None:
    """Return what a `survey.json` holds; None if there is none, or this version cannot read it."""
    try:
        survey = Survey.model_validate(read_json_object(path))
    except (FileNotFoundError, ValueError, ValidationError):
        return None
    return survey if _is_possible(survey) else None


def _is_possible(survey: Survey) -> bool:
    """Return whether the numbers of a survey can be those of a particle; a damaged file may hold any."""
    parts = {"diameter": survey.diameter, "seen": survey.seen, "threshold": survey.threshold}
    return (
        all(estimate is None or estimate.diameter > 0 for estimate in (survey.diameter, survey.seen))
        and (survey.threshold is None or 0 <= survey.threshold.threshold <= 1)
        and all(parts.get(name) is not None for name in survey.made_from)
    )


def _made_from(name: str, model: Model, settings: PickSettings) -> str:
    """Return a hash of what this part depends on; for the threshold, the diameter is already filled in."""
    # Engines agree to within their tolerances, so another engine is not a reason to choose again.
    no_reason = frozenset({"engine", "precision"})
    on_diameter = {"pixel_size", "diameter_px", "diameter_angstrom", "invert"}
    if name == "threshold":
        decides = {**settings.deciding(leave_out=no_reason), "aim": settings.aim}
    else:
        decides = settings.model_dump(include=on_diameter)
    return digest([name, model.sha256, decides, VERSION])


def _keep(survey: Survey, path: Path) -> Survey:
    """Write what was found and return it; if another share was faster, return what that one found."""
    if write_text_once(path, survey.to_text()):
        return survey
    there = read_survey(path)
    if there is None:
        others = {}
    elif all(there.made_from.get(name) == made_from for name, made_from in survey.made_from.items()):
        return survey.model_copy(update={name: getattr(there, name) for name in survey.made_from})
    else:
        # A later run may need what this one does not, so those parts stay in the file.
        others = {name: made_from for name, made_from in there.made_from.items() if name not in survey.made_from}
    merged = survey
    for name, made_from in others.items():
        merged = merged.with_part(name, getattr(there, name), made_from)
    write_text_atomically(path, merged.to_text())
    return survey
