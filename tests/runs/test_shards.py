"""Shares of a run: what array jobs say, and that all shares together are one run."""

import pytest

from made import snapshot
from vitripick.errors import UsageError
from vitripick.runs import PickSettings, parse_shard, pick_many, step


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        ("3/16", {}, "3/16"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "0", **{f"SLURM_ARRAY_TASK_{k}": v for k, v in
                  {"MIN": "0", "MAX": "3", "STEP": "1", "COUNT": "4"}.items()}}, "1/4"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "7", **{f"SLURM_ARRAY_TASK_{k}": v for k, v in
                  {"MIN": "1", "MAX": "9", "STEP": "2", "COUNT": "5"}.items()}}, "4/5"),
        ("auto", {"SGE_TASK_ID": "4", "SGE_TASK_FIRST": "2", "SGE_TASK_LAST": "6", "SGE_TASK_STEPSIZE": "2"}, "2/3"),
        ("auto", {"LSB_JOBINDEX": "3", "LSB_JOBINDEX_END": "8"}, "3/8"),
        ("auto", {"LSB_JOBINDEX": "3", "LSB_JOBINDEX_END": "8", "LSB_JOBINDEX_STEP": ""}, "3/8"),
        ("auto/16", {"PBS_ARRAY_INDEX": "5"}, "5/16"),
        ("auto/16", {"PBS_ARRAYID": "5"}, "5/16"),
        ("auto/16", {"SLURM_ARRAY_TASK_ID": "16"}, "16/16"),
        ("auto", {"SGE_TASK_ID": "undefined", "LSB_JOBINDEX": "2", "LSB_JOBINDEX_END": "2"}, "2/2"),
    ],
)  # fmt: skip
def test_a_shard_is_read_from_the_option_and_the_array_job(text, environment, shard):
    assert str(parse_shard(text, environment)) == shard


@pytest.mark.parametrize(
    ("text", "environment", "says"),
    [
        ("0/4", {}, "counted from 1"),
        ("5/4", {}, "5 of 4"),
        ("3", {}, "3/16"),
        ("a/b", {}, "3/16"),
        ("auto", {}, "not an array job"),
        ("auto/4", {}, "not an array job"),
        ("auto", {"PBS_ARRAY_INDEX": "1"}, "auto/16"),
        ("auto/4", {"PBS_ARRAY_INDEX": "0"}, "counted from 1"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "5", **{f"SLURM_ARRAY_TASK_{k}": v for k, v in
                  {"MIN": "1", "MAX": "9", "STEP": "1", "COUNT": "3"}.items()}}, "not one plain range"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "5"}, "SLURM_ARRAY_TASK_MIN"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_share_is_refused(text, environment, says):
    with pytest.raises(UsageError, match=says):
        parse_shard(text, environment)


def test_all_shares_and_one_call_to_finish_are_one_run(model, many_micrographs, tmp_path, monkeypatch):
    settings = PickSettings(formats=("star", "topaz"))
    whole, shared = tmp_path / "whole", tmp_path / "share"
    pick_many([many_micrographs], whole, model, settings)
    n_each = [
        len(pick_many([many_micrographs], shared, model, settings, shard=parse_shard(f"{i}/5")).records)
        for i in (4, 2, 1, 5, 3)
    ]
    assert sum(n_each) == 12
    assert not (shared / "autopick.star").exists()
    monkeypatch.setattr(step, "look_at_all", lambda *a, **k: pytest.fail("picked again"))
    pick_many([many_micrographs], shared, model, settings)
    assert snapshot(shared, wherever=True) == snapshot(whole, wherever=True)
