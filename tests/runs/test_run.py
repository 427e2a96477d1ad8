"""One run, step by step: whoever picks, in whatever order and in however many calls, the files are the same."""

import numpy as np
import pytest

from made import rings, snapshot
from vitripick.errors import InputError, UsageError
from vitripick.formats import find_micrographs, write_mrc
from vitripick.models import open_model
from vitripick.run_layout import RunLayout
from vitripick.runs import PickSettings, pick_many, step
from vitripick.runs.run import Listener, Run
from vitripick.runs.shards import Shard

SETTINGS = PickSettings(formats=("star", "csv", "particles-star"), thumbnails=True)


@pytest.fixture
def whole(model, many_micrographs, tmp_path):
    """Return the files of a run of `pick_many`."""
    pick_many([many_micrographs], tmp_path / "whole", model, SETTINGS)
    return snapshot(tmp_path / "whole", wherever=True)


def files_of_run(tmp_path):
    return snapshot(tmp_path / "out", wherever=True)


def test_the_steps_by_hand_write_what_pick_many_writes(tmp_path):
    general = open_model("general")  # it leaves diameter and threshold to the survey
    for seed in range(2):
        write_mrc(tmp_path / "mics" / f"{seed}.mrc", rings(seed))
    summary = pick_many([tmp_path / "mics"], tmp_path / "whole", general, SETTINGS)
    with Run(find_micrographs([tmp_path / "mics"]), tmp_path / "out", general, SETTINGS) as run:
        found = run.survey()
        assert run.pick()
        by_hand = run.finish()
    assert found == summary.survey
    assert by_hand.stable_dict() == {**summary.stable_dict(), "out": str(tmp_path / "out")}
    assert files_of_run(tmp_path) == snapshot(tmp_path / "whole", wherever=True)
    assert (tmp_path / "out" / "survey.json").is_file()


def test_a_survey_by_somebody_else_is_what_the_run_goes_on_with(tmp_path):
    general = open_model("general")
    write_mrc(tmp_path / "mics" / "0.mrc", rings())
    files = find_micrographs([tmp_path / "mics"])
    told = []
    with Run(files, tmp_path / "out", general) as elsewhere:
        found = elsewhere.survey()
    with Run(files, tmp_path / "out", general, listener=Listener(on_survey=told.append)) as run:
        assert run.survey(by=lambda given: found if given == files else None) is found
        assert (run.picker.settings, run.picker.threshold) == (elsewhere.picker.settings, elsewhere.picker.threshold)
        assert run.picker.settings.diameter_px == found.diameter.diameter
    assert told == [found]


def test_outcomes_that_come_in_another_order_give_the_same_files(model, many_micrographs, tmp_path, whole):
    files, heard = find_micrographs([many_micrographs]), []

    def last_first(files, stems):
        for file in reversed(files):
            yield run.picker.attempt(file, stems[file.name])

    listener = Listener(on_done=lambda done, total, name: heard.append((done, total, name)))
    with Run(files, tmp_path / "out", model, SETTINGS, listener=listener) as run:
        run.survey()
        assert run.pick(by=last_first)
        summary = run.finish()
    assert heard == [(i, 12, file.name) for i, file in enumerate(reversed(files), start=1)]
    assert [record.name for record in summary.records] == [file.name for file in files]
    assert files_of_run(tmp_path) == whole


def test_a_run_that_was_stopped_is_finished_by_a_second_one(model, many_micrographs, tmp_path, whole, monkeypatch):
    files, asked = find_micrographs([many_micrographs]), iter([False, False, False])
    with Run(files, tmp_path / "out", model, SETTINGS) as run:
        assert not run.pick(stop=lambda: next(asked, True))
        assert len(run.summary().records) == 3
        assert run.n_picks == sum(record.n_picks for record in run.summary().records) > 0
    layout = RunLayout(tmp_path / "out")
    assert layout.holds_run()
    assert not layout.run.exists()
    looked, look = [], step.look_at_all
    monkeypatch.setattr(step, "look_at_all", lambda *a, **k: (looked.append(1), look(*a, **k))[1])
    with Run(files, tmp_path / "out", model, SETTINGS) as run:
        assert run.pick()
        assert run.finish().n_skipped == 3
    assert len(looked) == 9
    assert files_of_run(tmp_path) == whole


def test_a_share_writes_its_micrographs_and_no_joined_file(model, many_micrographs, tmp_path, whole):
    files = find_micrographs([many_micrographs])
    with Run(files, tmp_path / "out", model, SETTINGS, share=Shard(2, 3)) as run:
        run.survey()
        assert run.pick()
        assert len(run.finish().records) == 4
    stems = [run.stems[file.name] for file in files[1::3]]
    kinds = ("cbox/{}.cbox", "star/{}_autopick.star", "csv/{}.csv", "thumbnails/{}.jpg", "micrographs/{}.json")
    assert set(files_of_run(tmp_path)) == {kind.format(stem) for kind in kinds for stem in stems}
    with Run(files, tmp_path / "out", model, SETTINGS) as run:
        run.pick()
        assert run.finish().n_skipped == 4
    assert files_of_run(tmp_path) == whole


def test_a_run_that_cannot_work_is_refused_before_it_makes_a_folder(model, micrographs, tmp_path):
    files = find_micrographs([micrographs])  # two of them are called one.mrc
    with pytest.raises(UsageError, match="base name"):
        Run(files, tmp_path / "out", model, PickSettings(formats=("cryosparc-star",)))
    assert not (tmp_path / "out").exists()


def test_two_samples_in_one_folder_are_refused_before_anything_is_picked_unless_a_diameter_is_given(tmp_path):
    """Rings of 60 px and rings of four times that size: no diameter suits both."""
    for seed in range(2):
        write_mrc(tmp_path / "mics" / f"small_{seed}.mrc", rings(seed))
        write_mrc(tmp_path / "mics" / f"large_{seed}.mrc", np.kron(rings(seed), np.ones((4, 4), np.float32)))
    with pytest.raises(InputError, match=r"different samples: large_0.mrc 2\d\d px.*small_1.mrc.*out=.*diameter_px="):
        pick_many([tmp_path / "mics"], tmp_path / "out", open_model("general"))
    assert not (tmp_path / "out" / "run.json").exists()
    insisting = PickSettings(diameter_px=60, threshold=0.4)
    assert len(pick_many([tmp_path / "mics"], tmp_path / "out", open_model("general"), insisting).records) == 4


def test_a_diameter_in_angstrom_without_any_pixel_size_is_refused_once(model, tmp_path):
    for seed in range(3):
        write_mrc(tmp_path / "mics" / f"{seed}.mrc", rings(seed))
    with pytest.raises(InputError, match=r"130 Å.*pixel size.*nor do 2 others.*pixel_size=.*diameter_px="):
        pick_many([tmp_path / "mics"], tmp_path / "out", model, PickSettings(diameter_angstrom=130))
    assert not (tmp_path / "out" / "run.json").exists()
