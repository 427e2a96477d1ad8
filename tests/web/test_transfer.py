"""Files between the browser and the project."""

import io
import json
import urllib.parse
import zipfile

from vitripick.formats import write_picks
from vitripick.geometry import Boxes


def bytes_of(tmp_path, name, boxes):
    path = tmp_path / "made" / name
    write_picks(boxes, path)
    return path.read_bytes()


def drop(server, name, data, batch="20260101-120000"):
    path = f"/api/import?picks={batch}&name=" + urllib.parse.quote(name)
    status, _, answer = server.raw("POST", path, data, {"Content-Type": "application/octet-stream"})
    return status, json.loads(answer)


def test_an_export_comes_as_one_file(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out")
    server.send_file("mic0.csv", bytes_of(tmp_path, "mic0.csv", Boxes.at([30, 60], [40, 50], size_px=16)))
    server.post("/api/export", {"what": "labels", "formats": ["box", "csv"]})
    status, headers, data = server.raw("GET", "/api/exports/001")
    assert (status, headers["content-type"]) == (200, "application/zip")
    written = {path.relative_to(tmp_path / "out/exports/001").as_posix(): path.read_bytes() for path in
               (tmp_path / "out/exports/001").rglob("*") if path.is_file()}  # fmt: skip
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        assert {name.partition("/")[2]: packed.read(name) for name in packed.namelist()} == written


def test_nothing_but_an_export_can_be_downloaded(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out")
    (tmp_path / "out/exports").mkdir(parents=True)
    (tmp_path / "out/exports/007").symlink_to(micrographs)
    for name in ("001", "007", "..", "%2e%2e", "labels", "1"):
        assert server.raw("GET", f"/api/exports/{name}")[0] == 404


def test_an_import_says_which_micrographs_got_labels(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out")
    _, answer = server.send_file("mic1.csv", bytes_of(tmp_path, "mic1.csv", Boxes.at([30, 60], [40, 50], size_px=16)))
    assert answer["matched"] == [["mic1.mrc", 2]]


def test_dropped_picks_are_one_set_that_outlives_the_server(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out")
    one = bytes_of(tmp_path, "mic0.cbox", Boxes.at([30, 60], [40, 50], size_px=16, confidence=[0.9, 0.4]))
    other = bytes_of(tmp_path, "mic1.cbox", Boxes.at([50], [50], size_px=16, confidence=[0.8]))
    assert drop(server, "mic0.cbox", one)[1]["matched"] == [["mic0.mrc", 2]]
    assert drop(server, "mic1.cbox", other)[0] == 200
    assert server.post("/api/settings", {"pick_set": "20260101-120000"})[0] == 200
    server.stop()
    server = serve(micrographs, "--out", tmp_path / "out")
    project = server.get("/api/project")[1]
    assert [s["title"] for s in project["pick_sets"]] == ["mic0.cbox and 1 more"]
    assert project["pick_set"] == "20260101-120000"
    ids = server.ids()
    counts = [
        len(server.get(f"/api/picks/20260101-120000/{ids[name]}")[1]["picks"]) for name in ("mic0.mrc", "mic1.mrc")
    ]
    assert counts == [2, 1]


def test_a_dropped_file_that_fits_nothing_leaves_nothing(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out")
    stranger = bytes_of(tmp_path, "other.cbox", Boxes.at([30], [40], size_px=16, confidence=[0.9]))
    for name, data in (("other.cbox", stranger), ("mic0.star", b"no star"), ("mic0.nonsense", b"?")):
        status, answer = drop(server, name, data)
        assert 400 <= status < 500, answer
        assert str(tmp_path) not in answer["error"]
    assert drop(server, "mic0.cbox", stranger, batch="../x")[0] == 400
    assert not list((tmp_path / "out/picks").iterdir())
    assert server.get("/api/project")[1]["pick_sets"] == []
