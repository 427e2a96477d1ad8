import pytest
import torch

from vitripick.errors import InputError, UsageError
from vitripick.picking import PickSettings, choose_devices, pick_many


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
