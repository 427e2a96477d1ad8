"""Make a training plan: from an architecture's own recipe, or from a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vitripick.errors import InputError, UsageError
from vitripick.json_toml import read_toml
from vitripick.settings.train import DEFAULT_ARCHITECTURE, SimulatedSet, TrainingSet, TrainSettings
from vitripick.settings.wording import problems


def default_settings(
    architecture: str = DEFAULT_ARCHITECTURE, *, fine_tune: bool = False, **changes: Any
) -> TrainSettings:
    """Return the training plan of an architecture, made from the recipe it was registered with, with `changes`.

    Parameters
    ----------
    architecture
        Its name in the registry.
    fine_tune
        For going on from a trained model: a sixth of the steps at a quarter of the learning rate, so that it does not
        forget what it knows, and validations twice as often. More steps gained nothing on three sets of real
        micrographs (docs/benchmarks/training.md).
    changes
        Any of `TrainSettings`.

    Raises
    ------
    UsageError
        If there is no such architecture, a key is unknown, or a value is out of range.
    """
    from vitripick.models.architectures import find_architecture  # imports torch

    base = TrainSettings.model_validate({"architecture": architecture, **find_architecture(architecture).recipe})
    if fine_tune:
        base = base.model_copy(
            update={
                "steps": base.steps // 6,
                "steps_per_epoch": base.steps_per_epoch // 2,
                "learning_rate": base.learning_rate / 4,
                "warmup_share": 0.1,
            }
        )
    own = base.model_dump()
    if isinstance(changes.get("augmentation"), dict):  # fields that are not named keep the values of the architecture
        changes["augmentation"] = {**own["augmentation"], **changes["augmentation"]}
    try:
        return TrainSettings.model_validate({**own, **changes})
    except ValidationError as error:
        raise UsageError(f"these training settings cannot be used: {problems(error, TrainSettings)}.") from error


def read_training_plan(
    path: str | Path, *, data_root: str | Path | None = None, start_architecture: str | None = None
) -> tuple[list[TrainingSet | SimulatedSet], TrainSettings]:
    """Read a training plan from TOML: `[[sets]]` (`TrainingSet`), `[[simulated]]` (`SimulatedSet`) and `[training]`.

    `[training]` holds fields of `TrainSettings`. Keys that all simulated sets share may be written once, in
    `[all_simulated]`.

    Parameters
    ----------
    path
        The TOML file.
    data_root
        Folder that relative paths of sets start from; that of the TOML file by default.
    start_architecture
        For fine-tuning a model of this architecture: its fine-tuning defaults fill what the plan leaves open.

    Raises
    ------
    InputError
        If the file is missing, is not TOML, or holds unknown keys.
    """
    path = Path(path)
    root = path.parent if data_root is None else Path(data_root)
    try:
        table = read_toml(path)
    except OSError as error:
        raise InputError(f"{path}: cannot read this training plan: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{path}: not a TOML file that can be used: {error}.") from error
    unknown = sorted(set(table) - {"sets", "simulated", "all_simulated", "training"})
    if unknown:
        raise InputError(
            f"{path}: unknown table {', '.join(unknown)}; a training plan has [[sets]], [[simulated]] and [training]."
        )
    for name in ("sets", "simulated"):
        if not isinstance(table.get(name, []), list) or not all(isinstance(one, dict) for one in table.get(name, [])):
            raise InputError(f"{path}: {name} should be a list of tables; write [[{name}]] above each of them.")
    for name in ("all_simulated", "training"):
        if not isinstance(table.get(name, {}), dict):
            raise InputError(f"{path}: {name} should be a table; write [{name}] above its keys.")
    sets: list[TrainingSet | SimulatedSet] = []
    for name, kind, paths, shared in (
        ("sets", TrainingSet, ("micrographs", "labels", "areas", "rejected", "ignored"), {}),
        ("simulated", SimulatedSet, ("structures",), table.get("all_simulated", {})),
    ):
        for values in table.get(name, []):
            try:
                entry: TrainingSet | SimulatedSet = kind.model_validate({**shared, **values})
            except ValidationError as error:
                raise InputError(f"{path}, [[{name}]]: {problems(error, kind)}.") from error
            update = {key: str(root / getattr(entry, key)) for key in paths if getattr(entry, key)}
            sets.append(entry.model_copy(update=update))
    training = dict(table.get("training", {}))
    architecture = training.pop("architecture", start_architecture or DEFAULT_ARCHITECTURE)
    if not isinstance(architecture, str):
        raise InputError(f"{path}, [training]: architecture should be a name, but it is {architecture!r}.")
    unknown = sorted(set(training) - set(TrainSettings.model_fields))
    if unknown:
        raise InputError(f"{path}, [training]: there is no setting {', '.join(unknown)} (docs/training.md lists them).")
    try:
        return sets, default_settings(architecture, fine_tune=start_architecture is not None, **training)
    except UsageError as error:
        raise InputError(f"{path}, [training]: {error}") from error
