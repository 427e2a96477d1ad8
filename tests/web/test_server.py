"""The server as the page sees it."""

import csv
import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import starfile

from vitripick.atomic import host_name
from vitripick.cli.app import run
from vitripick.errors import InputError
from vitripick.formats import read_all_picks, read_picks, write_mrc, write_picks
from vitripick.geometry import Boxes
from vitripick.web.session import open_session

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_killed_server_has_kept_every_edit_it_acknowledged(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out")
    an_id = server.ids()["mic0.mrc"]
    acknowledged = []
    for i in range(30):
        status, answer = server.post(
            f"/api/micrographs/{an_id}/edit", {"revision": i + bool(i), "add": [[i + 1, i + 3, 9]]}
        )
        assert status == 200, answer
        acknowledged.append([float(i + 3), 9.0])
        if i == 17:
            server.kill()
            break
    server = serve(micrographs, "--out", tmp_path / "out")
    labels = server.get(f"/api/micrographs/{an_id}")[1]["labels"]
    assert [row[1:] for row in labels] == acknowledged
    assert read_picks(tmp_path / "out/labels/mic0.csv").centres.tolist() == acknowledged


def test_a_server_killed_in_mid_edit_starts_again_whole(serve, micrographs, tmp_path):
    """Killed while edits rain in: what is there is what was acknowledged, or one edit more."""
    import threading

    server = serve(micrographs, "--out", tmp_path / "out")
    an_id = server.ids()["mic0.mrc"]
    acknowledged = 0

    def rain():
        nonlocal acknowledged
        for i in range(10_000):
            try:
                status, _ = server.post(
                    f"/api/micrographs/{an_id}/edit", {"revision": i + bool(i), "add": [[i + 1, 3, 9]]}
                )
            except (OSError, http.client.HTTPException):
                return
            acknowledged += status == 200

    thread = threading.Thread(target=rain)
    thread.start()
    time.sleep(0.4)
    server.kill()
    thread.join()
    server = serve(micrographs, "--out", tmp_path / "out")
    n = len(server.get(f"/api/micrographs/{an_id}")[1]["labels"])
    assert acknowledged > 0
    assert n in (acknowledged, acknowledged + 1)
    assert len(read_picks(tmp_path / "out/labels/mic0.csv")) == n


def test_one_bad_micrograph_is_named_and_the_rest_work(serve, micrographs, tmp_path):
    (micrographs / "bad.mrc").write_bytes(b"no micrograph")
    server = serve(micrographs, "--out", tmp_path / "out")
    ids = server.ids()
    status, answer = server.get(f"/api/micrographs/{ids['bad.mrc']}/image")
    assert status == 422
    assert "bad.mrc" in answer["error"]
    assert server.get(f"/api/micrographs/{ids['bad.mrc']}")[1]["error"]
    assert server.raw("GET", f"/api/micrographs/{ids['mic0.mrc']}/image")[0] == 200


@pytest.mark.parametrize("name", ["star", "cbox", "box", "eman2", "csv"])
def test_labels_go_out_and_come_back_in_every_format_of_one_micrograph(serve, micrographs, tmp_path, name):
    server = serve(micrographs, "--out", tmp_path / "out", "--box-size-px", 20)
    an_id = server.ids()["mic1.mrc"]
    server.post(f"/api/micrographs/{an_id}/edit", {"revision": 0, "add": [[1, 30, 40], [2, 60, 50]]})
    request = {"what": "labels", "formats": [name]}
    names = server.post("/api/export/preview", request)[1]["names"]
    status, answer = server.post("/api/export", request)
    assert (status, answer["n_boxes"]) == (200, 2)
    assert all((tmp_path / "out/exports/001" / path).is_file() for path in names)
    (path,) = [path for path in names if "mic1" in path]
    data = (tmp_path / "out/exports/001" / path).read_bytes()
    other = serve(micrographs, "--out", tmp_path / "other", "--box-size-px", 20)
    status, answer = other.send_file(path.rpartition("/")[2], data)
    assert (status, answer["n_labels"]) == (200, 2), answer
    labels = other.get(f"/api/micrographs/{an_id}")[1]["labels"]
    assert [row[1:] for row in labels] == [[30, 40], [60, 50]]


@pytest.mark.parametrize("name", ["cs", "cryosparc-star", "topaz"])
def test_labels_of_many_micrographs_go_into_one_file(serve, micrographs, tmp_path, name):
    server = serve(micrographs, "--out", tmp_path / "out", "--box-size-px", 20)
    for an_id in server.ids().values():
        server.post(f"/api/micrographs/{an_id}/edit", {"revision": 0, "add": [[1, 30, 40]]})
    assert server.post("/api/export", {"what": "labels", "formats": [name]})[0] == 200
    parts = read_all_picks(next((tmp_path / "out/exports/001").iterdir()))
    assert len(parts) == 2
    assert all(np.allclose(part.centres, [[30, 40]], atol=0.01) for part in parts)


def test_an_import_twice_adds_nothing_and_is_one_undo(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out")
    data = b"x,y,width,height\n30,40,26,26\n60,50,26,26\n"
    assert server.send_file("mic0.csv", data)[1]["n_labels"] == 2
    assert server.send_file("mic0.csv", data)[1]["n_labels"] == 0
    an_id = server.ids()["mic0.mrc"]
    sheet = server.get(f"/api/micrographs/{an_id}")[1]
    assert sheet["box_size_px"] == 26
    assert sheet["can_undo"] == 1


def test_an_unreadable_micrograph_keeps_neither_an_import_nor_a_box_size_from_the_others(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out", "--box-size-px", "20")
    for an_id in server.ids().values():
        server.post(f"/api/micrographs/{an_id}/edit", {"revision": 0, "add": [[1, 30, 40]]})
    server.stop()
    path = micrographs / "mic0.mrc"
    path.write_bytes(path.read_bytes()[:2000])
    server = serve(micrographs, "--out", tmp_path / "out")
    assert server.post("/api/settings", {"box_size_px": 40})[0] == 200
    end = time.monotonic() + 60
    while read_picks(tmp_path / "out/labels/mic1.csv").box_size_px != 40:
        assert time.monotonic() < end
        time.sleep(0.05)
    rows = b"mic0.mrc\t50\t50\nmic1.mrc\t50\t50\n"
    status, answer = server.send_file("both.txt", b"image_name\tx_coord\ty_coord\n" + rows)
    assert (status, answer["n_micrographs"], answer["unreadable"]) == (200, 1, ["mic0.mrc"])


def test_an_import_names_the_rows_that_it_passes_by_without_the_folder_that_the_upload_lies_in(
    serve, micrographs, tmp_path
):
    server = serve(micrographs, "--out", tmp_path / "out")
    _, answer = server.send_file("two.csv", b"x,y,micrograph\n30,40,mic0.mrc\n60,50,\n")
    assert answer["n_labels"] == 1
    assert answer["passed_by"] == [
        {"path": "two.csv", "reason": "1 of 2 rows name no micrograph (first in line 3)"},
    ]


def test_the_command_given_again_brings_no_deleted_label_back(serve, micrographs, tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/mic0.csv").write_text("x,y,width,height\n30,40,26,26\n60,50,26,26\n")
    command = (micrographs, "--out", tmp_path / "out", "--labels", tmp_path / "labels")
    server = serve(*command)
    an_id = server.ids()["mic0.mrc"]
    revision = server.get(f"/api/micrographs/{an_id}")[1]["revision"]
    server.post(f"/api/micrographs/{an_id}/edit", {"revision": revision, "remove": [1]})
    server.stop()
    server = serve(*command)
    assert len(server.get(f"/api/micrographs/{an_id}")[1]["labels"]) == 1


def test_an_import_for_no_micrograph_says_so(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out")
    status, answer = server.send_file("other.csv", b"x,y\n1,1\n")
    assert status == 422
    assert "other.csv" in answer["error"]
    assert str(tmp_path) not in answer["error"]


def picked(folder):
    rows = Boxes.at([30, 60, 64, 90], [40, 50, 50, 20], size_px=20, confidence=[0.9, 0.5, 0.45, 0.1])
    write_picks(rows, folder / "cbox" / "mic0.cbox")
    return folder


def test_picks_are_exported_within_the_limits_of_the_page(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out", "--picks", picked(tmp_path / "picks"))
    an_id = server.ids()["mic0.mrc"]
    server.post("/api/settings", {"threshold": 0.3, "minimum_distance_px": 6})
    server.post(f"/api/micrographs/{an_id}/edit", {"revision": 0, "reject": [[1, 31, 41]]})
    assert server.post("/api/export", {"what": "picks", "formats": ["csv"]})[0] == 200
    boxes = read_picks(tmp_path / "out/exports/001/csv/mic0.csv")
    assert boxes.centres.tolist() == [[60, 50]]


def test_particles_for_relion_have_its_own_names_and_optics(serve, micrographs, tmp_path):
    star_file = tmp_path / "micrographs.star"
    star_file.write_text(
        "data_optics\n\nloop_\n_rlnOpticsGroupName\n_rlnOpticsGroup\n_rlnVoltage\n_rlnMicrographPixelSize\n"
        "late 2 200 1.5\n\n\ndata_micrographs\n\nloop_\n_rlnMicrographName\n_rlnOpticsGroup\n"
        f"{micrographs.name}/mic1.mrc 2\n"
    )
    server = serve(star_file, "--out", tmp_path / "out")
    ((_, an_id),) = server.ids().items()
    server.post(f"/api/micrographs/{an_id}/edit", {"revision": 0, "add": [[1, 30, 40]]})
    assert server.post("/api/export", {"what": "labels", "formats": ["particles-star"]})[0] == 200
    tables = starfile.read(tmp_path / "out/exports/001/particles.star", always_dict=True)
    assert tables["optics"].iloc[0].tolist() == [2, "late", 200, 1.5]
    assert tables["particles"]["rlnMicrographName"].tolist() == [f"{micrographs.name}/mic1.mrc"]


def test_labels_go_before_picks_where_both_are_asked_for(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out", "--picks", picked(tmp_path / "picks"))
    server.post(f"/api/micrographs/{server.ids()['mic1.mrc']}/edit", {"revision": 0, "add": [[1, 7, 8]]})
    server.post("/api/settings", {"threshold": 0.3})
    server.post("/api/export", {"what": "both", "formats": ["csv"]})
    folder = tmp_path / "out/exports/001/csv"
    assert len(read_picks(folder / "mic0.csv")) == 3
    assert read_picks(folder / "mic1.csv").centres.tolist() == [[7, 8]]


def test_the_curve_counts_micrographs_that_are_labelled_completely(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out", "--picks", picked(tmp_path / "picks"), "--box-size-px", 20)
    an_id = server.ids()["mic0.mrc"]
    server.post(f"/api/micrographs/{an_id}/edit", {"revision": 0, "add": [[1, 31, 40], [2, 90, 60]]})
    curve = server.get("/api/picks/given/curve")[1]
    assert not curve["complete_labels"]
    server.post(f"/api/micrographs/{an_id}/flag", {"flag": "complete"})
    curve = server.get("/api/picks/given/curve")[1]
    assert curve["complete_labels"]
    assert curve["n_labels"] == 2
    assert curve["points"][0] == [0.9, 1.0, 0.5]


def test_histograms_count_every_pick(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out", "--picks", picked(tmp_path / "picks"))
    answer = server.get("/api/picks/given")[1]
    assert answer["complete"]
    assert {an_id: sum(bins) for an_id, bins in answer["micrographs"].items()} == {server.ids()["mic0.mrc"]: 4}


def test_picks_at_a_threshold_are_counted_one_by_one(serve, micrographs, tmp_path):
    confidence = [0.3449, 0.345, 0.3451, 0.9]
    write_picks(Boxes.at([20, 40, 60, 80], [20] * 4, size_px=9, confidence=confidence), tmp_path / "picks" / "mic0.csv")
    server = serve(micrographs, "--out", tmp_path / "out", "--picks", tmp_path / "picks")
    assert server.get("/api/picks/given/counts?threshold=0.3")[1]["counts"] == {}  # nothing is read yet
    server.get("/api/picks/given")
    for threshold, n in [(0.3, 4), (0.345, 3), (0.3451, 2), (1, 0)]:
        assert server.get(f"/api/picks/given/counts?threshold={threshold}")[1]["counts"] == {
            server.ids()["mic0.mrc"]: n
        }
    assert server.get("/api/picks/given/counts?threshold=nan")[0] == 400


def test_the_page_counts_a_runs_picks_as_its_quality_csv_does(serve, tmp_path):
    micrographs = EXAMPLES / "betagal/micrographs"
    assert run(["pick", str(micrographs), "--diameter-px", "27", "--out", str(tmp_path / "run")]) == 0
    with open(tmp_path / "run/quality.csv", newline="") as file:
        wanted = {row["micrograph"]: int(row["n_picks"]) for row in csv.DictReader(file)}
    server = serve(micrographs, "--out", tmp_path / "out", "--picks", tmp_path / "run", "--box-size-px", 27)
    [one] = server.get("/api/project")[1]["pick_sets"]
    server.get(f"/api/picks/{one['id']}")
    counts = server.get(f"/api/picks/{one['id']}/counts?threshold={one['threshold']}")[1]["counts"]
    assert {name: counts[id_] for name, id_ in server.ids().items()} == wanted


def test_a_second_server_on_the_project_is_refused(serve, micrographs, tmp_path):
    serve(micrographs, "--out", tmp_path / "out")
    command = [sys.executable, "-m", "vitripick.cli.app", "label", str(micrographs), "--out", str(tmp_path / "out")]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert second.returncode == 2
    assert "has this project open" in second.stderr


def test_settings_and_flags_are_there_after_a_restart(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out")
    an_id = server.ids()["mic0.mrc"]
    server.post("/api/settings", {"box_size_px": 44, "view": {"invert": True, "low": 12.5}})
    server.post(f"/api/micrographs/{an_id}/flag", {"flag": "excluded"})
    server.kill()
    project = serve(micrographs, "--out", tmp_path / "out").get("/api/project")[1]
    assert project["settings"]["box_size_px"] == 44
    assert project["settings"]["view"] == {"invert": True, "low": 12.5}
    assert project["micrographs"][0][3] == "excluded"
    assert json.loads((tmp_path / "out/project.json").read_text())["micrographs"]["mic0.mrc"]["flag"] == "excluded"


def test_the_server_never_loads_torch():
    code = (
        "import sys; import vitripick.web.serve, vitripick.web.session, vitripick.web.worker; "
        "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_tile_has_the_greys_of_the_whole(serve, tmp_path):
    import cv2

    rng = np.random.default_rng(3)
    image = cv2.GaussianBlur(rng.standard_normal((2600, 3000)).astype(np.float32), (0, 0), 12)
    write_mrc(tmp_path / "mics/large.mrc", image, pixel_size=1.0)
    server = serve(tmp_path / "mics", "--out", tmp_path / "out")
    an_id = server.ids()["large.mrc"]

    def picture(path):
        status, _, data = server.raw("GET", f"/api/micrographs/{an_id}/{path}?low=30&high=900")
        assert status == 200
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE).astype(float)

    whole, tile = picture("image"), picture("tiles/2/2")
    assert tile.shape == (2600 - 2048, 3000 - 2048)
    small = cv2.resize(tile, None, fx=2048 / 3000, fy=2048 / 3000, interpolation=cv2.INTER_AREA)
    same = whole[-small.shape[0] :, -small.shape[1] :]
    assert np.abs(same - small).mean() < 6
    assert server.raw("GET", f"/api/micrographs/{an_id}/tiles/3/0")[0] == 400


def test_only_an_unknown_micrograph_is_a_page_that_does_not_exist(serve, micrographs, tmp_path):
    """An unreadable file whose name has the words of the other error in it is still an unreadable file."""
    (micrographs / "no such micrograph.mrc").write_bytes(b"no micrograph")
    server = serve(micrographs, "--out", tmp_path / "out")
    assert server.get("/api/micrographs/000000000000")[0] == 404
    an_id = server.ids()["no such micrograph.mrc"]
    status, answer = server.get(f"/api/micrographs/{an_id}/image")
    assert "no such micrograph" in answer["error"]
    assert status == 422


def test_an_import_of_labels_in_another_frame_says_which_option_mends_them(serve, tmp_path):
    server = serve("examples/apoferritin/micrographs", "--out", tmp_path / "out")
    name = "May08_03.05.02.csv"
    labels = read_picks(f"examples/apoferritin/labels/{name}").of(shape=(1200, 1240))
    write_picks(labels.flipped(1200), tmp_path / name)
    answer = server.send_file(name, (tmp_path / name).read_bytes())[1]
    assert answer["n_labels"] == len(labels)
    assert "--flip-y" in answer["hint"]


def test_no_answer_waits_for_the_acknowledgement_of_its_first_half(serve, micrographs, tmp_path):
    """The head and the body are two writes; without TCP_NODELAY the second waits 40 ms on a connection that is kept."""
    server = serve(micrographs, "--out", tmp_path / "out")
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    seconds = []
    for _ in range(24):
        started = time.perf_counter()
        connection.request("GET", "/api/status", headers=server.session)
        assert connection.getresponse().read()
        seconds.append(time.perf_counter() - started)
    connection.close()
    # A busy machine makes some answers slow, the wait made every one slow.
    assert sorted(seconds)[6] < 0.02, seconds


def test_an_export_of_several_formats_is_all_or_nothing(serve, tmp_path):
    write_mrc(tmp_path / "mics/mic0.mrc", np.random.default_rng(0).standard_normal((90, 120)).astype(np.float32))
    server = serve(tmp_path / "mics", "--out", tmp_path / "out", "--box-size-px", "20")
    an_id = server.ids()["mic0.mrc"]
    server.post(f"/api/micrographs/{an_id}/edit", {"revision": 0, "add": [[1, 30, 40]]})
    status, answer = server.post("/api/export", {"what": "labels", "formats": ["star", "cistem"]})
    assert status == 400, answer  # cisTEM counts in Å, and the pixel size is not known
    assert "vitripick-tmp" not in answer["error"]
    assert list((tmp_path / "out/exports").iterdir()) == []
    assert server.post("/api/export", {"what": "labels", "formats": ["star"]})[1]["folder"].endswith("exports/001")
    listed = (tmp_path / "out/exports/001/autopick.star").read_text()
    assert str(tmp_path / "out/exports/001/star") in listed


def test_what_a_killed_server_was_writing_is_removed(serve, micrographs, tmp_path):
    serve(micrographs, "--out", tmp_path / "out").stop()
    left = tmp_path / "out/labels" / f".vitripick-tmp.{host_name()}.{2**22 + 1}.abc.csv"
    left.parent.mkdir(exist_ok=True)
    left.touch()
    serve(micrographs, "--out", tmp_path / "out").stop()
    assert not left.exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("deep.json", b"[" * 100_000),
        ("cut.cs", b"\x93NUMPY\x01\x00\x76\x00{'descr': [('a', '<f4'"),
        ("deep.cs", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535),
    ],
)
def test_a_damaged_file_is_refused_in_a_sentence(serve, micrographs, tmp_path, name, data):
    server = serve(micrographs, "--out", tmp_path / "out")
    status, answer = server.send_file(name, data)
    assert status == 422
    assert name in answer["error"]


def test_a_name_with_a_line_separator_keeps_its_labels_and_does_not_stop_a_training(serve, tmp_path, new_micrographs):
    folder = new_micrographs(tmp_path / "mics", n=1)
    (folder / "mic0.mrc").rename(folder / "a\u2028b\x85c.mrc")
    server = serve(folder, "--out", tmp_path / "out")
    (an_id,) = server.ids().values()
    server.post(f"/api/micrographs/{an_id}/edit", {"revision": 0, "add": [[n, 10 * n, 40] for n in range(1, 8)]})
    server.kill()
    server = serve(folder, "--out", tmp_path / "out")
    assert len(server.get(f"/api/micrographs/{an_id}")[1]["labels"]) == 7
    status, answer = server.post("/api/train", {"start": "scratch", "then_pick": "none", "steps": 1})
    assert status == 200, answer


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"vitripick_project": 1, "settings": {"threshold": 7}, "micrographs": {}}']
)
def test_a_damaged_project_file_is_told_in_a_sentence(micrographs, tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/project.json").write_text(text)
    command = [sys.executable, "-m", "vitripick.cli.app", "label", str(micrographs), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "pydantic" not in done.stderr
    assert "move it away" in done.stderr


def test_the_start_says_what_takes_time(serve, micrographs, tmp_path):
    said = "".join(serve(micrographs, "--out", tmp_path / "out").said)
    assert said.index("Searching for micrographs") < said.index("2 micrographs: opening the project")


def test_picks_that_are_not_there_are_refused_at_the_start(micrographs, tmp_path):
    with pytest.raises(InputError, match="there are no such picks"):
        open_session([micrographs], tmp_path / "out", picks=tmp_path / "nowhere")


def test_one_name_that_is_not_utf8_leaves_out_that_micrograph_alone_and_says_so(micrographs, tmp_path, caplog):
    os.rename(micrographs / "mic0.mrc", os.fsencode(micrographs) + b"/m\xfcller.mrc")
    session = open_session([micrographs], tmp_path / "out")
    assert [entry.file.name for entry in session.project.entries.values()] == ["mic1.mrc"]
    assert r"m\xfcller.mrc" in caplog.text
    os.remove(micrographs / "mic1.mrc")
    with pytest.raises(InputError, match="not UTF-8"):
        open_session([micrographs], tmp_path / "other")


def test_the_first_box_is_the_same_on_every_micrograph(tmp_path, new_micrographs):
    new_micrographs(tmp_path / "mics", 1)
    new_micrographs(tmp_path / "mics" / "large", 1, shape=(400, 500))
    project = open_session([tmp_path / "mics"], tmp_path / "out").project
    assert len({project.box_size_px(entry) for entry in project.entries.values()}) == 1


def test_a_window_of_an_earlier_start_hears_of_every_micrograph(serve, micrographs, tmp_path):
    """It may have missed anything, also where the new server has counted beyond its number since."""
    server = serve(micrographs, "--out", tmp_path / "out")
    known = server.get("/api/project")[1]["changes"]
    server.stop()
    server = serve(micrographs, "--out", tmp_path / "out")
    for flag in ("complete", "excluded", None):
        server.post(f"/api/micrographs/{server.ids()['mic0.mrc']}/flag", {"flag": flag})
    missed = server.get(f"/api/status?since={known}")[1]
    assert len(missed["rows"]) == 2
    assert missed["settings"]
    assert None in missed["revisions"].values()  # not read yet, so the window asks for it
    assert server.get(f"/api/status?since={missed['changes']}")[1]["rows"] == []
