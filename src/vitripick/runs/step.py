"""Pick one micrograph into the run folder, as `pick`, `watch`, shards, cluster workers and RELION jobs all do."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitripick.cores import one_thread_of_opencv
from vitripick.errors import MicrographError, ResourceError, UsageError, VitripickError
from vitripick.formats import MicrographFile, output_stems
from vitripick.formats.micrographs.on_disk import open_micrograph
from vitripick.formats.star.dialect import quote
from vitripick.geometry import Micrograph
from vitripick.images import WHOLE
from vitripick.models import Model
from vitripick.models.engines import EngineModel, load_on_engine
from vitripick.models.run import FLOOR_CONFIDENCE, expect
from vitripick.picking.junk import check_junk_masks
from vitripick.picking.one import Look, check_settings, look_at_all, resolve_diameter_px
from vitripick.run_layout import RunLayout
from vitripick.runs.export import check_formats
from vitripick.runs.exporter import Exporter
from vitripick.runs.log import RunLog
from vitripick.runs.profile import cached_share
from vitripick.runs.record import (
    Outcome,
    Record,
    as_named,
    digest,
    optics_of,
    own_record,
    path_from,
    read_failure,
    read_record,
    write_failure,
)
from vitripick.runs.survey import Survey, kept_survey, open_questions, survey_run
from vitripick.settings.pick import PickSettings
from vitripick.text import printable_name
from vitripick.timing import stage, timed
from vitripick.version import VERSION

if TYPE_CHECKING:
    import torch


class ChangedFileError(MicrographError):
    """Says that a micrograph changed while it was read, so it is not complete yet."""


@dataclass(frozen=True)
class _Ahead:
    """Holds what the survey saw on a micrograph, from which file and settings, and the seconds that it took."""

    look: Look
    made_from: dict[str, Any] | None
    timings: dict[str, float]
    seconds: float


class FolderPicker:
    """Picks one micrograph after the other into a run folder, with a model that it loads once.

    Parameters
    ----------
    out
        The run folder, or its layout if the STAR files lie elsewhere.
    model
        From `open_model`, or from `load_model`; it is put on its engine once, for the first micrograph.
    settings
        How to pick; defaults if None.
    device
        Device that runs the network.
    jobs
        Number of threads that call `attempt` at once.
    threads
        Threads of the network, for all jobs together; one for each core by default.

    Examples
    --------
    A facility's own loop, with the model loaded once::

        picker = FolderPicker("picks", open_model("general"), PickSettings(diameter_angstrom=130))
        for path in arriving():
            outcome = picker.attempt_path(path)
    """

    def __init__(
        self,
        out: str | Path | RunLayout,
        model: Model,
        settings: PickSettings | None = None,
        *,
        device: str | torch.device = "cpu",
        jobs: int = 1,
        threads: int | None = None,
    ) -> None:
        self.layout = out if isinstance(out, RunLayout) else RunLayout(Path(out))
        self.model, self._asked = model, settings or PickSettings()
        check_junk_masks(model.card, self._asked.junk_masks)
        self.use(self._asked)
        self.device, self.jobs, self._threads = str(device), jobs, threads
        self._loaded: EngineModel | None = None
        self._ahead: dict[str, _Ahead] = {}
        self._loading, self.log = threading.Lock(), RunLog(self.layout)

    def use(self, settings: PickSettings, survey: Survey | None = None) -> None:
        """Use these settings from now on; another picker's `survey` may have completed them."""
        check_settings(self.model.card, settings)
        check_formats(settings.formats, [])
        self.settings, self.surveyed = settings, survey
        self.threshold = self.model.card.threshold if settings.threshold is None else settings.threshold
        self.exporter = Exporter(self.layout, settings, self.threshold)
        self._settings_hash = _settings_hash(settings)

    @property
    def threshold_from(self) -> str:
        """Return the threshold's origin: `given`, the `model`'s own, or chosen by the `survey` from the scores."""
        if self.surveyed is not None and self.surveyed.threshold is not None:
            return "survey" if self.surveyed.threshold.chosen_by == "scores" else "model"
        return "model" if self.settings.threshold is None else "given"

    def survey(self, files: Sequence[MicrographFile], stems: dict[str, str] | None = None) -> Survey | None:
        """Find the diameter and the threshold, if the settings leave them open, and use them from now on.

        Parameters
        ----------
        files
            All micrographs of the run, from `find_micrographs`. Up to five of them are looked at, unless an earlier
            survey of this run folder found everything and belongs to these micrographs.
        stems
            What the files of each micrograph are called; `output_stems` by default.

        Returns
        -------
        Survey or None
            None if the settings and the model leave nothing open. Errors are those of `survey_micrographs`.
        """
        started = time.perf_counter()
        if open_questions(self.model.card, self._asked):
            self._expect(files)
        found = survey_run(
            files,
            self.model,
            self._asked,
            for_sweep=self._load,
            opened=self._read,
            look=self._look_ahead,
            jobs=self.jobs,
            layout=self.layout,
            belongs=lambda kept: self._belongs(kept, files, output_stems(files) if stems is None else stems),
        )
        if found is not None:
            self.use(found.apply(self._asked), found)
            self.log.write(survey={"seconds": round(time.perf_counter() - started, 3)})
        return found

    def _expect(self, files: Sequence[MicrographFile]) -> None:
        """Get the network ready for micrographs like the first one, if their diameter is given, during the survey."""
        settings, preparation = self._asked, self.model.card.preparation
        given = settings.diameter_px is not None or settings.diameter_angstrom is not None
        if not (files and given and preparation.scale_by == "particle" and preparation.patches == WHOLE):
            return
        try:
            micrograph = self._read(files[0])
            ready = self._loaded_model()
            diameter_px = resolve_diameter_px(micrograph, ready, settings)
        except VitripickError:
            return  # the survey says what is wrong, if it meets that micrograph
        expect(ready.network, preparation.working_shape(micrograph.shape, diameter_px=diameter_px))

    def _belongs(self, survey: Survey, files: Sequence[MicrographFile], stems: dict[str, str]) -> bool:
        """Return whether a survey was made on some of these micrographs, or whether some were picked with it."""
        if survey.looked_at & {file.name for file in files}:
            return True
        made_with = _settings_hash(survey.apply(self._asked))
        for file in files:
            record = read_record(self.layout.record(stems[file.name]))
            # A pixel size from a STAR is appended to the hash.
            settings = "" if record is None else str(record.made_from.get("settings", "")).partition("@")[0]
            if record is not None and record.name == file.name and settings == made_with:
                return True
        return False

    def resume_survey(self) -> bool:
        """Use what an earlier survey of this run folder found, and return whether nothing is left open then."""
        wants = open_questions(self.model.card, self._asked)
        found = kept_survey(self.layout, self.model, self._asked) if wants else None
        if found is not None:
            self.use(found.apply(self._asked), found)
        return not wants or (found is not None and found.complete)

    def attempt_path(self, path: str | Path) -> Outcome:
        """Pick one file, named by its base name alone, as `attempt` does."""
        file = MicrographFile(Path(path).name, Path(path))
        return self.attempt(file, output_stems([file])[file.name])

    def attempt(self, file: MicrographFile, stem: str) -> Outcome:
        """Pick one micrograph into the run folder and return the outcome; a failure is recorded in the run folder too.

        Parameters
        ----------
        file, stem
            From `find_micrographs` and `output_stems`.

        Raises
        ------
        ResourceError
            If disk, memory or GPU memory runs out, because every other micrograph would fail too.
        OSError
            If the outputs cannot be written for another reason.
        """
        self._require_diameter()
        made_from = self.made_from(file)
        try:
            record, skipped = self.pick_file(file, stem)
        except ResourceError:
            raise
        except VitripickError as error:
            return self.give_up(file, stem, str(error), made_from)
        self.layout.failure(stem).unlink(missing_ok=True)
        return Outcome(file, stem, record=record, skipped=skipped)

    def _require_diameter(self) -> None:
        # This is an error of the whole run, so it is not recorded as a failure of one micrograph.
        if "diameter" in open_questions(self.model.card, self.settings):
            raise UsageError(
                f"model {self.model.card.name!r} sees every particle at one size and was trained on several particles: "
                "give a diameter in the settings, or call `survey` with the micrographs first."
            )

    def give_up(self, file: MicrographFile, stem: str, reason: str, made_from: dict[str, Any] | None) -> Outcome:
        """Record that a micrograph failed, and why, and return the outcome."""
        name, path = printable_name(file.name), printable_name(str(file.path))
        failure = {"micrograph": name, "path": path, "error": printable_name(reason), "made_from": made_from}
        write_failure(failure, self.layout, stem)
        return Outcome(file, stem, failure=failure)

    def made_from(self, file: MicrographFile, settings_hash: str | None = None) -> dict[str, Any] | None:
        """Return what decides which picks are stored: the file as it is now, model, settings; None without a file.

        `settings_hash` is that of the settings to pick with, by default.
        """
        try:
            status = os.stat(file.path)
        except OSError:
            return None
        # A STAR's pixel size overrides the header's, so it counts as a setting.
        settings = settings_hash or self._settings_hash
        settings = settings if file.pixel_size is None else f"{settings}@{file.pixel_size:g}"
        return {
            "size_bytes": status.st_size,
            "mtime_ns": status.st_mtime_ns,
            "path": printable_name(str(file.path)),
            "model": self.model.sha256,
            "settings": settings,
        }

    def made_otherwise(self, record: Record) -> bool:
        """Return whether other micrographs would be picked with another model or other settings now."""
        settings = str(record.made_from.get("settings", "")).partition("@")[0]  # a STAR's pixel size is appended to it
        return record.made_from.get("model") != self.model.sha256 or settings != self._settings_hash

    def failed_before(self, file: MicrographFile, stem: str) -> dict[str, Any] | None:
        """Return the failure that is recorded for exactly this file, model and settings; None if there is none."""
        failure = read_failure(self.layout.failure(stem))
        return failure if failure is not None and failure.get("made_from") == self.made_from(file) else None

    def pick_file(
        self, file: MicrographFile, stem: str, *, settled: tuple[int, int] | None = None
    ) -> tuple[Record, bool]:
        """Pick one micrograph, and return its record and whether its picks were there already.

        Parameters
        ----------
        file, stem
            As in `attempt`.
        settled
            (size in bytes, time in ns) that the file must still have; by default they are not compared.

        Raises
        ------
        ChangedFileError
            If the file changed while it was read, or since it was `settled`.
        VitripickError
            If this micrograph cannot be picked, or would overwrite the picks of another one.
        """
        made_from = self.made_from(file)
        if settled is not None and (made_from is None or (made_from["size_bytes"], made_from["mtime_ns"]) != settled):
            raise ChangedFileError(f"{file.path}: changed while it waited; it is still being written.")
        # A RELION job that runs again on another input replaces its earlier files.
        in_relion = self.layout.star_folder is not None
        record = read_record(self.layout.record(stem)) if in_relion else own_record(file, self.layout, stem)
        is_same = record is not None and record.made_from == made_from and record.name == file.name
        if record is not None and is_same and self.exporter.has_stored(record):
            optics = optics_of(file, self.settings, record.pixel_size)
            record = as_named(record, self.layout, optics=optics, defocus=file.defocus, from_star=file.from_star)
            return self.exporter.renew(record, lambda: self._read(file)), True

        with timed() as timings:
            return self._pick_now(file, stem, made_from, timings), False

    def _pick_now(
        self, file: MicrographFile, stem: str, made_from: dict[str, Any] | None, timings: dict[str, float]
    ) -> Record:
        ready = self._loaded_model()
        cached, started = cached_share(file.path), time.perf_counter()
        with stage("read"):
            micrograph = self._read(file)
        ahead = self._ahead.pop(file.name, None)
        if ahead is not None and ahead.made_from == made_from:
            seen, started = ahead.look, started - ahead.seconds
            timings.update({name: timings.get(name, 0.0) + took for name, took in ahead.timings.items()})
        else:
            seen = look_at_all(micrograph, ready, self.settings)
        if self.made_from(file) != made_from or made_from is None:
            raise ChangedFileError(f"{file.path}: changed while it was read; it is still being written. Pick it again.")
        record = Record(
            name=file.name,
            path=str(file.path),
            from_out=path_from(self.layout.out, file.path),
            stem=stem,
            shape=micrograph.shape,
            pixel_size=micrograph.pixel_size,
            n_stored=len(seen.picks),
            n_picks=0,
            from_star=file.from_star,
            warnings=seen.warnings,
            made_from=made_from,
            engine=ready.engine,
            optics=optics_of(file, self.settings, micrograph.pixel_size),
            defocus=file.defocus,
            border=seen.border,
        )
        with stage("write"):
            record = self.exporter.write(seen, micrograph, record)
        record = dataclasses.replace(
            record,
            seconds=round(time.perf_counter() - started, 4),
            timings={name: round(took, 4) for name, took in timings.items()},
            cached=None if cached is None else round(cached, 3),
        )
        self.log.write(micrograph=file.name, seconds=record.seconds, timings=record.timings, cached=record.cached)
        return record

    def _look_ahead(self, file: MicrographFile, settings: PickSettings) -> Look:
        """Look at a micrograph for the survey, and remember what is seen, so that picking it needs no second look."""
        started, made_from = time.perf_counter(), self.made_from(file, _settings_hash(settings))
        with timed() as timings:
            with stage("read"):
                micrograph = self._read(file)
            seen = look_at_all(micrograph, self._loaded_model(), settings)
        self._ahead[file.name] = _Ahead(seen, made_from, timings, time.perf_counter() - started)
        return seen

    @property
    def engine(self) -> str:
        """Return the engine that runs the network, and why not a faster one; empty until something was picked."""
        if self._loaded is None:
            return ""
        return f"{self._loaded.engine} ({self._loaded.note})" if self._loaded.note else self._loaded.engine

    def _loaded_model(self) -> EngineModel:
        with self._loading:
            self._loaded = self._loaded or self._load()
            return self._loaded

    def _load(self) -> EngineModel:
        if self.jobs > 1:
            one_thread_of_opencv()
        engine, precision = self.settings.engine, self.settings.precision
        return load_on_engine(
            self.model, engine=engine, precision=precision, device=self.device, jobs=self.jobs, threads=self._threads
        )

    def _read(self, file: MicrographFile) -> Micrograph:
        shown = printable_name(str(file.path))
        if shown != str(file.path) or file.name != printable_name(file.name):
            raise MicrographError(
                f"{shown}: this name is not UTF-8 (\\x.. are its odd bytes), so no file of picks can hold it; rename "
                "the file or its folder."
            )
        try:
            # The table of the whole run names every micrograph, so with one such name it could not be written at all.
            quote(str(file.path))
        except UsageError as error:
            raise MicrographError(str(error)) from None
        pixel_size = file.pixel_size if self.settings.pixel_size is None else self.settings.pixel_size
        return open_micrograph(file.path, name=file.name, pixel_size=pixel_size)


def _settings_hash(settings: PickSettings) -> str:
    """Return a hash of the settings that decide which picks are stored."""
    return digest([settings.deciding(), FLOOR_CONFIDENCE, VERSION])
