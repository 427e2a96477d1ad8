"""A job file says the same to the page, to the worker and to a later version of the page."""

import json

import pytest

from vitripick.errors import FormatError, NotFoundError
from vitripick.web.job import EFFORTS, Job, read_job, write_job

TRAINING = """{
 "kind": "train",
 "title": "41 labels on 2 micrographs, from scratch",
 "name": "vitripick-labels-001",
 "description": "Trained in the browser on 41 labels on 2 micrographs.",
 "start": null,
 "effort": "quick",
 "settings": {
  "steps": 200,
  "steps_per_epoch": 40,
  "batch_size": 8,
  "crop_px": 160,
  "scratch": {
   "options": {
    "width": 16
   },
   "working_diameter_px": 20.0
  }
 },
 "trained_on": [
  "mic0.mrc",
  "ü/mic1.mrc"
 ],
 "model": null,
 "pick": true,
 "n_pick": 1,
 "diameter_px": 80.0,
 "pixel_size": null
}
"""
PICKING = """{
 "kind": "pick",
 "title": "general",
 "model_id": "released:general",
 "model": "general",
 "trained": true,
 "pick": true,
 "n_pick": 2,
 "diameter_px": null,
 "pixel_size": 1.5
}
"""


@pytest.mark.parametrize("text", [TRAINING, PICKING, '{\n "kind": "describe"\n}\n'])
def test_a_job_file_is_read_and_written_byte_for_byte(tmp_path, text):
    path = tmp_path / "job.json"
    path.write_text(text, encoding="utf-8")
    job = read_job(path)
    write_job(job, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text(encoding="utf-8") == text


def test_what_was_set_later_is_written_as_well():
    job = Job(kind="train", title="labels").model_copy(update={"trained": True, "diameter_px": None})
    assert job.to_json() == {"kind": "train", "title": "labels", "trained": True, "diameter_px": None}


def test_a_missing_job_file_and_one_that_holds_no_job_are_different_errors(tmp_path):
    path = tmp_path / "job.json"
    with pytest.raises(NotFoundError, match=r"job\.json"):
        read_job(path)
    path.write_text(json.dumps({"kind": "bake"}))
    with pytest.raises(FormatError, match="kind"):
        read_job(path)


def test_a_trained_model_gets_half_the_steps_and_keeps_its_network():
    half = EFFORTS["quick"].halved()
    assert half.arguments(from_scratch=False) == {"steps": 100, "steps_per_epoch": 20, "batch_size": 8, "crop_px": 160}
    from_scratch = EFFORTS["quick"].arguments(from_scratch=True)
    assert from_scratch["options"] == {"width": 16}
    assert "crop_px" not in EFFORTS["standard"].arguments(from_scratch=True)


def test_fewer_steps_still_end_with_a_validation():
    assert EFFORTS["standard"].with_steps(7).arguments(from_scratch=False) == {
        "steps": 7,
        "steps_per_epoch": 7,
        "batch_size": 16,
    }
