"""When a watcher writes the files that describe the whole run: seldom enough to cost a twentieth of its time."""

import pytest

from vitripick.runs.watch.schedule import JoinSchedule


@pytest.fixture
def schedule(clock):
    return JoinSchedule(join_seconds=30)


def join(schedule, clock, *, takes):
    started = clock.now
    clock.wait(takes)
    schedule.joined(started)


def report(schedule, clock, *, takes):
    started = clock.now
    clock.wait(takes)
    schedule.reported(started)


def test_joined_files_are_written_once_an_interval(schedule, clock):
    clock.wait(29)
    assert not schedule.may_join()
    clock.wait(1)
    assert schedule.may_join()
    join(schedule, clock, takes=1)
    assert not schedule.may_join()
    clock.wait(30)
    assert schedule.may_join()


def test_joined_files_that_take_long_are_written_less_often(schedule, clock):
    join(schedule, clock, takes=10)
    clock.wait(199)
    assert not schedule.may_join()
    clock.wait(1)
    assert schedule.may_join()
    join(schedule, clock, takes=1)  # the last time counts
    clock.wait(30)
    assert schedule.may_join()


def test_without_an_idle_moment_joined_files_are_written_after_five_intervals(schedule, clock):
    clock.wait(150)
    assert not schedule.must_join()
    clock.wait(1)
    assert schedule.must_join()
    join(schedule, clock, takes=10)
    clock.wait(1000)
    assert not schedule.must_join()
    clock.wait(1)
    assert schedule.must_join()


def test_a_report_is_written_every_ten_minutes_and_a_slow_one_less_often(schedule, clock):
    clock.wait(599)
    assert not schedule.may_report()
    clock.wait(1)
    assert schedule.may_report()
    report(schedule, clock, takes=60)
    clock.wait(1199)
    assert not schedule.may_report()
    clock.wait(1)
    assert schedule.may_report()


def test_joining_and_reporting_do_not_put_each_other_off(schedule, clock):
    clock.wait(600)
    join(schedule, clock, takes=1)
    assert schedule.may_report()
    clock.wait(20)
    report(schedule, clock, takes=10)
    assert schedule.may_join()
