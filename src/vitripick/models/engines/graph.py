"""Keep a network as an ONNX graph: beside a released model, or made once by torch and stored in the cache.

A graph is two files, `KEY.json` and the `.onnx` that it names. The JSON holds the hash of the other file and is written
last. So remains of a killed process or a full disk are recognised and made again, and processes that make the same
graph at the same time do not disturb each other.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from pydantic import Field, ValidationError

from vitripick.atomic import write_bytes_atomically, write_text_atomically
from vitripick.json_toml import read_json_object
from vitripick.models.card import file_sha256
from vitripick.models.detections import Decoding
from vitripick.models.model import Model
from vitripick.settings import Settings

GraphPrecision: TypeAlias = Literal["fp32", "int8"]
GRAPH_PRECISIONS: tuple[GraphPrecision, ...] = get_args(GraphPrecision)
# This number is increased when older graphs would give other picks; they are then no longer used.
_LAYOUT = 1
# This variable names the folder for graphs of your own models; by default it is XDG's cache folder.
CACHE_VARIABLE = "VITRIPICK_CACHE"


class GraphInfo(Settings):
    """Holds the contents of a graph's JSON.

    Attributes
    ----------
    model_sha256
        Hash of the bundle that it was made from.
    precision
        `"fp32"` or `"int8"`.
    decoding
        How the maps are read.
    file, file_sha256
        The ONNX file beside this one.
    agreement
        How well it agreed with torch when it was made.
    made_with
        Versions of the libraries; no code reads them.
    """

    layout: int = _LAYOUT
    model_sha256: str
    precision: GraphPrecision
    decoding: Decoding
    file: str
    file_sha256: str
    agreement: dict[str, float] = Field(default_factory=dict)
    made_with: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """Holds a graph whose files are complete."""

    path: Path
    info: GraphInfo


def cache_folder() -> Path:
    """Return where graphs are kept: `$VITRIPICK_CACHE`, else `vitripick` in the user's cache (XDG's on Linux)."""
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE])
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        given = os.environ.get("XDG_CACHE_HOME", "")
        # The specification asks to ignore relative paths.
        base = given if os.path.isabs(given) else str(Path.home() / ".cache")
    return Path(base) / "vitripick"


def find_graph(model: Model, precision: GraphPrecision) -> Graph | None:
    """Return the graph of this model: the one that ships beside it, else the cached one, else None."""
    return shipped_graph(model, precision) or _read(_cached(model.sha256, precision), model, precision)


def shipped_graph(model: Model, precision: GraphPrecision) -> Graph | None:
    """Return the graph that lies beside the bundle; else None."""
    return None if model.path is None else _read(beside(model.path, precision), model, precision)


def beside(bundle: Path, precision: GraphPrecision) -> Path:
    """Return the JSON of a graph that lies beside its model: `model.fp32.json` for `model.safetensors`."""
    return bundle.with_suffix(f".{precision}.json")


def keep_graph(onnx: bytes, info: GraphInfo, place: Path | None = None) -> Graph:
    """Put a new graph into the cache, or as `place`.json; the names and hashes in `info` are filled in here.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    digest = hashlib.sha256(onnx).hexdigest()
    where = _cached(info.model_sha256, info.precision) if place is None else place
    # The name holds the hash of the content, so the JSON of another process never names this process's file, or half of
    # it.
    name = f"{where.stem}.{digest[:12]}.onnx" if place is None else f"{where.stem}.onnx"
    info = info.model_copy(update={"file": name, "file_sha256": digest})
    write_bytes_atomically(where.with_name(name), onnx)
    write_text_atomically(where, json.dumps(info.model_dump(), indent=1) + "\n")
    return Graph(where.with_name(name), info)


def _cached(sha256: str, precision: GraphPrecision) -> Path:
    return cache_folder() / "graphs" / f"{sha256}.{precision}.json"


def _read(path: Path, model: Model, precision: GraphPrecision) -> Graph | None:
    """Return the graph, or None if it is missing, incomplete, or of another model."""
    try:
        info = GraphInfo.model_validate(read_json_object(path))
        onnx = path.with_name(info.file)
        is_there = onnx.is_file()
    except (OSError, ValueError, ValidationError):  # ValueError: not JSON, not UTF-8, or not the name of a file
        return None
    if (info.model_sha256, info.precision, info.layout) != (model.sha256, precision, _LAYOUT) or not is_there:
        return None
    return Graph(onnx, info) if file_sha256(onnx) == info.file_sha256 else None
