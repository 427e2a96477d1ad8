"""Describe a job for the second process of the page, as `job.json` holds it, and the folder that it works in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from vitripick.atomic import write_text_atomically
from vitripick.errors import FormatError, NotFoundError
from vitripick.json_toml import read_json_object
from vitripick.run_layout import RunLayout
from vitripick.runs.folder import is_filament_folder
from vitripick.settings import Settings


class Effort(Settings):
    """Says how much work a training does."""

    steps: int = Field(description="optimiser steps")
    steps_per_epoch: int = Field(description="steps between two validations")
    batch_size: int = Field(description="crops in a step")
    crop_px: int | None = Field(None, description="side of a crop, in pixels as the network sees them")
    scratch: dict[str, Any] = Field(
        default_factory=dict,
        description="settings of a network that starts from scratch (arguments of `default_settings`)",
    )

    def halved(self) -> Effort:
        """Return half the work, for a model that is trained already."""
        return self.model_copy(update={"steps": self.steps // 2, "steps_per_epoch": max(10, self.steps_per_epoch // 2)})

    def with_steps(self, steps: int) -> Effort:
        """Return the same work with another number of steps, and with a validation at the end at the latest."""
        return self.model_copy(update={"steps": steps, "steps_per_epoch": min(self.steps_per_epoch, steps)})

    def arguments(self, *, from_scratch: bool) -> dict[str, Any]:
        """Return the arguments of `default_settings`, with those of `scratch` where no trained model is the start."""
        own = self.model_dump(exclude_unset=True, exclude={"scratch"})
        return {**self.scratch, **own} if from_scratch else own


# A narrow network that sees particles small learns from a handful of clicks in a tenth of the time.
EFFORTS = {
    "quick": Effort(
        steps=200,
        steps_per_epoch=40,
        batch_size=8,
        crop_px=160,
        scratch={"options": {"width": 16}, "working_diameter_px": 20.0},
    ),
    "standard": Effort(steps=600, steps_per_epoch=100, batch_size=16, scratch={}),
    "thorough": Effort(steps=1600, steps_per_epoch=200, batch_size=16, scratch={}),
}


class Job(Settings):
    """Describes one training, picking or sorting.

    What a job does not need is left out of its file: a picking has no `settings`, a training no `model_id`.
    """

    # pydantic before 2.10 warns of names that start with "model_".
    model_config = ConfigDict(protected_namespaces=())

    kind: Literal["train", "pick", "classes", "describe"] = Field(
        description="`describe` lists the released models and the device, and has no run folder"
    )
    filaments: bool = Field(False, description="the labels and picks are filaments, not particles")
    title: str = Field("", description="what the page's list of runs shows")
    model_id: str | None = Field(None, description="`released:NAME` or `run:NNN`, for a job that only picks")
    name: str = Field("", description="name of the new model")
    description: str = Field("", description="description of the new model")
    start: str | None = Field(None, description="name or path of the model that a training starts from; None: scratch")
    effort: str | None = Field(None, description="key of `EFFORTS` that the user chose")
    settings: Effort | None = Field(None, description="the effort of a training, with all numbers filled in")
    trained_on: tuple[str, ...] = Field((), description="names of the micrographs that the training learns from")
    model: str | None = Field(None, description="name or path of the model that picks; None: the one that is trained")
    trained: bool = Field(False, description="the training of this run is over, so only pick")
    pick: bool = Field(False, description="pick the micrographs of `pick.star`")
    n_pick: int = Field(0, description="number of micrographs to pick")
    diameter_px: float | None = Field(
        None,
        description="particle diameter or filament width in full-size pixels; None: measured, or the model's",
    )
    picks: str | None = Field(None, description="run folder whose picks are sorted into classes")
    classes: str | None = Field(None, description="folder that the classes are written to")
    n_classes: int = Field(30, description="number of classes at most")
    threshold: float | None = Field(None, description="lowest confidence of picks that are sorted")
    pixel_size: float | None = Field(None, description="Å per pixel; None: what the header says")

    def to_json(self) -> dict[str, Any]:
        """Return the keys that were set, as JSON writes them."""
        return self.model_dump(mode="json", exclude_unset=True)


@dataclass(frozen=True)
class JobFolder:
    """Say where each file of one run of the page lies.

    runs/NNN/
      job.json                 the job
      labels/, areas/          the labels at the time of the start
      train.star, pick.star    the micrographs to train on and to pick
      train/                   the run folder of `vitripick train`
      picks/                   the run folder of `vitripick pick`
      result.json              how the job ended; missing if it was cut short
      log.txt                  what the process wrote on stderr
      .lock                    locked by the process while it lives
    """

    path: Path

    @property
    def id(self) -> str:
        """Return the number of the run."""
        return self.path.name

    @property
    def job(self) -> Path:
        """Return the file of the job."""
        return self.path / "job.json"

    @property
    def lock(self) -> Path:
        """Return the file that the process of the run holds locked while it lives."""
        return self.path / ".lock"

    @property
    def result(self) -> Path:
        """Return the file that says how the job ended."""
        return self.path / "result.json"

    @property
    def log(self) -> Path:
        """Return the text that the process wrote on stderr."""
        return self.path / "log.txt"

    @property
    def labels(self) -> Path:
        """Return the folder of the copied labels."""
        return self.path / "labels"

    @property
    def areas(self) -> Path:
        """Return the folder of the copied areas."""
        return self.path / "areas"

    @property
    def to_train(self) -> Path:
        """Return the list of the micrographs to train on."""
        return self.path / "train.star"

    @property
    def to_pick(self) -> Path:
        """Return the list of the micrographs to pick."""
        return self.path / "pick.star"

    @property
    def train(self) -> Path:
        """Return the run folder of the training."""
        return self.path / "train"

    @property
    def picks(self) -> Path:
        """Return the run folder of the picking."""
        return self.path / "picks"

    @property
    def card(self) -> Path:
        """Return the model card of the training."""
        return self.train / "model.json"

    @property
    def curves(self) -> Path:
        """Return the training curves."""
        return self.train / "curves.csv"

    @property
    def has_picks(self) -> bool:
        """Return whether picks were stored here."""
        return RunLayout(self.picks).has_store or is_filament_folder(self.picks)

    @property
    def is_trained(self) -> bool:
        """Return whether the training is over."""
        return self._model.is_file()

    def model(self) -> Path | None:
        """Return the trained model, or the best one so far if the training was stopped, or None."""
        return next((path for path in (self._model, self.best) if path.is_file()), None)

    @property
    def best(self) -> Path:
        """Return where the best model so far lies, while a training goes on or after it was stopped."""
        return self.train / "best.safetensors"

    @property
    def _model(self) -> Path:
        return self.train / "model.safetensors"


def read_job(path: Path) -> Job:
    """Read a `job.json`.

    Raises
    ------
    NotFoundError
        If there is no such file.
    FormatError
        If it does not hold a job.
    """
    try:
        return Job.model_validate(read_json_object(path))
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: there is no such file.") from error
    except (OSError, ValueError, ValidationError) as error:
        raise FormatError(f"{path}: this job cannot be read: {error}") from error


def write_job(job: Job, path: Path) -> None:
    """Write a `job.json`, whole or not at all."""
    write_text_atomically(path, json.dumps(job.to_json(), indent=1, ensure_ascii=False) + "\n")
