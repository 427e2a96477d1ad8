"""What a bundle says about itself, read without its weights and without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import Field, ValidationError, field_validator
from safetensors import SafetensorError, safe_open

from vitripick.errors import FormatError, InputError
from vitripick.geometry import FloatArray
from vitripick.images import Preparation
from vitripick.json_toml import parse_json_object
from vitripick.models.released import OF_FILAMENTS, RELEASED, released_path
from vitripick.settings import Settings
from vitripick.settings.wording import problems

KEY = "vitripick"

_Length: TypeAlias = Annotated[float, Field(gt=0)]


class ModelCard(Settings):
    """Holds what a bundle says about itself.

    Attributes
    ----------
    bundle_version
        Of this description's layout.
    name, description, licence
        For people.
    architecture, options
        What `build_detector` needs.
    preparation
        How micrographs are brought to the network.
    diameter_px, diameter_angstrom
        The particle it was trained on, where it was trained on one: picking falls back on it.
    diameter_range_angstrom
        Of the training particles, where known.
    threshold
        Default confidence threshold, tuned on the validation micrographs.
    calibration
        (slope, intercept): what turns the logit of the network's confidence into that of the share of picks that are
        right, measured on data the model was not trained on (Platt 1999); None where that was not measured.
    training
        Data, split, seed, versions: provenance, not read by any code.
    """

    bundle_version: int = 1
    name: str
    description: str = ""
    licence: str = "not stated"
    architecture: str
    options: dict[str, Any] = Field(default_factory=dict)
    preparation: Preparation
    diameter_px: float | None = Field(None, gt=0)
    diameter_angstrom: float | None = Field(None, gt=0)
    diameter_range_angstrom: tuple[_Length, _Length] | None = None
    threshold: float = Field(0.3, ge=0, le=1)
    calibration: tuple[float, float] | None = None
    training: dict[str, Any] = Field(default_factory=dict)

    @field_validator("calibration")
    @classmethod
    def _check_calibration(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        # With a slope of zero, no confidence would say anything; with a negative one, the best picks would go first.
        if value is not None and not value[0] > 0:
            raise ValueError("the slope of a calibration is above 0")
        return value

    @property
    def knows_junk(self) -> bool:
        """Return whether the network says what is junk; networks that can have an option of this name."""
        return bool(self.options.get("junk", False))

    def calibrated(self, confidence: FloatArray) -> FloatArray:
        """Return what the network's confidences are worth, 0-1; without a calibration they stay as they are."""
        if self.calibration is None:
            return confidence
        slope, intercept = self.calibration
        return np.asarray(1 / (1 + np.exp(-(slope * _logit(confidence) + intercept))))

    def uncalibrated(self, confidence: float) -> float:
        """Return the network's confidence that is worth this much: the inverse of `calibrated`."""
        if self.calibration is None:
            return confidence
        slope, intercept = self.calibration
        return float(1 / (1 + np.exp(-(_logit(np.array(confidence)) - intercept) / slope)))


def _logit(confidence: FloatArray) -> FloatArray:
    # float32 sigmoids reach 0 and 1.
    inside = np.clip(confidence, 1e-7, 1 - 1e-7)
    return np.asarray(np.log(inside / (1 - inside)))


def read_model_card(name_or_path: str | Path) -> ModelCard:
    """Return the description of a bundle, without its weights.

    Raises
    ------
    InputError
        If there is no such name or file.
    FormatError
        If the file is not one of our bundles.
    """
    path = resolve(name_or_path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise FormatError(
            f"{path}: not a model bundle (no safetensors file: {error}). vitripick train writes model.safetensors."
        ) from error
    if KEY not in metadata:
        raise FormatError(
            f"{path}: a safetensors file without a vitripick description; bundles come from vitripick train."
        )
    try:
        return ModelCard.model_validate(parse_json_object(metadata[KEY]))
    except (ValidationError, ValueError) as error:
        raise FormatError(
            f"{path}: this bundle's description cannot be used ({_briefly(error)}); was it written by a newer "
            "vitripick?"
        ) from error


def _briefly(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return problems(error, ModelCard)
    return str(error)


def file_sha256(path: str | Path) -> str:
    """Return the hash of the file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else (hashlib.sha256(file.read()).hexdigest())
        )


def resolve(name_or_path: str | Path) -> Path:
    """Return where a released model, or the bundle of this path, lies.

    Raises
    ------
    InputError
        If there is neither.
    """
    if str(name_or_path) in (*RELEASED, *OF_FILAMENTS):
        return released_path(str(name_or_path))
    path = Path(name_or_path)
    if not path.is_file():
        raise InputError(
            f"no model {str(name_or_path)!r}: neither a released one ({', '.join(RELEASED) or 'none yet'}) "
            "nor a file. `vitripick models` lists what is there."
        )
    return path
