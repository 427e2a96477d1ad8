"""A run folder over several calls: its joined files cover all that was ever picked into it."""

import csv
import json
import random
import shutil
from contextlib import suppress

import pytest

from made import discs, rings, snapshot
from vitripick.errors import InputError
from vitripick.formats import read_picks, write_mrc
from vitripick.models import open_model
from vitripick.runs import PickSettings, pick_many, step
from vitripick.runs.folder import read_run_folder
from vitripick.runs.watch import watcher as watching
from vitripick.settings.watch import WatchSettings

ALL_JOINED = ("star", "particles-star", "cryosparc-star", "cbox")
NAMES = [f"m{i}.mrc" for i in range(1, 7)]


@pytest.fixture
def mics(tmp_path):
    """Return a folder of six micrographs; the third has no particles."""
    for i, name in enumerate(NAMES):
        image = discs(i)[0]
        write_mrc(tmp_path / "mics" / name, image * 0 + 1 if i == 2 else image)
    return tmp_path / "mics"


def whole_run(folder):
    """Return the bytes of all files, without the folder's own name."""
    return {name: text for name, text in snapshot(folder, wherever=True).items() if name != "survey.json"}


def without_list(name, text):
    """Return a record without its list of exports, and any other file as it is."""
    if not name.startswith("micrographs/"):
        return text
    return {key: value for key, value in json.loads(text).items() if key != "exported"}


def test_a_call_with_one_micrograph_leaves_the_files_of_the_whole_run_as_they_were(model, mics, tmp_path):
    pick_many([mics], tmp_path / "out", model, PickSettings(formats=ALL_JOINED))
    before = whole_run(tmp_path / "out")
    summary = pick_many([mics / "m2.mrc"], tmp_path / "out", model, PickSettings(formats=ALL_JOINED))
    assert whole_run(tmp_path / "out") == before
    assert (len(summary.records), len(summary.earlier.records)) == (1, 5)
    assert summary.to_dict()["this_call"]["n_micrographs"] == 1
    assert summary.to_dict()["n_micrographs"] == 6


@pytest.mark.parametrize("seed", range(8))
def test_any_history_of_calls_ends_like_one_call_for_everything(model, mics, tmp_path, seed):
    """Calls with some of the micrographs, at any threshold, with any filters and formats, some of them failing."""
    chance = random.Random(seed)
    out = tmp_path / "out"
    formats = ["star", "cbox"]
    for _ in range(chance.randint(2, 4)):
        some = chance.sample(NAMES, chance.randint(1, 4))
        own = [*formats, *chance.sample(["particles-star", "cryosparc-star", "box", "csv"], 1)]
        settings = PickSettings(
            threshold=chance.choice([0.3, 0.6, 0.95]),
            edge=chance.choice(["particle", "centre", "box"]),
            box_size_px=chance.choice([None, 33.3, 48]),
            minimum_distance_diameters=chance.choice([0.5, 1.5]),
            formats=tuple(own),
        )
        broken = chance.choice(some) if chance.random() < 0.4 else None
        if broken is not None:
            good = (mics / broken).read_bytes()
            (mics / broken).write_bytes(good[:2000])
        pick_many([mics / name for name in some], out, model, settings)
        if broken is not None:
            (mics / broken).write_bytes(good)
    last = PickSettings(threshold=0.5, formats=("star", "cbox", "particles-star"))
    pick_many([mics / name for name in NAMES], out, model, last)
    listed = chance.sample(NAMES, 2)
    pick_many([mics / name for name in listed], out, model, last)
    whole, fresh = whole_run(out), tmp_path / "fresh"
    pick_many([mics], fresh, model, last)
    expected = whole_run(fresh)
    for name in expected:
        assert without_list(name, whole[name]) == without_list(name, expected[name]), name
    # What earlier calls wrote in other formats is there still, at the same threshold.
    counts = {entry["stem"]: entry["n_picks"] for entry in json.loads((out / "run.json").read_text())["micrographs"]}
    assert len(counts) == len(NAMES)
    for format in ("box", "csv"):
        for path in (out / format).glob("*"):
            assert len(read_picks(path)) == counts[path.stem]


def test_a_failed_call_does_not_empty_the_joined_files(model, mics, tmp_path):
    out, settings = tmp_path / "out", PickSettings(formats=ALL_JOINED)
    pick_many([mics], out, model, settings)
    before = whole_run(out)
    broken = tmp_path / "mics" / "broken.mrc"
    broken.write_bytes(b"no micrograph at all" * 100)
    summary = pick_many([broken], out, model, settings)
    assert (len(summary.records), len(summary.failures)) == (0, 1)
    for name in ("autopick.star", "particles.star", "quality.csv"):
        assert whole_run(out)[name] == before[name], name
    assert json.loads((out / "run.json").read_text())["n_failed"] == 1
    broken.unlink()
    summary = pick_many([mics / "m1.mrc"], out, model, settings)
    assert summary.failures == []
    assert [failure["micrograph"] for failure in read_run_folder(out).failures] == ["broken.mrc"]


@pytest.mark.parametrize("given", [{}, {"diameter_px": 60, "keep_diameter": True}, {"threshold": 0.9}])
def test_a_call_that_could_pick_nothing_changes_no_export_of_earlier_calls(tmp_path, given):
    """Its threshold would rest on no micrograph; a general model's own is not the one that the survey chose."""
    general, out = open_model("general"), tmp_path / "out"
    for seed in range(2):
        write_mrc(tmp_path / "mics" / f"{seed}.mrc", rings(seed))
    pick_many([tmp_path / "mics"], out, general, PickSettings(threshold=0.6))
    before, run = whole_run(out), json.loads((out / "run.json").read_text())
    broken = tmp_path / "mics" / "broken.mrc"
    broken.write_bytes((tmp_path / "mics" / "0.mrc").read_bytes()[:2000])
    with suppress(InputError):  # without a diameter it stops before that
        pick_many([broken], out, general, PickSettings(**given, formats=("box", "particles-star")))
    after = whole_run(out)
    new = {"run.json", "failures.jsonl", "failed/broken.json"}
    assert {name: after[name] for name in before if name not in new} == {n: before[n] for n in before if n not in new}
    now = json.loads((out / "run.json").read_text())
    for name in ("threshold", "settings", "model_sha256", "n_picks", "micrographs"):
        assert now[name] == run[name], name


def test_another_threshold_and_format_leave_no_file_at_the_old_threshold(model, mics, tmp_path):
    out = tmp_path / "out"
    pick_many([mics], out, model, PickSettings(overlays=True, formats=("star", "cbox", "cryosparc-star")))
    summary = pick_many([mics / "m1.mrc"], out, model, PickSettings(threshold=0.95, formats=("box",)))
    run = read_run_folder(out)
    for record in run.records.values():
        n = len(run.read_picks_of(record).above(0.95))
        assert n == record.n_picks == len(read_picks(out / "box" / f"{record.stem}.box"))
        assert n == len(read_picks(out / "star" / f"{record.stem}_autopick.star"))
    with (out / "quality.csv").open() as file:
        assert [int(row["n_picks"]) for row in csv.DictReader(file)] == [r.n_picks for r in run.records.values()]
    # An overlay that shows other picks is drawn again for this call's micrograph, and removed for the others.
    assert [path.name for path in (out / "overlays").iterdir()] == ["m1.png"]
    assert any("5 pictures of earlier calls" in note for note in summary.earlier.notes)


def test_every_listed_coordinate_file_exists(model, mics, tmp_path):
    """The list of an earlier call names the new micrograph, too, so that one needs its coordinate file."""
    out = tmp_path / "out"
    pick_many([mics / "m1.mrc"], out, model)
    pick_many([mics / "m2.mrc"], out, model, PickSettings(formats=("box",)))
    listed = [word for line in (out / "autopick.star").read_text().splitlines() for word in line.split()[1:2]]
    assert [path for path in listed if path.endswith("_autopick.star")] == [
        str(out / "star" / f"m{i}_autopick.star") for i in (1, 2)
    ]
    assert all((out / "star" / f"m{i}_autopick.star").is_file() for i in (1, 2))


def test_a_micrograph_that_has_another_name_now_is_not_listed_twice(model, mics, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(mics, tmp_path / "other")
    pick_many([mics / "m1.mrc"], out, model)
    summary = pick_many([mics / "m1.mrc", tmp_path / "other" / "m2.mrc"], out, model)
    assert [entry["name"] for entry in summary.to_dict()["micrographs"]] == ["mics/m1.mrc", "other/m2.mrc"]
    assert not (out / "cbox" / "m1.cbox").exists()
    assert "m1.mrc (now mics/m1.mrc)" in summary.earlier.notes[0]


def test_a_record_that_cannot_be_read_is_named(model, mics, tmp_path):
    out = tmp_path / "out"
    pick_many([mics], out, model)
    (out / "micrographs" / "m2.json").write_text("{")
    (out / "cbox" / "m4.cbox").unlink()
    summary = pick_many([mics / "m1.mrc"], out, model)
    assert len(summary.all_records) == 4
    assert "m2.json" in summary.earlier.notes[0]
    assert "m4.cbox" in summary.earlier.notes[0]


def test_picks_of_another_model_are_counted(model, mics, tmp_path):
    pick_many([mics / "m1.mrc"], tmp_path / "out", model)
    other = type(model)(model.detector, model.card, "another hash")
    summary = pick_many([mics / "m2.mrc"], tmp_path / "out", other)
    assert summary.earlier.notes == ["picked with another model or other settings in earlier calls: 1 micrograph"]


@pytest.mark.parametrize("change", [{"box_size_px": 40}, {"edge": "box"}, {"minimum_distance_diameters": 2}])
def test_boxes_edges_and_distances_act_without_picking_again(model, mics, tmp_path, monkeypatch, change):
    out, formats = tmp_path / "out", ("star", "box", "cbox", "csv")
    pick_many([mics], tmp_path / "fresh", model, PickSettings(formats=formats, **change))
    pick_many([mics], out, model, PickSettings(formats=formats))
    first = whole_run(out)
    monkeypatch.setattr(step, "look_at_all", lambda *a, **k: pytest.fail("picked again"))
    pick_many([mics], out, model, PickSettings(formats=formats, **change))
    assert whole_run(out) == whole_run(tmp_path / "fresh") != first
    pick_many([mics], out, model, PickSettings(formats=formats))
    assert whole_run(out) == first


def test_picks_nearer_than_half_a_diameter_are_only_there_if_they_were_asked_for(model, mics, tmp_path):
    out = tmp_path / "out"
    pick_many([mics], out, model)
    n_before = read_run_folder(out).records["m1.mrc"].made_from
    pick_many([mics], out, model, PickSettings(minimum_distance_diameters=0.1))
    assert read_run_folder(out).records["m1.mrc"].made_from != n_before


def test_a_watcher_keeps_what_was_picked_before_it_came(model, mics, tmp_path):
    out, later = tmp_path / "out", tmp_path / "later"
    pick_many([mics / "m1.mrc"], out, model)
    later.mkdir()
    shutil.copy(mics / "m2.mrc", later / "m2.mrc")
    settings = WatchSettings(settle_seconds=0.1, poll_seconds=0.1, idle_timeout_seconds=1)
    summary = watching.Watcher(later, step.FolderPicker(out, model), settings).run()
    assert [record.name for record in summary.all_records] == ["m1.mrc", "m2.mrc"]
    assert list(read_run_folder(out).records) == ["m1.mrc", "m2.mrc"]
    assert sorted(p.name for p in (out / "star").iterdir()) == ["m1_autopick.star", "m2_autopick.star"]
