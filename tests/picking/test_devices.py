import pytest
import torch

from vitripick.errors import InputError, UsageError
from vitripick.formats import read_picks
from vitripick.geometry import match
from vitripick.picking import choose_devices
from vitripick.runs import PickSettings, pick_many


def test_two_devices_write_what_one_does(model, micrographs, tmp_path):
    settings = PickSettings(formats=("star", "cbox"))
    one = pick_many([micrographs], tmp_path / "one", model, settings)
    two = pick_many([micrographs], tmp_path / "two", model, settings, device=["cpu", "cpu"])
    assert [r.name for r in one.records] == [r.name for r in two.records]
    for path in (tmp_path / "one" / "cbox").rglob("*.cbox"):
        assert path.read_text() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_text()


def test_devices_are_named_one_by_one_or_all():
    assert choose_devices("cpu, cpu") == ["cpu", "cpu"]
    with pytest.raises(UsageError, match="names no device"):
        choose_devices(",")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_all_devices_where_there_is_none_is_an_error():
    with pytest.raises(InputError, match="no CUDA"):
        choose_devices("all")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_gpu_finds_what_the_cpu_finds_with_one_job_and_with_three(model, micrographs, tmp_path):
    settings = PickSettings(formats=("cbox",))
    runs = {
        name: pick_many([micrographs], tmp_path / name, model, settings, device=device, jobs=jobs)
        for name, device, jobs in (("cpu", ["cpu"], 1), ("gpu", ["cuda"], 1), ("jobs", choose_devices("all"), 3))
    }
    for name in ("gpu", "jobs"):
        assert not runs[name].failures
        for path in sorted((tmp_path / "cpu").rglob("*.cbox")):
            on_cpu, other = (read_picks(p) for p in (path, tmp_path / name / path.relative_to(tmp_path / "cpu")))
            sure, also = on_cpu.select(on_cpu.confidence > 0.2), other.select(other.confidence > 0.15)
            assert len(sure) > 5
            assert (match(sure, also, criterion="distance", distance_px=1) >= 0).all()
