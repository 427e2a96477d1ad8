"""Picks for cryoSPARC: names, the two files, and the External job against a stand-in for the instance."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath

import httpx
import numpy as np
import pytest
import starfile
from cryosparc.dataset import Dataset
from cryosparc.errors import APIError

from made import relion_particles, rings
from vitripick.errors import InputError
from vitripick.formats import read_micrograph, read_picks, write_mrc, write_picks
from vitripick.geometry import Boxes
from vitripick.models import load_model
from vitripick.programs import cryosparc_job
from vitripick.programs.cryosparc_job import run_cryosparc_job
from vitripick.runs import PickSettings

UID = "000123456789012345678"


@pytest.fixture
def picks(tmp_path):
    """Two micrographs that cryoSPARC exported, picked; with one weak pick."""
    for i in (1, 2):
        boxes = Boxes.at([10.5 * i, 40], [20, 300], size_px=16, confidence=[0.9, 0.2])
        write_picks(boxes, tmp_path / "picks" / f"{UID}_mic{i}_patch_aligned.cbox")
    return tmp_path / "picks"


def exposures(tmp_path, *names):
    rows = np.zeros(len(names), [("uid", "<u8"), ("micrograph_blob/path", "S80")])
    rows["uid"] = np.arange(len(names)) + 7
    rows["micrograph_blob/path"] = [name.encode() for name in names]
    with open(tmp_path / "exposures.cs", "wb") as file:
        np.save(file, rows, allow_pickle=False)
    return tmp_path / "exposures.cs"


def test_a_dry_run_prints_the_names_and_writes_nothing(vitripick, picks, tmp_path):
    outcome = vitripick("cryosparc", picks, "--out", tmp_path / "p.star", "--strip-uid", "--dry-run")
    assert outcome.code == 0
    assert f"{UID}_mic1_patch_aligned  ->  mic1_patch_aligned" in outcome.out
    assert not (tmp_path / "p.star").exists()


def test_every_step_of_the_mapping_has_its_place(vitripick, picks, tmp_path):
    steps = ["--strip-uid", "--strip-prefix", "mi", "--strip-suffix", "_patch_aligned", "--add-prefix", "A_"]
    outcome = vitripick("cryosparc", picks, "--out", tmp_path / "p.star", *steps, "--add-suffix", "_x", "--json")
    assert [row["written"] for row in json.loads(outcome.out)["names"]] == ["A_c1_x", "A_c2_x"]
    table = starfile.read(tmp_path / "p.star")
    assert table["rlnMicrographName"].tolist() == ["A_c1_x"] * 2 + ["A_c2_x"] * 2
    assert table["rlnCoordinateX"].tolist() == [10.5, 40, 21, 40]


def test_names_that_cryosparc_does_not_have_are_told_before_the_import(vitripick, picks, tmp_path):
    (tmp_path / "theirs.txt").write_text("mic1_patch_aligned\n")
    outcome = vitripick(
        "cryosparc", picks, "--out", tmp_path / "p.star", "--strip-uid", "--against", tmp_path / "theirs.txt",
        "--dry-run",
    )  # fmt: skip
    assert outcome.code == 3
    assert "NOT THERE" in outcome.out
    assert "1 of 2 names" in outcome.err


def test_two_micrographs_never_get_one_name(vitripick, picks, tmp_path):
    outcome = vitripick("cryosparc", picks, "--out", tmp_path / "p.star", "--strip-suffix", "1_patch_aligned")
    assert outcome.code == 0
    boxes = Boxes.at([1], [2], confidence=0.5, size_px=4)
    write_picks(boxes, picks / "mic2_patch_aligned.cbox")
    outcome = vitripick("cryosparc", picks, "--out", tmp_path / "q.star", "--strip-uid")
    assert outcome.code == 2
    assert "both be 'mic2_patch_aligned'" in outcome.err
    assert not (tmp_path / "q.star").exists()


def test_a_cs_of_a_run_has_the_paths_and_numbers_of_the_exposures(vitripick, ring_micrograph, tmp_path):
    vitripick("pick", ring_micrograph, "--diameter-px", 60, "--out", tmp_path / "run")
    theirs = exposures(tmp_path, f"J2/motioncorrected/{UID}_other.mrc", f"J2/motioncorrected/{UID}_rings.mrc")
    outcome = vitripick(
        "cryosparc", tmp_path / "run", "--out", tmp_path / "p.cs", "--add-prefix", f"{UID}_", "--against", theirs
    )
    assert outcome.code == 0, outcome.err
    table = np.load(tmp_path / "p.cs", allow_pickle=False)
    assert set(table["location/micrograph_path"]) == {f"J2/motioncorrected/{UID}_rings.mrc".encode()}
    assert set(table["location/micrograph_uid"]) == {8}
    assert (table["pick_stats/ncc_score"] == table["pick_stats/power"]).all()
    picks = starfile.read(tmp_path / "run" / "star" / "rings_autopick.star")
    np.testing.assert_allclose(table["location/center_x_frac"] * 400, picks["rlnCoordinateX"], atol=1e-3)
    np.testing.assert_allclose(table["location/center_y_frac"] * 400, picks["rlnCoordinateY"], atol=1e-3)


def test_another_suffix_is_refused(vitripick, picks, tmp_path):
    assert vitripick("cryosparc", picks, "--out", tmp_path / "p.csv").code == 2


class Table(dict):
    """As `cryosparc.dataset.Dataset` is used: columns by name."""


class Job:
    def __init__(self, table):
        self.table, self.calls, self.saved, self.end = table, [], None, ""

    def connect(self, *arguments, **options):
        self.calls.append(("connect", arguments, options))
        return True

    def add_output(self, *arguments, **options):
        self.calls.append(("add_output", arguments, options))

    @contextlib.contextmanager
    def run(self):
        self.end = "failed"
        yield self
        self.end = "completed"

    def load_input(self, name, slots):
        return self.table

    def alloc_output(self, name, n):
        fields = ("micrograph_uid", "micrograph_path", "micrograph_shape", "center_x_frac", "center_y_frac")
        return Table({f"location/{field}": None for field in fields} | {"pick_stats/ncc_score": None, "n": n})

    def save_output(self, name, table):
        self.saved = (name, table)

    def log(self, text, **options):
        self.calls.append(("log", text, options))


class Project:
    def __init__(self, folder, job):
        self.dir, self.job = PurePosixPath(folder), job

    def create_external_job(self, workspace, title):
        return self.job


def run_job(job, folder, out, **settings):
    client = type("Client", (), {"find_project": lambda self, uid: Project(folder, job)})()
    return run_cryosparc_job(
        client, project="P3", workspace="W1", source="J12.micrographs", out=out, model=load_model("general"),
        settings=PickSettings(**settings),
    )  # fmt: skip


class DatasetJob(Job):
    """A job whose tables are those of the real cryosparc-tools."""

    def alloc_output(self, name, n):
        fields = [
            ("micrograph_uid", "u8"),
            ("exp_group_id", "u4"),
            ("micrograph_path", "O"),
            ("micrograph_psize_A", "f4"),
        ]
        fields += [("micrograph_shape", "u4", (2,)), ("center_x_frac", "f4"), ("center_y_frac", "f4")]
        fields = [(f"location/{name}", *rest) for name, *rest in fields]
        return Dataset.allocate(n, [*fields, ("pick_stats/ncc_score", "f4"), ("pick_stats/power", "f4")])


def exposures_dataset(*names, pixel_size):
    table = Dataset.allocate(len(names), [("micrograph_blob/path", "O"), ("micrograph_blob/psize_A", "f4")])
    table["micrograph_blob/path"] = list(names)
    table["micrograph_blob/psize_A"] = pixel_size
    return table


def test_the_real_tables_of_cryosparc_tools_are_read_and_filled(tmp_path):
    write_mrc(tmp_path / "wide.mrc", rings(shape=(400, 520)), pixel_size=2.0)
    table = exposures_dataset("wide.mrc", pixel_size=2.0)
    job = DatasetJob(table)
    summary = run_job(job, tmp_path, tmp_path / "run", diameter_angstrom=120)
    saved = job.saved[1]
    saved.save(tmp_path / "saved.cs")
    back = read_picks(tmp_path / "saved.cs")
    picks = starfile.read(tmp_path / "run" / "star" / "wide_autopick.star")
    assert len(back) == summary.n_picks == len(saved) >= 8
    np.testing.assert_allclose(back.x, picks["rlnCoordinateX"], atol=1e-3)
    np.testing.assert_allclose(back.y, picks["rlnCoordinateY"], atol=1e-3)
    assert set(saved["location/micrograph_uid"]) == set(table["uid"])
    assert set(saved["location/micrograph_path"]) == {"wide.mrc"}
    assert saved["location/micrograph_shape"].tolist() == [[400, 520]] * len(saved)
    assert len(set(saved["uid"])) == len(saved)


def test_the_pixel_size_of_the_exposures_goes_before_the_headers(tmp_path):
    write_mrc(tmp_path / "none.mrc", rings(seed=1))  # 60 px
    write_mrc(tmp_path / "other.mrc", rings(seed=2), pixel_size=10.0)
    job = DatasetJob(exposures_dataset("none.mrc", "other.mrc", pixel_size=2.0))
    summary = run_job(job, tmp_path, tmp_path / "run", diameter_angstrom=120, keep_diameter=True)
    assert not summary.failures
    assert all(record.n_picks >= 8 for record in summary.records)
    assert {record.pixel_size for record in summary.records} == {2.0}
    assert set(job.saved[1]["location/micrograph_psize_A"]) == {2.0}


@pytest.mark.parametrize("unknown", [0.0, -1.0, np.nan])
def test_a_pixel_size_that_is_none_leaves_the_headers(tmp_path, unknown):
    write_mrc(tmp_path / "a.mrc", rings(), pixel_size=2.0)
    job = DatasetJob(exposures_dataset("a.mrc", pixel_size=unknown))
    summary = run_job(job, tmp_path, tmp_path / "run", diameter_angstrom=120, keep_diameter=True)
    assert [record.pixel_size for record in summary.records] == [2.0]


def test_a_job_of_which_no_micrograph_was_picked_fails_and_says_why(tmp_path):
    (tmp_path / "a.mrc").write_bytes(b"junk")
    job = Job(Table({"uid": np.array([5], np.uint64), "micrograph_blob/path": np.array(["a.mrc"])}))
    with pytest.raises(InputError, match=r"no micrograph of J12\.micrographs was picked; the first one: .*a\.mrc"):
        run_job(job, tmp_path, tmp_path / "run", diameter_px=60)
    assert (job.end, job.saved) == ("failed", None)
    assert any(call[0] == "log" and "a.mrc" in call[1] for call in job.calls)


def instance_file(folder, **arguments):
    (folder / "i.json").write_text(json.dumps(arguments))
    return folder / "i.json"


def call_job(vitripick, instance, out):
    return vitripick(
        "cryosparc-job", "J1.micrographs", "--project", "P1", "--workspace", "W1", "--instance", instance,
        "--out", out, "--diameter-px", 60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("address", "says"), [("http://127.0.0.1:9", "Connection refused"), ("127.0.0.1:9", "missing an 'http://'")]
)
def test_an_instance_that_is_not_there_is_said_in_one_line(vitripick, tmp_path, address, says):
    instance = instance_file(tmp_path, base_url=address, email="me@lab", password="secret")
    outcome = call_job(vitripick, instance, tmp_path / "out")
    assert outcome.code == 3
    assert f"there is no connection to cryoSPARC at {address}: " in outcome.err
    assert says in outcome.err
    assert outcome.err.count("\n") == 1
    assert "secret" not in outcome.err


def test_another_server_at_this_address_is_said_so(vitripick, tmp_path):
    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        outcome = call_job(
            vitripick, instance_file(tmp_path, base_url=address, email="a", password="b"), tmp_path / "o"
        )
        server.shutdown()
    assert outcome.code == 3
    assert "404" in outcome.err
    assert outcome.err.count("\n") == 1


def test_an_argument_that_the_connection_does_not_know_is_said_so(vitripick, tmp_path):
    outcome = call_job(vitripick, instance_file(tmp_path, wings=2), tmp_path / "out")
    assert outcome.code == 3
    assert "wings" in outcome.err


def test_what_the_instance_refuses_later_is_one_line_too(monkeypatch, vitripick, tmp_path):
    refused = httpx.Response(404, request=httpx.Request("GET", "http://cryosparc/api/projects/P1"))

    class Client:
        def find_project(self, uid):
            raise APIError("Project P1 not found", res=refused)

    monkeypatch.setattr(cryosparc_job, "connect", lambda arguments: Client())
    outcome = call_job(vitripick, instance_file(tmp_path), tmp_path / "out")
    assert outcome.code == 3
    assert "Project P1 not found" in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("flip_y", [False, True])
def test_the_external_job_saves_the_picks_of_the_micrographs_it_was_given(ring_micrograph, tmp_path, flip_y):
    (ring_micrograph.parent / "broken.mrc").write_bytes(b"junk")
    table = Table({"uid": np.array([5, 6], np.uint64), "micrograph_blob/path": np.array(["broken.mrc", "rings.mrc"])})
    job = Job(table)
    client = type("Client", (), {"find_project": lambda self, uid: Project(ring_micrograph.parent, job)})()
    summary = run_cryosparc_job(
        client, project="P3", workspace="W1", source="J12.micrographs", out=tmp_path / "run",
        model=load_model("general"), settings=PickSettings(diameter_px=60), flip_y=flip_y,
    )  # fmt: skip
    assert job.calls[0] == ("connect", ("micrographs", "J12", "micrographs"), {"slots": ["micrograph_blob"]})
    name, saved = job.saved
    assert name == "picked_particles"
    assert saved["n"] == summary.n_picks == len(saved["location/center_x_frac"]) >= 8
    assert set(saved["location/micrograph_uid"]) == {6}
    picks = starfile.read(tmp_path / "run" / "star" / "rings_autopick.star")
    y = 399 - picks["rlnCoordinateY"] if flip_y else picks["rlnCoordinateY"]
    np.testing.assert_allclose(saved["location/center_y_frac"] * 400, y, atol=1e-3)
    assert "pick_stats/power" not in saved
    assert any(call[0] == "log" and "broken.mrc" in call[1] for call in job.calls)


@pytest.mark.parametrize("is_kept", [False, True])
def test_the_external_job_looks_at_a_diameter_that_is_given_and_keeps_it_if_told_so(tmp_path, is_kept):
    source = next(Path("examples/apoferritin/micrographs").glob("*.mrc"))  # 80 px
    write_mrc(tmp_path / "a.mrc", read_micrograph(source).image[:560, :600])
    job = Job(Table({"uid": np.array([5], np.uint64), "micrograph_blob/path": np.array(["a.mrc"])}))
    client = type("Client", (), {"find_project": lambda self, uid: Project(tmp_path, job)})()
    summary = run_cryosparc_job(
        client, project="P3", workspace="W1", source="J12.micrographs", out=tmp_path / "run",
        model=load_model("general"), settings=PickSettings(diameter_px=160, keep_diameter=is_kept),
    )  # fmt: skip
    told = [call[1] for call in job.calls if call[0] == "log"]
    assert any("instead of the 160 px that were given" in line for line in told) is not is_kept
    assert summary.n_picks > 0


def test_without_the_extra_it_says_what_to_install(vitripick, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "cryosparc.tools", None)
    (tmp_path / "i.json").write_text("{}")
    outcome = vitripick(
        "cryosparc-job", "J1.micrographs", "--project", "P1", "--workspace", "W1", "--instance", tmp_path / "i.json",
        "--out", tmp_path / "out", "--diameter-px", 60,
    )  # fmt: skip
    assert outcome.code == 2
    assert "vitripick[cryosparc]" in outcome.err


def test_a_run_that_was_interrupted_is_refused_and_not_exported_without_its_threshold(vitripick, picks, tmp_path):
    (tmp_path / "run" / "micrographs").mkdir(parents=True)
    picks.rename(tmp_path / "run" / "cbox")
    (tmp_path / "run" / "micrographs" / "m.json").write_text("{}")
    outcome = vitripick("cryosparc", tmp_path / "run", "--out", tmp_path / "p.star")
    assert outcome.code == 3
    assert "run it again to finish" in outcome.err
    assert not (tmp_path / "p.star").exists()


def test_picks_outside_their_micrograph_are_not_counted(vitripick, tmp_path):
    table = "data_\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\na.mrc 10 20\na.mrc -9 20\n"
    (tmp_path / "p.star").write_text(table)
    told = json.loads(vitripick("cryosparc", tmp_path / "p.star", "--out", tmp_path / "out.star", "--json").out)
    assert told["picks"] == len(read_picks(tmp_path / "out.star")) == 1


def test_picks_that_turning_y_round_puts_outside_are_not_counted(vitripick, tmp_path):
    boxes = Boxes.at([10, 10], [20, 39.5], micrograph="a.mrc", shape=(40, 40))  # row 39.5 becomes -0.5
    write_picks(boxes, tmp_path / "p.cs")
    outcome = vitripick("cryosparc", tmp_path / "p.cs", "--out", tmp_path / "out.star", "--flip-y", "--json")
    assert json.loads(outcome.out)["picks"] == len(read_picks(tmp_path / "out.star")) == 1


def test_a_name_that_two_exposures_have_is_an_error_that_names_both(vitripick, tmp_path):
    write_picks(Boxes.at([1], [2], confidence=0.5, size_px=4), tmp_path / "picks" / "a.mrc.cbox")
    theirs = exposures(tmp_path, "g1/a.mrc", "g2/a.mrc")
    outcome = vitripick("cryosparc", tmp_path / "picks", "--out", tmp_path / "p.star", "--against", theirs)
    assert outcome.code == 3
    assert f"{theirs}: g1/a.mrc and g2/a.mrc have the same base name" in outcome.err
    assert not (tmp_path / "p.star").exists()


def test_a_name_that_two_exposures_have_is_no_matter_where_no_picks_need_it(vitripick, tmp_path):
    write_picks(Boxes.at([1], [2], confidence=0.5, size_px=4), tmp_path / "picks" / "b.mrc.cbox")
    theirs = exposures(tmp_path, "g1/a.mrc", "g2/a.mrc", "g1/b.mrc")
    assert vitripick("cryosparc", tmp_path / "picks", "--out", tmp_path / "p.star", "--against", theirs).code == 0


def test_refined_shifts_of_relion_are_applied_unless_coordinates_are_to_stay(vitripick, tmp_path):
    columns = {
        "rlnMicrographName": "a.mrc",
        "rlnCoordinateX": 40.0,
        "rlnCoordinateY": 20.0,
        "rlnOriginXAngst": 10.0,
        "rlnOriginYAngst": 0.0,
    }
    source = relion_particles(tmp_path / "p.star", columns)
    for more, x in ((("--pixel-size", 2), 35.0), (("--keep-coordinates",), 40.0)):
        assert vitripick("cryosparc", source, "--out", tmp_path / "out.star", *more).code == 0
        assert read_picks(tmp_path / "out.star").x.tolist() == [x]
