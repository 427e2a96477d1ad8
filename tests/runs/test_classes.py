"""What the classes of a run suggest: the model's confidence goes before what an image or an average looks like."""

import dataclasses
import warnings

import numpy as np
import pytest

from made import rings
from vitripick.errors import InputError
from vitripick.formats import read_micrograph, write_mrc, write_picks
from vitripick.geometry import Boxes
from vitripick.run_layout import RunLayout
from vitripick.runs import classes as classes_of_runs
from vitripick.runs.cull import kept_of
from vitripick.runs.record import Record, write_record
from vitripick.settings.classes import GOOD, ClassesSettings


@pytest.fixture
def run(tmp_path):
    """A run folder of 28 rings; the first 13 picks have the confidence that the test gives."""
    layout, places = RunLayout(tmp_path / "run"), [(x, y) for x in range(60, 500, 120) for y in range(60, 900, 120)]
    image = rings(0, shape=(900, 500), x=range(60, 500, 120), y=range(60, 900, 120))
    write_mrc(tmp_path / "a.mrc", image)

    def make(confidence):
        sure = np.where(np.arange(28) < 13, confidence, 0.7)
        picks = Boxes.at(*np.array(places, float).T, size_px=60, confidence=sure)
        write_picks(picks, layout.store("a"), format="cbox")
        write_record(Record("a.mrc", str(tmp_path / "a.mrc"), "a", image.shape, None, 28, 28), layout)
        layout.run.write_text('{"threshold": 0.1, "settings": {}, "micrographs": [{"name": "a.mrc", "stem": "a"}]}')
        return layout.out

    return make


def classified(run, monkeypatch, **changes):
    """Return the classes of a run whose images were found to be what `changes` says."""
    real = classes_of_runs.classify

    def found(*arguments, **options):
        made = real(*arguments, **options)
        assigned = dataclasses.replace(made.assigned, looks_right=np.full(28, changes.get("looks_right", True)))
        classes = tuple(dataclasses.replace(one, guess=changes.get("guess", "particle")) for one in made.classes)
        return dataclasses.replace(made, assigned=assigned, classes=classes)

    monkeypatch.setattr(classes_of_runs, "classify", found)
    return classes_of_runs.classify_run(run, settings=ClassesSettings(n=1, diameter_px=60))


@pytest.mark.parametrize(("confidence", "n_kept"), [(0.6, 28), (0.4, 15)])
def test_a_single_image_that_looks_wrong_is_left_out_only_if_the_model_is_not_sure(
    run, monkeypatch, confidence, n_kept
):
    found = classified(run(confidence), monkeypatch, looks_right=False)
    (part,) = found.members
    assert kept_of(part, GOOD, found.good).sum() == n_kept


@pytest.mark.parametrize(("confidence", "guess"), [(0.7, "particle"), (0.3, "junk")])
def test_a_class_that_the_model_finds_as_sure_as_most_is_not_called_junk(run, monkeypatch, confidence, guess):
    found = classified(run(confidence), monkeypatch, guess="junk")
    assert [one.guess for one in found.classes] == [guess]


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_bad_pixels_and_constant_ground_are_sorted_all_the_same(run, tmp_path, value):
    folder, image = run(0.9), read_micrograph(tmp_path / "a.mrc").image.copy()
    image[:40, :300] = value
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # mrcfile warns about NaN, too
        write_mrc(tmp_path / "a.mrc", image)
    found = classes_of_runs.classify_run(folder, settings=ClassesSettings(n=1, diameter_px=60))
    assert np.isfinite(found.averages).all()
    assert (found.n_particles, found.failures) == (28, ())


def test_a_run_whose_only_micrograph_is_nan_says_so(run, tmp_path):
    folder = run(0.9)
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        write_mrc(tmp_path / "a.mrc", np.full((900, 500), np.nan, np.float32))
    with pytest.raises(InputError, match=r"none of its micrographs can be read: .*a\.mrc.* are NaN or infinite"):
        classes_of_runs.classify_run(folder, settings=ClassesSettings(n=1, diameter_px=60))
