"""The ledger of a watcher: what waits, what is done and what failed, as files come, change and go."""

import json
from pathlib import Path

import pytest

from vitripick.errors import UsageError
from vitripick.formats import MicrographFile
from vitripick.run_layout import RunLayout
from vitripick.runs.record import Outcome, Record, write_failure, write_record
from vitripick.runs.watch.arrivals import signature_of
from vitripick.runs.watch.ledger import Ledger

A, B = (MicrographFile(name, Path("/watched") / name) for name in ("a.mrc", "b.mrc"))
SMALL, LARGE = (100, 1), (200, 2)  # sizes in bytes and times in ns


@pytest.fixture
def ledger(clock, tmp_path):
    """Return a ledger whose files must look the same for five seconds."""
    return Ledger(RunLayout(tmp_path / "out"), settle_seconds=5)


def enter(ledger, *found, known=None):
    """Enter what a scan found; `known` are outcomes of an earlier watcher, by name."""
    ledger.enter(found, lambda file, signature: (known or {}).get(file.name))


def done(file):
    record = Record(file.name, str(file.path), file.path.stem, (10, 10), None, n_stored=3, n_picks=2)
    return Outcome(file, file.path.stem, record=record)


def failed(file):
    return Outcome(file, file.path.stem, failure={"micrograph": file.name, "error": "broken"})


def names(arrivals):
    return [arrival.file.name for arrival in arrivals]


def test_a_new_file_may_be_picked_when_it_has_looked_the_same_for_a_while(ledger, clock):
    enter(ledger, (A, SMALL))
    assert names(ledger.waiting) == ["a.mrc"]
    clock.wait(4.9)
    enter(ledger, (A, SMALL))
    assert ledger.next_ready() is None
    clock.wait(0.1)
    assert ledger.next_ready().file == A


def test_a_file_that_changes_waits_from_then_on(ledger, clock):
    enter(ledger, (A, SMALL))
    clock.wait(4)
    enter(ledger, (A, LARGE))
    clock.wait(4)
    assert ledger.next_ready() is None
    clock.wait(1)
    assert ledger.next_ready().signature == LARGE


def test_the_file_that_has_waited_longest_comes_first(ledger, clock):
    enter(ledger, (B, SMALL))
    clock.wait(1)
    enter(ledger, (B, SMALL), (A, SMALL))
    clock.wait(5)
    assert ledger.next_ready().file == B


def test_a_file_that_is_put_off_lets_the_others_go_first(ledger, clock):
    enter(ledger, (A, SMALL), (B, SMALL))
    clock.wait(5)
    first = ledger.next_ready()
    ledger.put_off(first, 10)
    assert ledger.next_ready().file != first.file
    clock.wait(10)
    assert ledger.next_ready() is first


def test_only_files_that_still_look_as_they_did_have_settled(ledger, clock, tmp_path):
    files = [MicrographFile(name, tmp_path / name) for name in ("same.mrc", "grows.mrc", "gone.mrc")]
    for file in files:
        file.path.write_bytes(b"1234")
    enter(ledger, *((file, signature_of(file.path)) for file in files))
    assert ledger.settled() == []
    clock.wait(5)
    files[1].path.write_bytes(b"12345678")
    files[2].path.unlink()
    assert names(ledger.settled()) == ["same.mrc"]


def test_a_file_that_is_picked_is_done_and_the_joined_files_are_old(ledger, clock):
    enter(ledger, (A, SMALL), (B, SMALL))
    assert not ledger.changed
    clock.wait(5)
    ledger.close(ledger.next_ready(), done(A))
    assert (names(ledger.done), names(ledger.waiting)) == (["a.mrc"], ["b.mrc"])
    assert ledger.changed


def test_what_an_earlier_watcher_did_or_gave_up_is_not_picked_again(ledger, clock):
    enter(ledger, (A, SMALL), (B, SMALL), known={"a.mrc": done(A), "b.mrc": failed(B)})
    assert (names(ledger.done), names(ledger.failed), ledger.waiting) == (["a.mrc"], ["b.mrc"], [])
    assert ledger.changed


def test_only_a_file_that_is_to_be_picked_counts_as_arriving(ledger, clock):
    started = ledger.active
    clock.wait(7)
    enter(ledger, (A, SMALL), known={"a.mrc": done(A)})
    assert ledger.active == started
    enter(ledger, (A, SMALL), (B, SMALL))
    assert ledger.active == started + 7


@pytest.mark.parametrize("outcome", [done, failed])
def test_a_closed_file_that_is_replaced_waits_again_whatever_an_earlier_watcher_knew(ledger, clock, outcome):
    enter(ledger, (A, SMALL), known={"a.mrc": outcome(A)})
    enter(ledger, (A, LARGE), known={"a.mrc": outcome(A)})
    assert (names(ledger.waiting), ledger.done, ledger.failed) == (["a.mrc"], [], [])
    assert ledger.waiting[0].n_tries == 0


def test_a_done_file_that_went_to_an_archive_stays_done(ledger):
    enter(ledger, (A, SMALL), (B, SMALL), known={"a.mrc": done(A), "b.mrc": done(B)})
    ledger.changed = False
    enter(ledger, (A, None))  # a STAR still lists the one, and a folder has no entry for the other
    assert names(ledger.done) == ["a.mrc", "b.mrc"]
    assert not ledger.changed


def test_a_waiting_file_that_went_is_forgotten(ledger):
    enter(ledger, (A, SMALL), (B, SMALL))
    enter(ledger, (B, SMALL))
    assert names(ledger.waiting) == ["b.mrc"]
    assert not ledger.changed


def test_a_name_in_a_star_whose_file_is_not_there_waits(ledger, clock):
    enter(ledger, (A, None))
    clock.wait(5)
    assert ledger.next_ready().file == A
    enter(ledger, (A, SMALL))
    assert ledger.next_ready() is None  # it has only now arrived


def test_a_failed_file_that_goes_away_takes_its_failure_along(ledger, tmp_path):
    layout = RunLayout(tmp_path / "out")
    for file in (A, B):
        write_failure({"micrograph": file.name, "error": "broken"}, layout, file.path.stem)
    enter(ledger, (A, SMALL), (B, SMALL), known={"a.mrc": failed(A), "b.mrc": failed(B)})
    ledger.changed = False
    enter(ledger, (B, SMALL))
    assert names(ledger.failed) == ["b.mrc"]
    assert ledger.changed
    assert not layout.failure("a").exists()
    assert json.loads(layout.failure("b").read_text())["micrograph"] == "b.mrc"


def test_two_files_of_one_stem_get_names_of_their_own(ledger):
    assert ledger.stem(MicrographFile("g/a.mrc", Path("/watched/g/a.mrc"))) == "g/a"
    assert ledger.stem(MicrographFile("g/a.tif", Path("/watched/g/a.tif"))) == "g/a.tif"
    assert ledger.stem(MicrographFile("g/a.mrc", Path("/watched/g/a.mrc"))) == "g/a"


def test_a_stem_that_an_earlier_watcher_gave_to_another_file_is_not_given_again(ledger, tmp_path):
    layout = RunLayout(tmp_path / "out")
    write_record(done(MicrographFile("a.tif", Path("/watched/a.tif"))).record, layout)
    write_failure({"micrograph": "b.tif", "error": "broken"}, layout, "b")
    assert (ledger.stem(A), ledger.stem(B)) == ("a.mrc", "b.mrc")


def test_picks_of_another_folders_file_of_the_same_name_are_not_overwritten(ledger, tmp_path):
    here, there = tmp_path / "here" / "a.mrc", tmp_path / "there" / "a.mrc"
    for path in (here, there):
        path.parent.mkdir()
        path.touch()
    write_record(done(MicrographFile("a.mrc", there)).record, RunLayout(tmp_path / "out"))
    with pytest.raises(UsageError, match="would be overwritten"):
        ledger.stem(MicrographFile("a.mrc", here))
