"""Read the description of a bundle, without its weights and without torch."""

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
    """Holds the description of a model in its bundle.

    Attributes
    ----------
    bundle_version
        Version of this description's layout.
    name, description, licence
        Texts for the user.
    architecture, options
        The arguments of `build_detector`.
    preparation
        How micrographs are prepared for the network.
    diameter_px, diameter_angstrom
        Diameter of the particle, if the model was trained on one particle; picking uses it by default.
    diameter_range_angstrom
        Smallest and largest diameter of the training particles, if known.
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
        # With a slope of zero, all confidences would be equal; with a negative one, the best picks would be dropped
        # first.
        if value is not None and not value[0] > 0:
            raise ValueError("the slope of a calibration is above 0")
        return value

    @property
    def knows_junk(self) -> bool:
        """Return whether the network says what is junk; networks that can have an option of this name."""
        return bool(self.options.get("junk", False))

    def calibrated(self, confidence: FloatArray) -> FloatArray:
        """Return the calibrated confidences, 0-1; without a calibration they stay as they are."""
        if self.calibration is None:
            return confidence
        slope, intercept = self.calibration
        return np.asarray(1 / (1 + np.exp(-(slope * _logit(confidence) + intercept))))

    def uncalibrated(self, confidence: float) -> float:
        """Return the network's own confidence for a calibrated one: the inverse of `calibrated`."""
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
    """Return the path of a released model, or of the bundle at this path.

    Raises
    ------
    InputError
        If there is no such model and no such file.
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
