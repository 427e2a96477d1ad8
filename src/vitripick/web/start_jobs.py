"""Turn a request of the page (train, pick, resume) into a job: copy labels, list micrographs, fill in numbers."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vitripick.atomic import write_text_atomically
from vitripick.errors import InputError, UsageError
from vitripick.formats import write_picks
from vitripick.formats.filaments import write_filaments
from vitripick.formats.names.stems import without_image_suffix
from vitripick.formats.star.dialect import StarBlock, format_star, table_of
from vitripick.models.loading import INSTALL_TORCH, MissingPackageError, is_installed
from vitripick.text import count
from vitripick.web.job import EFFORTS, Job, JobFolder, read_job
from vitripick.web.job_runner import JobProgress, JobRunner
from vitripick.web.project import Entry, Project
from vitripick.web.requests import PickRequest, TrainRequest
from vitripick.web.sheet_files import areas_json
from vitripick.web.sheets import Sheets

# A network learns nothing from fewer labels than this.
MIN_LABELS = 5


class JobStarter:
    """Starts the jobs of a project."""

    def __init__(self, project: Project, sheets: Sheets, jobs: JobRunner) -> None:
        self._project, self._sheets, self._jobs = project, sheets, jobs

    def train(self, request: TrainRequest) -> JobProgress:
        """Copy the present labels into a new run folder, train there, and then pick.

        Raises
        ------
        UsageError
            If torch is not installed, if there are too few labels, if the model to start from does not exist, or if a
            job is running.
        """
        if not is_installed("torch"):
            raise MissingPackageError(f"training needs torch, which is not installed: {INSTALL_TORCH}.")
        project = self._project
        entries = self._to_learn_from()
        n_labels = sum(entry.n_labels for entry in entries)
        filaments = project.settings.filaments
        if filaments and not n_labels:
            raise UsageError("there is no filament yet; draw all of one micrograph.")
        if n_labels < MIN_LABELS and not filaments:
            raise UsageError(f"there are {n_labels} labels; click at least {MIN_LABELS} particles, better twenty.")
        self._jobs.refuse_if_busy()
        model = self._model(request.start)
        to_pick = self._to_pick(request.then_pick, request.micrograph)
        effort = EFFORTS[request.effort]
        if request.start != "scratch":
            # The start model brings its own width, and has learnt much already.
            effort = effort.halved()
        if request.steps is not None:
            effort = effort.with_steps(request.steps)
        folder = self._jobs.new_folder()
        with project.lock:
            for entry in entries:
                self._copy_labels(entry, folder)
        self._list(entries, folder.to_train)
        noun = count("filament", n_labels) if filaments else f"{n_labels} labels"
        what = f"{noun} on {count('micrograph', len(entries))}"
        job = Job(
            kind="train",
            filaments=filaments,
            title=f"{what}, from {_model_title(request.start)}",
            name=f"{project.out.absolute().name}-{folder.id}",
            description=f"Trained in the browser on {what}.",
            start=model,
            effort=request.effort,
            settings=effort,
            trained_on=tuple(entry.file.name for entry in entries),
            model=None,
        )
        box_size_px = project.box_size_px(next(iter([*to_pick, *project.entries.values()])))
        return self._jobs.start(folder, self._with_picking(job, to_pick, folder, diameter_px=box_size_px))

    def pick(self, request: PickRequest) -> JobProgress:
        """Pick with a model that exists; the picks of one model go into one run folder.

        Raises
        ------
        UsageError
            If there is nothing to pick, if the model does not exist, or if a job is running.
        """
        to_pick = self._to_pick(request.which, request.micrograph, request.micrographs)
        if not to_pick:
            raise UsageError("there is no micrograph to pick.")
        self._jobs.refuse_if_busy()
        model = self._model(request.model)
        folder, job = self._earlier_run(request.model) or (
            self._jobs.new_folder(),
            Job(
                kind="pick",
                filaments=self._project.settings.filaments,
                title=_model_title(request.model),
                model_id=request.model,
            ),
        )
        job = job.model_copy(update={"model": model, "trained": True})
        # Until the user sets the box size, it is only a guess for the first click. The model knows a better diameter,
        # or the picking measures one.
        job = self._with_picking(job, to_pick, folder, diameter_px=self._project.settings.box_size_px)
        return self._jobs.start(folder, job)

    def resume(self, run: str) -> JobProgress:
        """Continue a run that was stopped or cut short, or raise `UsageError` if there is no such run."""
        folder = self._jobs.folder(self._jobs.run(run).id)
        return self._jobs.start(folder, read_job(folder.job))

    def _to_learn_from(self) -> list[Entry]:
        return [
            entry
            for entry in self._project.entries.values()
            if entry.flag != "excluded" and not entry.error and (entry.n_labels or entry.is_fully_labelled)
        ]

    def _to_pick(self, which: str, micrograph: str | None, micrographs: Sequence[str] = ()) -> list[Entry]:
        entries = [e for e in self._project.entries.values() if e.flag != "excluded"]
        if which == "none":
            return []
        if which == "these":
            chosen = set(micrographs)
            return [e for e in entries if e.id in chosen]
        if which == "labelled":
            return [e for e in entries if e.n_labels or e.flag]
        if which == "all":
            return entries
        if micrograph not in self._project.entries:
            raise UsageError("choose a micrograph to pick.")
        return [self._project.entries[micrograph]]

    def _copy_labels(self, entry: Entry, folder: JobFolder) -> None:
        stem = without_image_suffix(name_in_star(entry, self._jobs.root)).lstrip("/")
        if self._project.settings.filaments:
            write_filaments(self._sheets.filaments(entry), folder.labels / f"{stem}.csv")
        else:
            write_picks(self._sheets.boxes(entry), folder.labels / f"{stem}.csv")
        areas = {"complete": entry.is_fully_labelled, **areas_json(self._sheets.get(entry))}
        write_text_atomically(folder.areas / f"{stem}.json", json.dumps(areas) + "\n")

    def _list(self, entries: Sequence[Entry], path: Path) -> None:
        names = [name_in_star(entry, self._jobs.root) for entry in entries]
        table = table_of({"rlnMicrographName": names})
        write_text_atomically(path, format_star([StarBlock("micrographs", table=table)]))

    def _with_picking(self, job: Job, to_pick: Sequence[Entry], folder: JobFolder, *, diameter_px: float | None) -> Job:
        if to_pick:
            self._list(to_pick, folder.to_pick)
        pixel_size = self._project.settings.pixel_size
        return job.model_copy(
            update={
                "pick": bool(to_pick),
                "n_pick": len(to_pick),
                "diameter_px": diameter_px,
                "pixel_size": pixel_size,
            }
        )

    def _model(self, name: str) -> str | None:
        kind, _, which = name.partition(":")
        if kind == "scratch":
            return None
        if kind == "released":
            known = [card["name"] for card in (self._jobs.machine or {}).get("released", ())]
            if which not in known:
                raise UsageError(f"there is no released model {which!r}, or the list of models is still being read.")
            return which
        path = self._jobs.folder(which).model()
        if path is None:
            raise UsageError(f"run {which} has no model, or not yet.")
        return str(path)

    def _earlier_run(self, model: str) -> tuple[JobFolder, Job] | None:
        kind, _, which = model.partition(":")
        for folder in self._jobs.folders():
            try:
                job = read_job(folder.job)
            except InputError:
                continue
            # A training that is not over may be resumed, so its folder takes no other picks.
            own = kind == "run" and folder.id == which and (job.kind != "train" or folder.is_trained)
            if own or job.model_id == model:
                return folder, job
        return None


def _model_title(name: str) -> str:
    kind, _, which = name.partition(":")
    return {"scratch": "scratch", "released": which, "run": f"run {which}"}[kind]


def root_of(project: Project) -> Path:
    """Return the folder that most micrographs' names start from; jobs run there and use the same names."""
    roots = Counter(_own_root(entry) for entry in project.entries.values())
    return Path(roots.most_common(1)[0][0])


def name_in_star(entry: Entry, root: Path) -> str:
    """Return the micrograph's name if a job in `root` finds it by that name, else its absolute path."""
    absolute = os.path.abspath(entry.file.path)
    return entry.file.name if str(root / entry.file.name) == absolute else absolute


def _own_root(entry: Entry) -> str:
    absolute = os.path.abspath(entry.file.path)
    inside = absolute.endswith("/" + entry.file.name)
    return absolute[: -len(entry.file.name) - 1] or "/" if inside else os.path.dirname(absolute)
