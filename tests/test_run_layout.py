"""The layout of a run folder: a run writes its files at the places that the layout names, and nowhere else."""

from pathlib import Path

import pytest

from made import rings, snapshot
from vitripick.formats import FORMATS, find_micrographs, write_mrc
from vitripick.models import open_model
from vitripick.run_layout import DISTRIBUTIONS, LOG, PICTURES, STAR, STORE, RunLayout
from vitripick.runs import PickSettings, pick_many
from vitripick.runs.run import Run

STEMS = ("grid1/a", "b")
WRITTEN = {name: entry for name, entry in FORMATS.items() if entry.write is not None}
EVERYTHING = PickSettings(formats=tuple(WRITTEN), overlays=True, thumbnails=True, junk_masks=True)
QUICK = PickSettings(diameter_px=60, keep_diameter=True, threshold=0.4)


@pytest.fixture(scope="module")
def micrographs(tmp_path_factory):
    """Return a folder of two micrographs of rings, and a file that is none."""
    folder = tmp_path_factory.mktemp("layout") / "mics"
    for seed, stem in enumerate(STEMS):
        write_mrc(folder / f"{stem}.mrc", rings(seed), pixel_size=2.0)
    (folder / "broken.mrc").write_bytes(b"no micrograph")
    return folder


@pytest.fixture(scope="module")
def full(micrographs):
    """Return the folder of a run that writes all it can."""
    out = micrographs.parent / "full"
    pick_many([micrographs], out, open_model("general"), EVERYTHING)
    return out


def test_every_file_of_a_full_run_is_where_layout_and_formats_say_and_there_is_no_other(full):
    layout = RunLayout(full)
    named = {layout.run, layout.survey, layout.quality, layout.failures, layout.autopick_star, layout.failure("broken")}
    for stem in STEMS:
        named |= {layout.record(stem), layout.store(stem), layout.junk(stem)}
        named |= {layout.path(stem, place) for place in PICTURES.values()}
        named |= {layout.path(stem, entry.place) for entry in WRITTEN.values() if entry.joined_name is None}
    named |= {full / entry.joined_name for entry in WRITTEN.values() if entry.joined_name is not None}
    written = {full / name for name in snapshot(full, leave_out=(LOG, DISTRIBUTIONS))}
    assert written == named


def test_the_folders_of_times_and_of_distributions_hold_files_of_their_own(full):
    assert {path.name for path in (full / DISTRIBUTIONS).iterdir()} == {
        "confidence.csv",
        "confidence.png",
        "size.csv",
        "size.png",
    }
    assert {path.suffix for path in RunLayout(full).log.iterdir()} == {".jsonl"}


def test_the_stored_picks_are_found_by_their_stem(full):
    layout = RunLayout(full)
    assert layout.stored() == {stem: layout.store(stem) for stem in sorted(STEMS)}


def test_folders_of_a_run_that_are_links_are_followed_and_a_circle_of_links_ends(full, tmp_path):
    layout = RunLayout(tmp_path / "out")
    for mine, whole in ((layout.store(""), RunLayout(full).store("")), (layout.record(""), RunLayout(full).record(""))):
        mine.parent.mkdir(parents=True)
        (mine.parent / "elsewhere").symlink_to(whole.parent)
        (mine.parent / "circle").symlink_to(mine.parent)
    stems = [f"elsewhere/{stem}" for stem in sorted(STEMS)]
    assert layout.stored() == {stem: layout.store(stem) for stem in stems}
    assert layout.recorded() == {stem: layout.record(stem) for stem in stems}
    assert layout.holds_run()


def test_a_format_that_the_layout_knows_has_the_place_that_the_layout_gives_it():
    assert FORMATS["star"].place == STAR
    assert FORMATS["cbox"].place == STORE


def test_no_two_kinds_of_files_share_a_place():
    places = [entry.place for entry in WRITTEN.values() if entry.joined_name is None] + list(PICTURES.values())
    joined = [entry.joined_name for entry in WRITTEN.values() if entry.joined_name is not None]
    assert len({place.folder for place in places}) == len(places)
    assert len(set(joined)) == len(joined)


def test_a_run_that_is_finished_or_was_interrupted_is_known_as_one(micrographs, tmp_path):
    out, layout = tmp_path / "out", RunLayout(tmp_path / "out")
    pick_many([micrographs / "b.mrc"], out, open_model("general"), QUICK)
    assert layout.holds_run()
    layout.run.unlink()
    assert layout.holds_run()
    layout.record("b").unlink()
    assert not layout.holds_run()


@pytest.mark.parametrize(
    "files",
    [
        [],
        ["cbox/a.cbox"],  # labels of another program
        ["micrographs/a.json"],
        ["run.json"],
        ["a.cbox", "run.json", "micrographs/a.json"],
    ],
)
def test_other_folders_are_no_runs(tmp_path, files):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert not RunLayout(tmp_path).holds_run()
    assert not RunLayout(tmp_path / "nowhere").holds_run()


def test_a_star_folder_takes_the_star_files_and_nothing_else(micrographs, tmp_path):
    model, files = open_model("general"), find_micrographs([micrographs])
    layouts = RunLayout(tmp_path / "plain"), RunLayout(tmp_path / "store", star_folder=tmp_path / "job")
    for layout in layouts:
        with Run(files, layout, model, QUICK) as run:
            run.survey()
            run.pick()
            run.finish()
    assert set(snapshot(tmp_path / "job")) == {"autopick.star", *(f"{stem}_autopick.star" for stem in STEMS)}
    plain, store = (snapshot(layout.out, wherever=True) for layout in layouts)
    moved = {f"star/{stem}_autopick.star" for stem in STEMS}
    assert {name: data for name, data in plain.items() if name not in moved | {"autopick.star"}} == store
    for name in moved:
        assert (tmp_path / "job" / Path(name).relative_to("star")).read_bytes() == plain[name]
