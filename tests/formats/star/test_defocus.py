"""The defocus in a list of micrographs: both directions, and none where a program found none."""

import pytest

from vitripick.formats.star.defocus import Defocus
from vitripick.formats.star.files import read_listed_micrographs


@pytest.mark.parametrize(
    ("columns", "values", "found"),
    [
        ("DefocusU DefocusV DefocusAngle", "21000.5 19000 30", Defocus(21000.5, 19000, 30)),
        ("DefocusU DefocusV DefocusAngle PhaseShift", "9000 9100 -5 90", Defocus(9000, 9100, -5, 90)),
        ("DefocusU", "15000", Defocus(15000, 15000)),
        ("DefocusU DefocusV DefocusAngle", "0 0 0", None),
        ("DefocusU DefocusV DefocusAngle", "nan 19000 30", None),
        ("DefocusU DefocusV DefocusAngle", "None None None", None),
        ("Voltage", "300", None),
    ],
)
def test_a_row_gives_the_defocus_that_it_has(tmp_path, columns, values, found):
    labels = "".join(f"_rln{label}\n" for label in columns.split())
    (tmp_path / "ctf.star").write_text(f"data_micrographs\n\nloop_\n_rlnMicrographName\n{labels}a.mrc {values}\n")
    (listed,) = read_listed_micrographs(tmp_path / "ctf.star")
    assert (listed.name, listed.defocus) == ("a.mrc", found)
