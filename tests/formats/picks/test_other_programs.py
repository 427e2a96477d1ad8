"""Files in the habits of other programs (tests/data) are read to the centres that they mean."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from vitripick.formats import read_all_picks
from vitripick.formats.picks.table import sniff

DATA = Path(__file__).parents[2] / "data"
NONE = np.nan
# For each file its format, and for each micrograph its centres, size (px) and confidences.
FILES = {
    "relion_3.0_autopick.star": (
        "star",
        {"relion_3.0": ([(1610, 245.5), (322.25, 3010), (900, 900)], NONE, [0.87125, 0.415, -0.02])},
    ),
    "relion_3.1_particles.star": (
        "star",
        {
            "MotionCorr/job002/Movies/grid1_0007.mrc": ([(2504, 118), (417, 3600)], NONE, [0.75, 0.25]),
            "MotionCorr/job002/Movies/grid2_0001.mrc": ([(1200.5, 64.25)], NONE, [0.5]),
        },
    ),
    # Where the particles are: 8 and -4 Å are 10 and -5 px of 0.8 Å.
    "relion_3.1_class2d_data.star": (
        "star",
        {
            "MotionCorr/job002/Movies/grid1_0007.mrc": ([(990, 205), (1500.5, 78.25)], NONE, [0.75, 0.5]),
            "MotionCorr/job002/Movies/grid2_0001.mrc": ([(420, 2970)], NONE, [0.25]),
        },
    ),
    "topaz_extracted.txt": (
        "topaz",
        {
            "14sep05c_00024sq_00003hl_00002es": ([(412, 37), (98, 881)], NONE, [5.2831936, -1.6479236]),
            "14sep05c_00024sq_00004hl_00010es": ([(500, 250)], NONE, [0.0315]),
        },
    ),
    "eman2_grid1_0007_info.json": (
        "eman2",
        {"eman2_grid1_0007": ([(1033.5, 212), (87, 1900.25)], NONE, [NONE, NONE])},
    ),
    "boxes.cbox": ("cbox", {"boxes": ([(1580, 196), (410.5, 2140)], 200, [0.8125, 0.1375])}),
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_centres_of_another_programs_file_are_read(name):
    format_name, expected = FILES[name]
    assert sniff(DATA / name).name == format_name
    parts = read_all_picks(DATA / name)
    assert [part.micrograph for part in parts] == list(expected)
    for part, (centres, size, confidence) in zip(parts, expected.values(), strict=True):
        np.testing.assert_array_equal(part.centres, centres)
        np.testing.assert_array_equal(part.width, np.full(len(part), size))
        np.testing.assert_array_equal(part.confidence, confidence)


def test_a_folder_of_all_of_them_gives_every_micrograph(tmp_path):
    for name in FILES:
        shutil.copy(DATA / name, tmp_path)
    names = {name for _, micrographs in FILES.values() for name in micrographs}
    assert {part.micrograph for part in read_all_picks(tmp_path)} == names


def test_the_readme_says_what_each_file_and_folder_imitates():
    text = (DATA / "README.md").read_text(encoding="utf-8")
    files = [path.name for path in DATA.iterdir() if path.is_file() and path.suffix != ".md"]
    folders = [f"{path.name}/" for path in DATA.iterdir() if path.is_dir()]
    assert set(FILES) <= set(files)
    assert [name for name in files + folders if f"`{name}`" not in text] == []
