"""From what a user types to micrographs: identity, order, missing files, stars, and where outputs go."""

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitripick.errors import InputError
from vitripick.formats import MicrographFile, find_micrographs, output_stems
from vitripick.run_layout import PICTURE_FOLDERS


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def names(*inputs, **options):
    return [file.name for file in find_micrographs(inputs, **options)]


def write_star(path, *micrographs):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{name} 1\n" for name in micrographs)
    loop = "loop_\n_rlnMicrographName #1\n_rlnOpticsGroup #2\n"
    Path(path).write_text(f"\n# version 30001\n\ndata_micrographs\n\n{loop}{rows}\n")
    return path


def stems(*micrographs):
    return output_stems([MicrographFile(name, Path(name)) for name in micrographs])


def test_a_folder_gives_all_we_read_with_its_subfolders(here):
    touch("m/a.mrc", "m/b.tif", "m/grid1/c.png", "m/d.mrc.gz", "m/notes.txt", "m/e.eer")
    assert names("m") == ["a.mrc", "b.tif", "d.mrc.gz", "grid1/c.png"]


def test_hidden_files_and_folders_are_passed_over(here):
    touch("m/a.mrc", "m/.b.mrc", "m/.trash/c.mrc")
    assert names("m") == ["a.mrc"]


def test_numbers_are_sorted_as_numbers(here):
    touch("m/mic10.mrc", "m/mic2.mrc", "m/mic1.mrc", "m/Mic3.mrc")
    assert names("m") == ["mic1.mrc", "mic2.mrc", "Mic3.mrc", "mic10.mrc"]


def test_a_folder_and_the_shells_glob_give_the_same(here):
    touch("m/mic10.mrc", "m/mic2.mrc")
    assert find_micrographs(["m"]) == find_micrographs(["m/mic10.mrc", "m/mic2.mrc"])


def test_the_path_stays_as_it_was_typed(here):
    touch("m/a.mrc")
    for typed in ("m", "m/a.mrc", "m/*.mrc"):
        assert [file.path for file in find_micrographs([typed])] == [Path("m/a.mrc")]


def test_two_files_of_one_name_in_two_folders_are_two_micrographs(here):
    touch("s/grid1/a.mrc", "s/grid2/a.mrc")
    expected = ["grid1/a.mrc", "grid2/a.mrc"]
    assert names("s") == expected
    assert names("s/grid1", "s/grid2") == expected
    assert names("s/grid1/a.mrc", "s/grid2/a.mrc") == expected
    assert names("s/grid*/a.mrc") == expected
    assert names("s/grid*") == expected


def test_a_globs_names_do_not_change_when_more_files_come(here):
    touch("s/grid1/a.mrc")
    assert names("s/grid*/a.mrc") == ["grid1/a.mrc"]


def test_a_glob_can_search_all_folders_below(here):
    touch("s/a.mrc", "s/x/y/b.mrc", "s/x/c.txt")
    assert names("s/**/*") == ["a.mrc", "x/y/b.mrc"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(here):
    touch("m/a[1].mrc", "m/a1.mrc")
    assert names("m/a[1].mrc") == ["a[1].mrc"]


@pytest.mark.parametrize("name", ["with space.mrc", "粒子.mrc", "-leading.mrc"])
def test_strange_names_are_found(here, name):
    touch(name)
    assert names(name) == [name]


def test_the_same_path_twice_counts_once(here):
    touch("m/a.mrc", "m/b.mrc")
    assert names("m", "m/a.mrc", here / "m" / "b.mrc", "./m/*.mrc") == ["a.mrc", "b.mrc"]


def test_links_are_not_resolved(here):
    touch("raw/x.mrc")
    Path("m").mkdir()
    Path("m/a.mrc").symlink_to(here / "raw" / "x.mrc")
    (file,) = find_micrographs(["m"])
    assert (file.name, file.path) == ("a.mrc", Path("m/a.mrc"))


def test_a_link_to_a_folder_above_does_not_go_round(here):
    touch("m/a.mrc")
    Path("m/up").symlink_to(here, target_is_directory=True)
    assert names("m") == ["a.mrc"]


def test_a_folder_that_is_itself_a_link_is_searched(here):
    touch("raw/a.mrc")
    Path("m").symlink_to(here / "raw", target_is_directory=True)
    assert names("m") == ["a.mrc"]


def test_a_missing_file_stays_in_the_list_to_fail_alone(here):
    touch("m/a.mrc")
    assert names("m/a.mrc", "m/gone.mrc") == ["a.mrc", "gone.mrc"]


def test_a_dangling_link_stays_in_the_list_to_fail_alone(here):
    Path("m").mkdir()
    Path("m/a.mrc").symlink_to(here / "gone.mrc")
    assert names("m") == ["a.mrc"]


def test_if_nothing_is_there_at_all_it_is_an_error(here):
    with pytest.raises(InputError, match=r"none of the 2 micrographs exists.*m/a\.mrc"):
        find_micrographs(["m/a.mrc", "m/b.mrc"])


@pytest.mark.parametrize("nothing", ["m", "m/*.mrc", "gone", "gone/*.mrc", "m/notes.txt", "gone.star"])
def test_an_input_that_matches_nothing_is_named(here, nothing):
    touch("other/a.mrc", "m/notes.txt")
    with pytest.raises(InputError, match=nothing.replace("*", r"\*")):
        find_micrographs(["other/a.mrc", nothing])


def test_no_input_is_an_error(here):
    with pytest.raises(InputError, match="no micrographs were given"):
        find_micrographs([])


def test_the_run_folder_can_be_left_out(here):
    touch("m/a.mrc", "m/picks/overlays/a.png")
    assert names("m", leave_out=["m/picks"]) == ["a.mrc"]
    assert names("m/**/*", leave_out=[here / "m" / "picks"]) == ["a.mrc"]


@pytest.mark.parametrize("out", [".", "m", "m/picks"])
@pytest.mark.parametrize("searched", ["m", "m/**/*"])
def test_a_run_folder_at_above_or_below_the_input_hides_its_pictures_and_no_micrograph(here, searched, out):
    touch("m/a.mrc", "m/g/b.mrc", *(f"{out}/{pictures}/a.png" for pictures in PICTURE_FOLDERS))
    assert names(searched, leave_out=[out]) == ["a.mrc", "g/b.mrc"]
    assert out != "." or names(".", leave_out=[out]) == ["m/a.mrc", "m/g/b.mrc"]


def test_a_stars_names_are_kept_verbatim_and_in_order(here):
    touch("MotionCorr/job002/b.mrc", "MotionCorr/job002/a.mrc")
    listed = ["MotionCorr/job002/b.mrc", "MotionCorr/job002/./a.mrc"]
    files = find_micrographs([write_star("micrographs.star", *listed)])
    assert [file.name for file in files] == listed
    assert all(file.from_star for file in files)


def test_a_stars_names_are_looked_for_here_first(here):
    touch("x/a.mrc", "project/x/a.mrc")
    (file,) = find_micrographs([write_star("project/mics.star", "x/a.mrc")])
    assert file.path == Path("x/a.mrc")


def test_a_stars_names_are_looked_for_in_the_folders_above_the_star(here):
    touch("project/MotionCorr/job002/a.mrc")
    star = write_star("project/CtfFind/job003/mics.star", "MotionCorr/job002/a.mrc")
    (file,) = find_micrographs([star])
    assert file.path == here / "project" / "MotionCorr" / "job002" / "a.mrc"


def test_a_star_may_name_absolute_paths(here):
    touch("x/a.mrc")
    (file,) = find_micrographs([write_star("mics.star", str(here / "x" / "a.mrc"))])
    assert file.path == here / "x" / "a.mrc"
    assert file.name == str(here / "x" / "a.mrc")


def test_a_missing_micrograph_of_a_star_stays_in_the_list(here):
    touch("x/a.mrc")
    assert names(write_star("mics.star", "x/a.mrc", "x/gone.mrc")) == ["x/a.mrc", "x/gone.mrc"]


def test_a_star_of_which_nothing_is_there_is_an_error(here):
    with pytest.raises(InputError, match="none of the 1 micrographs exists"):
        find_micrographs([write_star("mics.star", "x/gone.mrc")])


def test_a_micrograph_in_a_star_and_in_a_folder_has_the_stars_name(here):
    touch("x/a.mrc", "x/b.mrc")
    assert names("x", write_star("mics.star", "x/b.mrc")) == ["x/b.mrc", "a.mrc"]


def test_two_micrographs_that_would_share_a_name_are_an_error(here):
    touch("a.mrc", "m/a.mrc")
    with pytest.raises(InputError, match=r"would both be called a\.mrc"):
        find_micrographs([write_star("mics.star", "a.mrc"), "m"])


def test_outputs_keep_the_folders_and_lose_the_suffix():
    assert stems("grid1/a.b.mrc", "c.mrc.gz", "d.TIF") == {
        "grid1/a.b.mrc": "grid1/a.b",
        "c.mrc.gz": "c",
        "d.TIF": "d",
    }


def test_files_that_would_share_an_output_keep_their_suffix():
    assert stems("a.mrc", "a.tif", "a.mrc.gz", "b.mrc") == {
        "a.mrc": "a.mrc",
        "a.tif": "a.tif",
        "a.mrc.gz": "a.mrc.gz",
        "b.mrc": "b",
    }


def test_a_kept_suffix_does_not_run_into_another_output():
    found = stems("a.mrc", "a.tif", "a.mrc.mrc")
    assert len(set(found.values())) == 3


@pytest.mark.parametrize("name", ["/data/x/a.mrc", "../x/a.mrc", "x/../../a.mrc", "/../a.mrc", "..", "/"])
def test_no_output_leaves_the_output_folder(name):
    stem = PurePosixPath(stems(name)[name])
    assert not stem.is_absolute()
    assert ".." not in stem.parts
    assert stem.parts


PARTS = st.sampled_from(["a", "b", "..", ".", "a.mrc", "a.tif", "a.mrc.gz", "a.mrc.mrc", "__", "a_2.mrc", "a_2"])


@given(st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), unique=True, max_size=12))
def test_every_micrograph_has_an_output_of_its_own(listed):
    found = stems(*listed, *(f"/{name}" for name in listed))
    assert len(set(found.values())) == len(found)
    assert all(".." not in PurePosixPath(stem).parts for stem in found.values())
