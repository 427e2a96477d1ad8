"""List the models that ship inside the package."""

from __future__ import annotations

from pathlib import Path

from vitripick.errors import InputError

_FOLDER = Path(__file__).parent / "released"

# Name to file. The card of each one describes it; `vitripick models` prints it.
RELEASED: dict[str, str] = {"general": "general.safetensors"}

DEFAULT_MODEL = "general"

# Models that trace filaments: their bundles hold another network.
OF_FILAMENTS: dict[str, str] = {"filaments": "filaments.safetensors"}


def released_path(name: str) -> Path:
    """Return the file of a released model.

    Raises
    ------
    InputError
        If the installation lacks it.
    """
    path = _FOLDER / {**RELEASED, **OF_FILAMENTS}[name]
    if not path.is_file():
        raise InputError(f"{path}: the released model {name!r} is missing from this installation; install again.")
    return path
