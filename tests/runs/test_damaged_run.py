import dataclasses
import json

import pytest

from vitripick.errors import InputError
from vitripick.evaluation.chance import random_places
from vitripick.formats import write_picks
from vitripick.geometry import Boxes
from vitripick.run_layout import RunLayout
from vitripick.runs import folder as folders
from vitripick.runs.folder import read_run_folder, threshold_of_run
from vitripick.runs.record import Record, read_failure, read_record, write_record
from vitripick.runs.survey import read_survey


@pytest.fixture
def layout(tmp_path):
    """Return the layout of a run folder with one micrograph that is done."""
    layout = RunLayout(tmp_path)
    write_record(Record("a.mrc", "m/a.mrc", "a", (40, 50), 1.5, 1, 1, exported={"cbox": 0.05}), layout)
    write_picks(Boxes.at([5.0], [5.0], size_px=8.0, confidence=[0.5]), layout.store("a"), format="cbox")
    run = {"threshold": 0.3, "settings": {}, "micrographs": [{"name": "a.mrc", "stem": "a"}]}
    layout.run.write_text(json.dumps(run))
    return layout


def changed(file, **values):
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


WRONG = [
    {"shape": [0, 0]},
    {"shape": ["40", "50"]},
    {"shape": [40]},
    {"shape": 5},
    {"name": ["a.mrc"]},
    {"name": 5},
    {"path": None},
    {"stem": ""},
    {"stem": "9" * 400},
    {"from_out": 5},
    {"from_star": "yes"},
    {"pixel_size": 0},
    {"pixel_size": -1.5},
    {"n_picks": 1.5},
    {"n_stored": -1},
    {"warnings": "w"},
    {"made_from": []},
    {"exported": {"cbox": "x"}},
    {"exported": 5},
    {"engine": None},
    {"optics": "300 kV"},
    {"optics": {"group": "1"}},
    {"optics": {"name": None}},
    {"optics": {"voltage_kv": "300"}},
    {"optics": {"pixel_size": 0}},
]


@pytest.mark.parametrize("values", WRONG, ids=lambda values: str(values)[:40])
def test_a_record_with_a_wrong_value_counts_as_none_and_stops_what_reads_the_run(layout, values):
    changed(layout.record("a"), **values)
    assert read_record(layout.record("a")) is None
    with pytest.raises(InputError, match="not a record"):
        read_run_folder(layout.out)


@pytest.mark.parametrize("text", ["", "[]", "[" * 3000, '{"shape": [NaN, 1]}', "9" * 5000], ids=lambda text: text[:9])
def test_a_record_a_failure_and_a_survey_that_are_no_json_count_as_none(layout, text):
    for path, read in ((layout.record("a"), read_record), (layout.failure("a"), read_failure)):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        assert read(path) is None
    layout.survey.write_text(text)
    assert read_survey(layout.survey) is None


def test_a_quality_with_wrong_values_is_made_again(layout):
    for value in ({"threshold": "x"}, {"threshold": 0.3, "diameter_px": [], "suspected": []}, 5):
        changed(layout.record("a"), quality=value)
        record = read_record(layout.record("a"))
        assert record is not None
        assert record.quality is None


@pytest.mark.parametrize(
    "values",
    [
        {"threshold": "high"},
        {"threshold": 2},
        {"threshold": True},
        {"settings": 5},
        {"micrographs": 5},
        {"micrographs": [{"name": ["a.mrc"]}]},
        {"micrographs": [{"name": "a.mrc", "stem": 5}]},
        {"micrographs": [{"name": "a.mrc", "stem": "9" * 400}]},
    ],
    ids=lambda values: str(values)[:40],
)
def test_a_run_json_with_a_wrong_value_is_an_input_error(layout, values):
    changed(layout.run, **values)
    with pytest.raises(InputError, match=r"run\.json"):
        read_run_folder(layout.out)


def test_a_run_json_with_nan_is_an_input_error_and_gives_no_threshold(layout):
    changed(layout.run, threshold=float("nan"))
    assert "NaN" in layout.run.read_text()
    with pytest.raises(InputError, match="NaN is not a number"):
        read_run_folder(layout.out)
    assert threshold_of_run(layout.out) is None


@pytest.mark.parametrize(
    "line",
    [
        b'{"micrograph": "a.mrc"}',
        b'{"at": "x", "micrograph": "a.mrc", "seconds": 1, "timings": {}}',
        b'{"run": 5}',
        b'{"run": {"seconds": "x"}}',
        b'{"micrograph": ["a.mrc"], "seconds": 1, "timings": {}}',
        b'{"micrograph": "a.mrc", "seconds": 1, "timings": {"read": null}}',
        b"\xff\xfe",
        b"[" * 2000,
        b"5",
    ],
    ids=lambda line: str(line[:30]),
)
def test_a_line_of_the_log_that_tells_no_time_is_passed_by(layout, line):
    layout.log.mkdir()
    good = {"at": 1.0, "micrograph": "a.mrc", "seconds": 0.5, "timings": {"read": 0.1}}
    (layout.log / "h.1.jsonl").write_bytes(line + b"\n" + json.dumps(good).encode() + b"\n")
    run = read_run_folder(layout.out)
    assert run.records["a.mrc"].timings == {"read": 0.1}
    assert "seconds" not in run.run


def test_a_survey_of_a_diameter_or_threshold_that_cannot_be_counts_as_none(layout):
    survey = {"vitripick": "1", "model": "m", "model_sha256": "x", "made_from": {"diameter": "abc"}}
    layout.survey.write_text(json.dumps(survey))
    assert read_survey(layout.survey) is None  # it says that it found a diameter, and there is none


def test_times_of_a_run_are_read_as_ever(layout):
    layout.log.mkdir()
    (layout.log / "h.1.jsonl").write_text('{"at": 2, "run": {"seconds": 3.5}}\n')
    assert read_run_folder(layout.out).run["seconds"] == 3.5
    assert folders.read_run_folder(layout.out).records["a.mrc"] == dataclasses.replace(
        read_record(layout.record("a")), seconds=0.0
    )


@pytest.mark.parametrize(("shape", "diameter_px"), [((0, 0), 20.0), ((40, 40), float("inf")), ((40, 40), float("nan"))])
def test_random_places_where_there_are_none_end(shape, diameter_px):
    import numpy as np

    with pytest.raises(InputError, match="no places"):
        random_places(3, shape, diameter_px=diameter_px, generator=np.random.default_rng(0))
