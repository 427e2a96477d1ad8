"""From what the page asks (train, pick) to a job: labels copied, micrographs listed, numbers filled in."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitripick.atomic import write_text_atomically
from vitripick.errors import UsageError
from vitripick.formats import write_picks
from vitripick.formats.names.stems import without_image_suffix
from vitripick.formats.star.dialect import StarBlock, format_star, table_of
from vitripick.web.job_runner import JobProgress, JobRunner, bundle_of
from vitripick.web.project import Entry, Project
from vitripick.web.requests import PickRequest, TrainRequest
from vitripick.web.sheets import Sheets, ground_json
from vitripick.web.worker import EFFORTS

# Fewer clicks than this teach nothing.
MIN_LABELS = 5


class JobStarter:
    """Starts jobs of a project."""

    def __init__(self, project: Project, sheets: Sheets, jobs: JobRunner) -> None:
        self._project, self._sheets, self._jobs = project, sheets, jobs

    def train(self, request: TrainRequest) -> JobProgress:
        """Copy the labels as they are now into a new run folder, train there, and pick.

        Raises
        ------
        UsageError
            If there are too few labels, the model to start from is not there, or a job runs.
        """
        project = self._project
        entries = self._to_learn_from()
        n_labels = sum(entry.n_labels for entry in entries)
        if n_labels < MIN_LABELS:
            raise UsageError(f"there are {n_labels} labels; click at least {MIN_LABELS} particles, better twenty.")
        self._refuse_if_busy()
        model = self._model(request.start)
        to_pick = self._to_pick(request.then_pick, request.micrograph)
        settings = dict(EFFORTS[request.effort])
        if request.start != "scratch":
            # The start model brings its width, and knows much already.
            settings.update(steps=settings["steps"] // 2, steps_per_epoch=max(10, settings["steps_per_epoch"] // 2))
        if request.steps is not None:
            settings.update(steps=request.steps, steps_per_epoch=min(settings["steps_per_epoch"], request.steps))
        folder = self._jobs.new_folder()
        with project.lock:
            for entry in entries:
                self._copy_labels(entry, folder)
        self._list(entries, folder / "train.star")
        n = len(entries)
        what = f"{n_labels} labels on {n} micrograph{'' if n == 1 else 's'}"
        job = {
            "kind": "train",
            "title": f"{what}, from {self._model_title(request.start)}",
            "name": f"{project.out.absolute().name}-{folder.name}",
            "description": f"Trained in the browser on {what}.",
            "start": model,
            "effort": request.effort,
            "settings": settings,
            "trained_on": [entry.file.name for entry in entries],
            "model": None,
            **self._picking(to_pick, folder),
        }
        return self._jobs.start(folder, job)

    def pick(self, request: PickRequest) -> JobProgress:
        """Pick with a model that is there; picks of one model gather in one set."""
        to_pick = self._to_pick(request.which, request.micrograph)
        if not to_pick:
            raise UsageError("there is no micrograph to pick.")
        self._refuse_if_busy()
        model = self._model(request.model)
        assert model is not None
        folder, job = self._earlier_run(request.model)
        if folder is None:
            folder = self._jobs.new_folder()
        job = job or {"kind": "pick", "title": self._model_title(request.model), "model_id": request.model}
        # A box size that nobody has said is a guess for the first click; a model knows better, or looks for itself.
        picking = {**self._picking(to_pick, folder), "diameter_px": self._project.settings.box_size_px}
        return self._jobs.start(folder, {**job, "model": model, "trained": True, **picking})

    def resume(self, run: str) -> JobProgress:
        """Go on with a run that was stopped or cut short."""
        path = self._jobs.runs / run / "job.json"
        try:
            job = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError("there is no such run.") from error
        return self._jobs.start(path.parent, job)

    def _to_learn_from(self) -> list[Entry]:
        return [
            entry
            for entry in self._project.entries.values()
            if entry.flag != "excluded" and not entry.error and (entry.n_labels or entry.flag in ("complete", "empty"))
        ]

    def _to_pick(self, which: str, micrograph: str | None) -> list[Entry]:
        entries = [e for e in self._project.entries.values() if e.flag != "excluded"]
        if which == "none":
            return []
        if which == "labelled":
            return [e for e in entries if e.n_labels or e.flag]
        if which == "all":
            return entries
        if micrograph not in self._project.entries:
            raise UsageError("say which micrograph to pick.")
        return [self._project.entries[micrograph]]

    def _refuse_if_busy(self) -> None:
        if self._jobs.progress is not None and self._jobs.progress.running:
            raise UsageError("something is running already; wait for it, or stop it.")

    def _copy_labels(self, entry: Entry, folder: Path) -> None:
        stem = without_image_suffix(name_in_star(entry, self._jobs.root)).lstrip("/")
        write_picks(self._sheets.boxes(entry), folder / "labels" / f"{stem}.csv")
        ground = {"complete": entry.flag in ("complete", "empty"), **ground_json(self._sheets.get(entry))}
        write_text_atomically(folder / "areas" / f"{stem}.json", json.dumps(ground) + "\n")

    def _list(self, entries: Sequence[Entry], path: Path) -> None:
        names = [name_in_star(entry, self._jobs.root) for entry in entries]
        table = table_of({"rlnMicrographName": names})
        write_text_atomically(path, format_star([StarBlock("micrographs", table=table)]))

    def _picking(self, to_pick: Sequence[Entry], folder: Path) -> dict[str, Any]:
        if to_pick:
            self._list(to_pick, folder / "pick.star")
        first = next(iter([*to_pick, *self._project.entries.values()]))
        return {
            "pick": bool(to_pick),
            "n_pick": len(to_pick),
            "diameter_px": self._project.box_size_px(first),
            "pixel_size": self._project.settings.pixel_size,
        }

    def _model(self, name: str) -> str | None:
        kind, _, which = name.partition(":")
        if kind == "scratch":
            return None
        if kind == "released":
            known = [card["name"] for card in (self._jobs.machine or {}).get("released", ())]
            if which not in known:
                raise UsageError(f"there is no released model {which!r} (yet: the list is being read).")
            return which
        path = bundle_of(self._jobs.runs / which)
        if path is None:
            raise UsageError(f"run {which} has no model (yet).")
        return str(path)

    def _model_title(self, name: str) -> str:
        kind, _, which = name.partition(":")
        return {"scratch": "scratch", "released": which, "run": f"run {which}"}[kind]

    def _earlier_run(self, model: str) -> tuple[Path | None, dict[str, Any] | None]:
        kind, _, which = model.partition(":")
        for folder in sorted(self._jobs.runs.iterdir()) if self._jobs.runs.is_dir() else ():
            try:
                job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            # A training that is not over keeps its folder to itself: it may go on.
            own = kind == "run" and folder.name == which and (job["kind"] != "train" or _is_over(folder))
            if own or job.get("model_id") == model:
                return folder, job
        return None, None


def _is_over(run: Path) -> bool:
    return (run / "train" / "model.safetensors").is_file()


def root_of(project: Project) -> Path:
    """The folder that most micrographs' names start from: jobs run there and use the same names."""
    roots = Counter(_own_root(entry) for entry in project.entries.values())
    return Path(roots.most_common(1)[0][0])


def name_in_star(entry: Entry, root: Path) -> str:
    """Its name, where the job finds it by that; else its absolute path."""
    absolute = os.path.abspath(entry.file.path)
    return entry.file.name if str(root / entry.file.name) == absolute else absolute


def _own_root(entry: Entry) -> str:
    absolute = os.path.abspath(entry.file.path)
    inside = absolute.endswith("/" + entry.file.name)
    return absolute[: -len(entry.file.name) - 1] or "/" if inside else os.path.dirname(absolute)
