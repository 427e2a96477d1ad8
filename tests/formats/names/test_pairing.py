"""Which labels belong to which micrograph."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitripick.errors import FormatError
from vitripick.formats import pair_labels
from vitripick.geometry import Boxes

UID = "000123456789012345678"


def labels(*names):
    return [Boxes.at([i], [i], micrograph=name) for i, name in enumerate(names)]


def paired(micrographs, names):
    """Micrograph to label name."""
    return {m: names[int(boxes.x[0])] for m, boxes in pair_labels(micrographs, labels(*names)).pairs.items()}


@pytest.mark.parametrize(
    ("micrograph", "label"),
    [
        ("a.mrc", "a"),
        ("x/a.mrc", "a"),
        ("x/a.mrc", "MotionCorr/job002/x/a.mrc"),
        ("a.mrc.gz", "a.tif"),
        ("May08_04.32.27.mrc", "May08_04.32.27"),
        ("a.mrc", "a_autopick"),
        ("a.mrc", "a_manualpick"),
        ("a.mrc", "info/a_info"),
        ("a_DW.mrc", "a"),
        ("a.mrc", "a_DW"),
        ("a_DW.mrc", "a_DW_autopick"),
        (f"{UID}_a_patch_aligned_doseweighted.mrc", "a"),
        ("a.mrc", f"S1/motioncorrected/{UID}_a_patch_aligned_doseweighted.mrc"),
    ],
)
def test_names_that_belong_together(micrograph, label):
    assert paired([micrograph], [label]) == {micrograph: label}


@pytest.mark.parametrize(
    ("micrograph", "label"),
    [
        ("a1.mrc", "a"),
        ("a.mrc", "a1"),
        ("a.mrc", "ba"),
        ("A.mrc", "a"),
        ("a.mrc", "a_other"),
        ("May08_04.32.27.mrc", "May08_04.32"),
        ("a.mrc", "12345_a"),
        ("_DW.mrc", "_autopick"),
    ],
)
def test_names_that_are_only_alike_stay_apart(micrograph, label):
    pairing = pair_labels([micrograph], labels(label))
    assert pairing.pairs == {}
    assert pairing.unmatched_micrographs == (micrograph,)
    assert pairing.unmatched_labels == (label,)


def test_the_exact_stem_goes_before_a_declared_ending():
    assert paired(["a.mrc", "a_DW.mrc"], ["a_DW", "a"]) == {"a.mrc": "a", "a_DW.mrc": "a_DW"}
    assert paired(["a.mrc", "a_DW.mrc"], ["a_autopick"]) == {"a.mrc": "a_autopick"}
    pairing = pair_labels(["a.mrc"], labels("a_DW", "a"))
    assert pairing.pairs["a.mrc"].x.tolist() == [1]
    assert pairing.unmatched_labels == ("a_DW",)


def test_folders_tell_micrographs_of_one_name_apart():
    micrographs = ["g1/a.mrc", "g2/a.mrc"]
    assert paired(micrographs, ["g2/a", "g1/a"]) == {"g1/a.mrc": "g1/a", "g2/a.mrc": "g2/a"}
    assert paired(micrographs, ["Job/g2/a_autopick"]) == {"g2/a.mrc": "Job/g2/a_autopick"}
    assert paired(["g1/a.mrc", "x/g1/a.mrc"], ["g1/a"]) == {"g1/a.mrc": "g1/a"}
    assert paired(["g1/a.mrc"], ["g2/a", "g1/a"]) == {"g1/a.mrc": "g1/a"}


@pytest.mark.parametrize("label", ["a", "g3/a", "a_autopick"])
def test_labels_that_fit_two_micrographs_are_an_error_that_names_both(label):
    with pytest.raises(FormatError, match=r"g1/a\.mrc and g2/a\.mrc equally well"):
        pair_labels(["g1/a.mrc", "g2/a.mrc"], labels(label))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["CBOX/a", "STAR/a"], "CBOX/a and STAR/a fit the micrograph a.mrc equally well"),
        (["a_autopick", "a_manualpick"], "a_autopick and a_manualpick fit the micrograph a.mrc"),
        (["a", "a"], "two label sets of the name a"),
    ],
)
def test_two_label_sets_for_one_micrograph_are_an_error_that_names_both(names, message):
    with pytest.raises(FormatError, match=message):
        pair_labels(["a.mrc"], labels(*names))


def test_the_pair_carries_the_micrographs_name_and_both_sides_report_what_is_left():
    pairing = pair_labels(["x/a.mrc", "b.mrc"], [*labels("a_autopick", "c"), Boxes.empty()])
    assert pairing.pairs["x/a.mrc"].micrograph == "x/a.mrc"
    assert pairing.unmatched_micrographs == ("b.mrc",)
    assert pairing.unmatched_labels == ("c", "(without a name)")


@given(st.lists(st.text("ab_DW1/", min_size=1, max_size=8).filter(lambda s: s.strip("/")), unique=True, max_size=6))
def test_every_micrograph_and_every_label_set_is_accounted_for_once(names):
    micrographs = [f"{name.strip('/')}.mrc" for name in names]
    try:
        pairing = pair_labels(micrographs, labels(*names))
    except FormatError:
        return
    assert len(pairing.pairs) + len(pairing.unmatched_micrographs) == len(set(micrographs))
    assert len(pairing.pairs) + len(pairing.unmatched_labels) == len(names)
