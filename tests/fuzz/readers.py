"""Make the sound files and the readers that `mutate.py` tries: every kind of file that vitripick reads."""

from __future__ import annotations

import bz2
import gzip
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile

from fuzz.mutate import (
    Reader,
    change_bytes,
    change_card,
    change_inside_gzip,
    change_json,
    change_lines_of_json,
    change_npz,
    change_text,
)
from made import cryosparc_particles
from vitripick.formats import find_micrographs, read_header, read_micrograph, read_picks, write_mrc, write_picks
from vitripick.formats.picks.table import FORMATS
from vitripick.geometry import Boxes
from vitripick.images import Preparation
from vitripick.models import build_detector, load_weights, read_model_card, save_model
from vitripick.models.bundle import TorchModel
from vitripick.models.card import ModelCard
from vitripick.models.engines import graph
from vitripick.models.model import open_model
from vitripick.programs.dask import read_cluster_settings
from vitripick.run_layout import RunLayout
from vitripick.runs.folder import read_run_folder
from vitripick.runs.record import Record, read_failure, read_record, write_failure, write_record
from vitripick.runs.survey import read_survey
from vitripick.runs.watch.lock import refuse_if_watched
from vitripick.simulation import read_structure
from vitripick.simulation.scene_recipe import load_scene_recipe
from vitripick.simulation.structures.library import bundled_structures
from vitripick.training.areas import read_areas
from vitripick.training.plan import read_training_plan
from vitripick.web.job import read_job
from vitripick.web.project import open_project
from vitripick.web.sheet import read_log
from vitripick.web.sheet_files import read_areas_file

_DATA = Path(__file__).parents[1] / "data"
_SHAPE = (40, 56)
_PDB = """ATOM      1  N   ALA A   1      11.104   6.134  -6.504  1.00  0.00           N
ATOM      2  CA  ALA A   1      11.639   6.071  -5.147  1.00  0.00           C
ATOM      3  P    DA A   2      15.104   9.134  -1.504  1.00  0.00           P
END
"""
_CIF = """data_X
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_entity_id
_atom_site.label_seq_id
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.B_iso_or_equiv
_atom_site.auth_asym_id
_atom_site.auth_seq_id
_atom_site.pdbx_PDB_model_num
ATOM 1 N N . ALA A 1 1 1.0 2.0 3.0 1.0 20.0 A 1 1
ATOM 2 C CA . ALA A 1 1 2.0 12.0 3.5 1.0 20.0 A 1 1
ATOM 3 C C . ALA A 1 1 13.0 2.5 3.0 1.0 20.0 A 1 1
ATOM 4 P P . DA B 2 1 14.0 -2.5 13.0 1.0 20.0 B 1 1
"""
_PLAN = """[training]
steps = 100
learning_rate = 0.001
[training.augmentation]
[[sets]]
micrographs = "m"
labels = "l"
[[simulated]]
structures = "s"
[all_simulated]
"""
_SURVEY = {
    "vitripick": "0.1.0",
    "model": "general",
    "model_sha256": "x",
    "threshold": None,
    "made_from": {},
}


def all_readers(folder: Path) -> list[Reader]:
    """Return every reader with a sound file of its own below `folder`."""
    return [
        *_micrographs(folder / "micrographs"),
        *_picks(folder / "picks"),
        *_structures(folder / "structures"),
        *_run(folder / "run"),
        *_page(folder / "page"),
        *_models(folder / "models"),
        *_tables(folder / "tables"),
    ]


def _micrographs(folder: Path) -> list[Reader]:
    folder.mkdir(parents=True)
    image = np.random.default_rng(0).normal(0, 20, _SHAPE).astype(np.float32)
    grey = np.clip(image + 128, 0, 255).astype(np.uint8)
    for kind in ("f4", "i1", "u2", "f2"):
        write_mrc(folder / f"{kind}.mrc", np.abs(image) if kind == "u2" else image, pixel_size=1.5, dtype=kind)
    packed = bytearray((folder / "i1.mrc").read_bytes())
    packed[12:16] = struct.pack("<i", 101)
    (folder / "packed.mrc").write_bytes(packed[: 1024 + _SHAPE[0] * _SHAPE[1] // 2])
    plain = (folder / "f4.mrc").read_bytes()
    (folder / "a.mrc.gz").write_bytes(gzip.compress(plain))
    (folder / "a.mrc.bz2").write_bytes(bz2.compress(plain))
    tifffile.imwrite(folder / "a.tif", image)
    tifffile.imwrite(folder / "ome.ome.tif", grey, metadata={"axes": "YX"})
    tifffile.imwrite(folder / "imagej.tif", grey, imagej=True)
    tifffile.imwrite(folder / "deflate.tiff", grey, compression="zlib", tile=(16, 16), bigtiff=True)
    for suffix in (".png", ".jpg"):
        (folder / f"a{suffix}").write_bytes(cv2.imencode(suffix, grey)[1].tobytes())
    names = ("f4.mrc", "i1.mrc", "u2.mrc", "f2.mrc", "packed.mrc", "a.mrc.bz2", "a.tif", "ome.ome.tif")
    readers = [Reader(name, folder / name, _header_and_pixels, change_bytes) for name in names]
    readers += [Reader(n, folder / n, _header_and_pixels, change_bytes) for n in ("imagej.tif", "deflate.tiff")]
    readers += [Reader(n, folder / n, _header_and_pixels, change_bytes) for n in ("a.png", "a.jpg")]
    return [*readers, Reader("a.mrc.gz", folder / "a.mrc.gz", _header_and_pixels, change_inside_gzip)]


def _header_and_pixels(path: Path) -> None:
    read_header(path)
    read_micrograph(path, slice_index=0)


def _picks(folder: Path) -> list[Reader]:
    folder.mkdir(parents=True)
    boxes = Boxes.at(
        [10.0, 30.5],
        [5.0, 25.25],
        size_px=12.0,
        confidence=[0.9, 0.4],
        micrograph="a.mrc",
        shape=_SHAPE,
        pixel_size=1.5,
    )
    readers = []
    for one in FORMATS.values():
        if one.write is None or one.read is None:
            continue
        path = folder / f"{one.name}{one.suffixes[0]}"
        write_picks(boxes, path, format=one.name)
        change = {".json": change_json, ".cs": change_bytes}.get(path.suffix, change_text)
        readers.append(Reader(f"picks {one.name}", path, _reading(one.name), change))
    for path in sorted(_DATA.iterdir()):
        if path.is_file() and path.suffix in (".star", ".cbox", ".txt", ".json"):
            if path.suffix == ".star" and "_rlnCoordinateX" not in path.read_text(encoding="utf-8"):
                continue  # lists of micrographs lie there, too; they have a reader of their own below
            copy = Path(shutil.copy(path, folder / path.name))
            change = change_json if path.suffix == ".json" else change_text
            readers.append(Reader(f"picks {path.name}"[:24], copy, lambda where: _read_quietly(where), change))
    refined = cryosparc_particles(
        folder / "refined.cs",
        {
            "uid": np.array([3, 5], np.uint64),
            "location/micrograph_path": ["a.mrc", "a.mrc"],
            "location/micrograph_shape": np.array([_SHAPE] * 2, np.uint32),
            "location/micrograph_psize_A": np.full(2, 1.5, np.float32),
            "location/center_x_frac": np.array([0.2, 0.6], np.float32),
            "location/center_y_frac": np.array([0.3, 0.5], np.float32),
            "alignments2D/shift": np.array([[1.0, -2.0], [0.0, 3.0]], np.float32),
            "alignments2D/psize_A": np.full(2, 3.0, np.float32),
            "alignments2D/class": np.array([0, 4], np.uint32),
        },
    )
    readers.append(Reader("picks refined .cs", refined, lambda where: _read_quietly(where), change_bytes))
    for name in ("b", "c"):
        write_mrc(folder / f"{name}.mrc", np.ones(_SHAPE, np.float32))
    (folder / "micrographs.star").write_text(
        f"data_micrographs\n\nloop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n{folder}/b.mrc 1\n{folder}/c.mrc 1\n"
    )
    listing = Reader("micrographs STAR", folder / "micrographs.star", lambda p: find_micrographs([p]), change_text)
    return [*readers, listing]


def _reading(name: str) -> Any:
    def read(path: Path) -> None:
        read_picks(path, format=name)

    return read


def _read_quietly(path: Path) -> None:
    from vitripick.formats import read_all_picks

    read_all_picks(path)


def _structures(folder: Path) -> list[Reader]:
    folder.mkdir(parents=True)
    volume = np.random.default_rng(0).random((8, 8, 8)).astype(np.float32)
    np.savez(folder / "map.npz", map=volume, apix=np.float64(3.0))
    smallest = min(bundled_structures().values(), key=lambda path: path.stat().st_size)
    with np.load(smallest) as saved:
        np.savez(folder / "saved.npz", **{k: v[:200] if k in ("xyz", "net") else v for k, v in saved.items()})
    (folder / "a.pdb").write_text(_PDB)
    (folder / "a.cif").write_text(_CIF)
    import mrcfile

    with mrcfile.new(folder / "a.map", overwrite=True) as file:
        file.set_data(volume)
        file.voxel_size = 3.0
    kinds = {"map.npz": change_npz, "saved.npz": change_npz, "a.pdb": change_text, "a.cif": change_text}
    readers = [Reader(f"structure {name}", folder / name, read_structure, change) for name, change in kinds.items()]
    (folder / "a.pdb.gz").write_bytes(gzip.compress(_PDB.encode()))
    return [
        *readers,
        Reader("structure a.map", folder / "a.map", read_structure, change_bytes),
        Reader("structure a.pdb.gz", folder / "a.pdb.gz", read_structure, change_inside_gzip),
    ]


def _run(folder: Path) -> list[Reader]:
    layout = RunLayout(folder)
    record = Record("a.mrc", "a.mrc", "a", _SHAPE, 1.5, 1, 1, exported={"cbox": 0.05}, warnings=("w",), engine="torch")
    write_record(record, layout)
    write_picks(Boxes.at([5.0], [5.0], size_px=8.0, confidence=[0.5]), layout.store("a"), format="cbox")
    write_failure({"micrograph": "b.mrc", "path": "b.mrc", "error": "broken", "made_from": {}}, layout, "b")
    layout.failures.write_text(json.dumps({"micrograph": "b.mrc", "path": "b.mrc", "error": "broken"}) + "\n")
    run = {"threshold": 0.3, "settings": {"formats": ["cbox"]}, "micrographs": [{"name": "a.mrc", "stem": "a"}]}
    layout.run.write_text(json.dumps(run))
    layout.log.mkdir()
    lines = [
        {"at": 1.0, "micrograph": "a.mrc", "seconds": 0.5, "timings": {"read": 0.1}},
        {"at": 2.0, "run": {"seconds": 3}},
    ]
    log = layout.log / "h.1.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    layout.survey.write_text(json.dumps(_SURVEY))
    lock = folder / "watch.lock"
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 5, "token": "t"}))
    (path,) = [layout.record("a")]

    def whole(_: Path) -> None:
        found = read_run_folder(folder)
        found.read_picks()
        assert found.threshold is None or 0 <= found.threshold <= 1

    return [
        Reader("record", path, read_record, change_json),
        Reader("failure", layout.failure("b"), read_failure, change_json),
        Reader("run: record", path, whole, change_json),
        Reader("run: run.json", layout.run, whole, change_json),
        Reader("run: log", log, whole, change_lines_of_json),
        Reader("run: failures.jsonl", layout.failures, whole, change_lines_of_json),
        Reader("survey.json", layout.survey, read_survey, change_json),
        Reader("watch.lock", lock, lambda _: refuse_if_watched(folder), change_json),
    ]


def _page(folder: Path) -> list[Reader]:
    folder.mkdir(parents=True)
    history, areas, job = folder / "a.jsonl", folder / "areas" / "a.json", folder / "job.json"
    lines: list[dict[str, Any]] = [
        {"vitripick_history": 1, "micrograph": "a.mrc", "labels": [[1, 2.0, 3.0]], "areas": [], "rejected": []},
        {"time": "2026-01-01", "edit": {"add": [[2, 5.0, 6.0]], "move": [[1, 2.0, 3.0, 4.0, 4.0]]}},
        {"time": "2026-01-01", "edit": {"add_areas": [[3, [[0, 0], [5, 0], [5, 5]]]], "reject": [[4, 1.0, 1.0]]}},
        {"time": "2026-01-01", "undo": True},
    ]
    history.write_text("".join(json.dumps(line) + "\n" for line in lines))
    areas.parent.mkdir()
    areas.write_text(json.dumps({"complete": False, "ignored": [[[0, 0], [5, 0], [5, 5]]], "rejected": [[1, 1]]}))
    job.write_text(json.dumps({"kind": "pick", "title": "t", "n_pick": 3, "diameter_px": 20.0, "trained_on": ["a"]}))
    write_mrc(folder / "m" / "a.mrc", np.ones(_SHAPE, np.float32), pixel_size=1.0)
    out = folder / "project"
    out.mkdir()
    settings = {"box_size_px": 20.0, "threshold": 0.3, "view": {}}
    project = out / "project.json"
    said = {"a.mrc": {"flag": "complete", "seen": True}, "b.mrc": {"flag": None}}
    project.write_text(json.dumps({"vitripick_project": 1, "settings": settings, "micrographs": said}))
    return [
        Reader("history", history, read_log, change_lines_of_json),
        Reader("areas of the page", areas, read_areas_file, change_json),
        Reader("areas of a training", areas, lambda path: read_areas(path.parent, ["a.mrc"]), change_json),
        Reader("job.json", job, read_job, change_json),
        Reader("project.json", project, lambda _: open_project([folder / "m"], out, read_only=True), change_json),
    ]


def _models(folder: Path) -> list[Reader]:
    folder.mkdir(parents=True)
    options = {"width": 4, "stride": 4}
    card = ModelCard(
        name="small",
        architecture="heatmap",
        options=options,
        preparation=Preparation(),
        diameter_angstrom=100.0,
        calibration=(1.0, 0.0),
    )
    bundle = folder / "small.safetensors"
    save_model(TorchModel(build_detector("heatmap", options), card), bundle)
    model = open_model("general")
    assert model.path is not None
    info = folder / "general.fp32.json"
    shutil.copy(model.path.with_suffix(".fp32.json"), info)
    return [
        Reader("model card", bundle, read_model_card, change_card),
        Reader("model bundle", bundle, load_weights, change_card),
        Reader("graph", info, lambda path: graph._read(path, model, "fp32"), change_json),
    ]


def _tables(folder: Path) -> list[Reader]:
    folder.mkdir(parents=True)
    files = {
        "plan.toml": _PLAN,
        "cluster.toml": 'kind = "local"\njobs = 2\n[options]\nmemory = "4 GB"\n',
        "scene.toml": 'base = "general"\n[particles]\ncount = 50\n',
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return [
        Reader("training plan", folder / "plan.toml", read_training_plan, change_text),
        Reader("cluster settings", folder / "cluster.toml", read_cluster_settings, change_text),
        Reader("scene recipe", folder / "scene.toml", load_scene_recipe, change_text),
    ]
