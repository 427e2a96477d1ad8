import threading
import time

import pytest
import torch

from vitripick.errors import InputError, UsageError
from vitripick.picking import PickSettings, choose_devices, pick_many
from vitripick.picking.devices import on_devices


def test_results_come_in_the_order_of_the_list_whoever_was_faster():
    def slow(item):
        time.sleep(0.02)
        return item, "slow"

    results = list(on_devices(range(20), [slow, lambda item: (item, "fast")]))
    assert [item for item, _ in results] == list(range(20))
    assert {who for _, who in results} == {"slow", "fast"}


def test_a_worker_never_has_two_items_at_once():
    busy = [threading.Lock() for _ in range(3)]

    def worker(lock):
        def work(item):
            assert lock.acquire(blocking=False)
            time.sleep(0.001)
            lock.release()
            return item

        return work

    assert len(list(on_devices(range(40), [worker(lock) for lock in busy]))) == 40


def test_an_exception_comes_out_and_items_not_begun_are_left():
    begun = []

    def work(item):
        begun.append(item)
        if item == 3:
            raise ValueError("no")
        time.sleep(0.001)
        return item

    with pytest.raises(ValueError, match="no"):
        list(on_devices(range(1000), [work, work]))
    assert len(begun) < 20


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
