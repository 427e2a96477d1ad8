"""One micrograph into the run folder: the step that `pick`, `watch`, shards, cluster workers and RELION jobs repeat."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from vitripick.errors import MicrographError, ResourceError, UsageError, VitripickError
from vitripick.formats import MicrographFile, output_stems, read_picks
from vitripick.formats.micrographs.on_disk import open_micrograph
from vitripick.geometry import Boxes, Micrograph
from vitripick.models import Model
from vitripick.models.engines import EngineModel, load_on_engine
from vitripick.models.run import FLOOR_CONFIDENCE
from vitripick.picking.junk import check_junk_masks, read_junk, write_junk
from vitripick.picking.one import check_settings, look
from vitripick.picking.quality import Quality, assess
from vitripick.run_layout import STORE_FORMAT, RunLayout
from vitripick.runs.export import NEED_THE_IMAGE, exports_of, place_of, threshold_of, write_exports
from vitripick.runs.log import RunLog
from vitripick.runs.profile import cached_share
from vitripick.runs.record import (
    Outcome,
    Record,
    digest,
    own_record,
    path_from,
    read_failure,
    read_record,
    read_stored,
    write_failure,
    write_record,
)
from vitripick.runs.survey import Survey, kept_survey, open_questions, survey_run
from vitripick.settings.pick import PickSettings
from vitripick.text import printable_name
from vitripick.timing import stage, timed
from vitripick.version import VERSION

if TYPE_CHECKING:
    import torch


class ChangedFileError(MicrographError):
    """A micrograph was written to while it was read: it is not complete yet."""


class FolderPicker:
    """A loaded model and a run folder: give it one micrograph after the other.

    Parameters
    ----------
    out
        The run folder, or its layout where the STAR files lie elsewhere.
    model
        From `open_model`, or from `load_model`; it is made ready once, for the first micrograph.
    settings
        Defaults where None.
    device
        To run the network on.
    jobs
        How many threads will call `attempt` at once.
    threads
        Of the network, for all of them together; one for each core by default.

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
        self.log = RunLog(self.layout)
        self.device, self.jobs, self._threads = str(device), jobs, threads
        self._loaded: EngineModel | None = None
        self._loading = threading.Lock()

    def use(self, settings: PickSettings, survey: Survey | None = None) -> None:
        """Go on with these settings, which another picker of the same model may have resolved by its `survey`."""
        check_settings(self.model.card, settings)
        self.settings, self.surveyed = settings, survey
        self.threshold = self.model.card.threshold if settings.threshold is None else settings.threshold
        self._settings_hash = digest([settings.deciding(), FLOOR_CONFIDENCE, VERSION])

    @property
    def threshold_from(self) -> str:
        """Whose the threshold is: `given`, the `model`'s own, or chosen by the `survey` from the scores."""
        if self.surveyed is not None and self.surveyed.threshold is not None:
            return "survey" if self.surveyed.threshold.chosen_by == "scores" else "model"
        return "model" if self.settings.threshold is None else "given"

    def survey(self, files: Sequence[MicrographFile]) -> Survey | None:
        """Find what the settings leave open, the diameter and the threshold, and go on with that.

        Parameters
        ----------
        files
            All micrographs of the run, from `find_micrographs`; up to five of them are looked at, unless an earlier
            survey of this run folder found it all.

        Returns
        -------
        Survey or None
            None where the settings and the model leave nothing open; errors as of `survey_micrographs`.
        """
        started = time.perf_counter()
        ready, anew = self._loaded_model, self._load
        found = survey_run(
            files,
            self.model,
            self._asked,
            ready=ready,
            for_sweep=anew,
            opened=self._read,
            jobs=self.jobs,
            layout=self.layout,
        )
        if found is not None:
            self.use(found.apply(self._asked), found)
            self.log.write(survey={"seconds": round(time.perf_counter() - started, 3)})
        return found

    def resume_survey(self) -> bool:
        """Go on with what an earlier survey of this run folder found; whether nothing is left open then."""
        wants = open_questions(self.model.card, self._asked)
        found = kept_survey(self.layout, self.model, self._asked) if wants else None
        if found is not None:
            self.use(found.apply(self._asked), found)
        return not wants or (found is not None and found.complete)

    def attempt_path(self, path: str | Path) -> Outcome:
        """Pick one file that is named by its base name alone; as `attempt`."""
        file = MicrographFile(Path(path).name, Path(path))
        return self.attempt(file, output_stems([file])[file.name])

    def attempt(self, file: MicrographFile, stem: str) -> Outcome:
        """Pick one micrograph into the run folder; if it fails, that is remembered there and returned.

        Parameters
        ----------
        file, stem
            From `find_micrographs` and `output_stems`.

        Raises
        ------
        ResourceError
            If disk, memory or GPU run out: no other micrograph would fare better.
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
        # Of all micrographs, so no failure of this one.
        if "diameter" in open_questions(self.model.card, self.settings):
            raise UsageError(
                f"model {self.model.card.name!r} sees every particle at one size and was trained on several particles: "
                "give a diameter in the settings, or call `survey` with the micrographs first."
            )

    def give_up(self, file: MicrographFile, stem: str, reason: str, made_from: dict[str, Any] | None) -> Outcome:
        """Remember that a micrograph failed, and why."""
        name, path = printable_name(file.name), printable_name(str(file.path))
        failure = {"micrograph": name, "path": path, "error": printable_name(reason), "made_from": made_from}
        write_failure(failure, self.layout, stem)
        return Outcome(file, stem, failure=failure)

    def made_from(self, file: MicrographFile) -> dict[str, Any] | None:
        """What decides which picks are stored: the file as it is now, the model, the settings; None without a file."""
        try:
            status = os.stat(file.path)
        except OSError:
            return None
        # A STAR's pixel size counts as a setting: it goes before the header's.
        settings = self._settings_hash if file.pixel_size is None else f"{self._settings_hash}@{file.pixel_size:g}"
        return {
            "size_bytes": status.st_size,
            "mtime_ns": status.st_mtime_ns,
            "path": printable_name(str(file.path)),
            "model": self.model.sha256,
            "settings": settings,
        }

    def failed_before(self, file: MicrographFile, stem: str) -> dict[str, Any] | None:
        """The failure that is on record for exactly this file, model and settings."""
        failure = read_failure(self.layout.failure(stem))
        return failure if failure is not None and failure.get("made_from") == self.made_from(file) else None

    def pick_file(
        self, file: MicrographFile, stem: str, *, settled: tuple[int, int] | None = None
    ) -> tuple[Record, bool]:
        """The record of one micrograph, and whether its picks were there already.

        Parameters
        ----------
        file, stem
            As in `attempt`.
        settled
            (size in bytes, time in ns) that the file must still have; whatever it has by default.

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
        # A job of RELION's that is run once more on another input is to replace what it had.
        in_relion = self.layout.star_folder is not None
        record = read_record(self.layout.record(stem)) if in_relion else own_record(file, self.layout, stem)
        if record is not None and record.made_from == made_from and record.name == file.name:
            missing = self._missing(record)
            # A quality line of another threshold, or none at all, is made anew from what is stored.
            told = record.quality is not None and record.quality.threshold == self.threshold
            if not {STORE_FORMAT, "junk"} & set(missing):
                return (record if told and not missing else self._export_again(record, file, missing)), True

        with timed() as timings:
            return self._pick_anew(file, stem, made_from, timings), False

    def _pick_anew(
        self, file: MicrographFile, stem: str, made_from: dict[str, Any] | None, timings: dict[str, float]
    ) -> Record:
        ready = self._loaded_model()
        cached = cached_share(file.path)
        started = time.perf_counter()
        with stage("read"):
            micrograph = self._read(file)
        seen = look(micrograph, ready, self.settings.model_copy(update={"threshold": 0.0}))
        if self.made_from(file) != made_from or made_from is None:
            raise ChangedFileError(f"{file.path}: changed while it was read; it is still being written. Pick it again.")
        # From here on an older record says what is no longer so. The new one comes last: it promises that all is there.
        with stage("write"):
            self.layout.record(stem).unlink(missing_ok=True)
            write_exports(seen.picks, None, self.layout, stem, [STORE_FORMAT], self.threshold)
            write_junk(self.layout.junk(stem), seen.junk)
            # All else is made from the store, now as after a restart, so that it is the same to the last digit.
            stored = read_picks(self.layout.store(stem), format=STORE_FORMAT)
            picks = stored.of(micrograph=micrograph.name, shape=micrograph.shape, pixel_size=micrograph.pixel_size)
            self._export(picks, micrograph, stem, exports_of(self.settings)[1:])
        record = Record(
            name=file.name,
            path=str(file.path),
            from_out=path_from(self.layout.out, file.path),
            stem=stem,
            shape=micrograph.shape,
            pixel_size=micrograph.pixel_size,
            n_stored=len(picks),
            n_picks=len(picks.above(self.threshold)),
            from_star=file.from_star,
            warnings=seen.warnings,
            made_from=made_from,
            engine=ready.engine,
            quality=self._quality(picks, stem, seen.diameter_px),
            exported={
                name: threshold_of(name, self.threshold)
                for name in sorted([*exports_of(self.settings), *(["junk"] if seen.junk is not None else [])])
            },
        )
        with stage("write"):
            write_record(record, self.layout)
        seconds = time.perf_counter() - started
        record = dataclasses.replace(
            record,
            seconds=round(seconds, 4),
            timings={name: round(took, 4) for name, took in timings.items()},
            cached=None if cached is None else round(cached, 3),
        )
        self.log.write(micrograph=file.name, seconds=record.seconds, timings=record.timings, cached=record.cached)
        return record

    @property
    def engine(self) -> str:
        """What runs the network, in words, and why it is no faster one; empty as long as nothing was picked."""
        if self._loaded is None:
            return ""
        return f"{self._loaded.engine} ({self._loaded.note})" if self._loaded.note else self._loaded.engine

    def _loaded_model(self) -> EngineModel:
        with self._loading:
            self._loaded = self._loaded or self._load()
            return self._loaded

    def _load(self) -> EngineModel:
        if self.jobs > 1:
            cv2.setNumThreads(1)  # threads that each keep a core busy need no helpers
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
        pixel_size = file.pixel_size if self.settings.pixel_size is None else self.settings.pixel_size
        return open_micrograph(file.path, name=file.name, pixel_size=pixel_size)

    def _missing(self, record: Record) -> list[str]:
        """Exports that are not there, or were written with another threshold."""
        return [
            name
            for name in (*exports_of(self.settings), *({"junk"} & set(record.exported)))
            if record.exported.get(name) != threshold_of(name, self.threshold)
            or not self.layout.path(record.stem, place_of(name)).is_file()
        ]

    def _export_again(self, record: Record, file: MicrographFile, missing: list[str]) -> Record:
        """Write what is missing from the store, and the record that says so."""
        picks = read_stored(self.layout, record)
        micrograph = self._read(file) if NEED_THE_IMAGE & set(missing) else None
        # First what is not so any more, in case this is the last thing that this process does.
        kept = {name: level for name, level in record.exported.items() if name not in missing}
        if kept != record.exported:
            write_record(dataclasses.replace(record, exported=kept), self.layout)
        self._export(picks, micrograph, record.stem, missing)
        exported = {**kept, **{name: threshold_of(name, self.threshold) for name in missing}}
        record = dataclasses.replace(
            record,
            n_picks=len(picks.above(self.threshold)),
            quality=self._quality(picks, record.stem, record.quality.diameter_px if record.quality else None),
            exported=dict(sorted(exported.items())),
        )
        write_record(record, self.layout)
        return record

    def _quality(self, picks: Boxes, stem: str, diameter_px: float | None) -> Quality:
        # From the map as it is stored, so that another threshold ends like a fresh run with it.
        junk = read_junk(self.layout.junk(stem))
        return assess(picks, junk, threshold=self.threshold, diameter_px=diameter_px)

    def _export(self, picks: Boxes, micrograph: Micrograph | None, stem: str, names: Sequence[str]) -> None:
        # Whole for pictures only, and then read once more: picks must not depend on whether pictures were drawn.
        image = micrograph.image if micrograph is not None and NEED_THE_IMAGE & set(names) else None
        write_exports(picks, image, self.layout, stem, names, self.threshold)
