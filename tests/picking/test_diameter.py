"""The diameter from what a network says at several assumed ones: the rule alone, on curves made up here."""

import numpy as np
import pytest

from vitripick.errors import UsageError
from vitripick.picking.diameter import Sweep, combine, contrast_of, diameters_to_try, summed_up

ASSUMED = np.geomspace(60, 600, 9)


def responding_to(diameter, *, peak=0.9, jitter=1.3, seen_as=1.0):
    """A network that is sure within a factor of `jitter` of the true diameter, and unsure elsewhere."""
    off = np.log(ASSUMED / diameter)
    sureness = np.where(np.abs(off) < np.log(jitter), peak, np.clip(peak - np.abs(off) + np.log(jitter), 0.2, peak))
    return Sweep(ASSUMED, sureness, np.clip(np.log(seen_as) - off, -0.25, 0.25), np.full(9, 10.0))


def silent():
    return Sweep(ASSUMED, np.full(9, 0.3), np.linspace(0.2, -0.2, 9), np.ones(9))


@pytest.mark.parametrize("true", [90, 130, 200, 330])
def test_the_diameter_is_where_the_network_is_sure_and_agrees(true):
    found = combine({"a": responding_to(true), "b": responding_to(true)}, unit="angstrom")
    assert found.diameter == pytest.approx(true, rel=0.06)
    assert found.low < true < found.high
    assert not found.mixed


def test_silent_micrographs_do_not_move_it():
    sweeps = {"a": responding_to(150), "b": responding_to(150, peak=0.95), "empty": silent()}
    found = combine(sweeps, unit="angstrom")
    assert found.diameter == pytest.approx(150, rel=0.06)
    assert [one.diameter is None for one in found.micrographs] == [False, False, True]
    assert "nothing stands out on 1 more" in found.summary_lines()[0]


def test_one_that_shows_particles_is_enough_among_empty_ones():
    sweeps = {"a": responding_to(150), **{name: silent() for name in "bcde"}}
    assert combine(sweeps, unit="angstrom").diameter == pytest.approx(150, rel=0.06)


def test_a_given_diameter_gives_way_where_micrographs_agree_on_another():
    found = combine({"a": responding_to(150), "b": responding_to(150)}, unit="angstrom", given=220)
    assert found.contradicts
    assert "instead of the 220 Å that were given" in found.summary_lines()[0]


def test_a_given_diameter_stays_where_the_estimate_is_as_near_as_estimates_are():
    found = combine({"a": responding_to(150), "b": responding_to(150)}, unit="angstrom", given=175)
    assert not found.contradicts
    assert found.summary_lines() == []


@pytest.mark.parametrize(
    "others",
    [{"b": silent(), "c": silent()}, {"b": responding_to(150), "c": responding_to(150), "d": responding_to(400)}],
)
def test_a_given_diameter_stays_where_most_show_nothing_or_they_disagree(others):
    assert not combine({"a": responding_to(150), **others}, unit="angstrom", given=300).contradicts


def test_a_given_diameter_stays_where_nothing_stands_out():
    found = combine({"a": silent(), "b": silent()}, unit="angstrom", given=200)
    assert found.diameter == 200
    assert not found.contradicts


def test_nothing_that_stands_out_is_an_error_that_says_what_to_give():
    with pytest.raises(UsageError, match=r"2 micrographs.*60 Å and 600 Å.*diameter_angstrom="):
        combine({"a": silent(), "b": silent()}, unit="angstrom")


def test_mixed_samples_are_told_with_what_was_found_on_each():
    sweeps = {"a": responding_to(100), "b": responding_to(100), "c": responding_to(100), "d": responding_to(400)}
    found = combine(sweeps, unit="angstrom")
    assert found.mixed
    assert found.diameter == pytest.approx(100, rel=0.1)
    note = found.summary_lines()[1]
    assert all(name in note for name in "abcd")


@pytest.mark.parametrize(
    ("diameters", "two"),
    [([100, 100, 100, 400], False), ([100, 100, 400, 400], True), ([100, 400], True), ([100], False)],
)
def test_two_samples_are_suspected_where_fewer_than_two_thirds_agree(diameters, two):
    sweeps = {str(i): responding_to(diameter) for i, diameter in enumerate(diameters)}
    assert combine({**sweeps, "empty": silent()}, unit="angstrom").looks_like_two_samples is two


def test_witnesses_that_disagree_widen_the_uncertainty():
    agreed = combine({"a": responding_to(150)}, unit="px")
    torn = combine({"a": responding_to(150, seen_as=1.2)}, unit="px")
    assert torn.high / torn.low > 1.05 * agreed.high / agreed.low


def test_diameters_to_try_fit_the_micrograph_and_its_pixels():
    assert diameters_to_try((4096, 4096), 1.0)[[0, -1]] == pytest.approx([50, 700])
    assert diameters_to_try((600, 640), 16.0)[0] == pytest.approx(96)  # 6 px
    assert diameters_to_try((300, 640), 4.0)[-1] == pytest.approx(400)  # a third of the short side
    assert diameters_to_try((1600, 1200), None)[[0, -1]] == pytest.approx([20, 400])


def test_neighbours_to_try_are_within_the_jitter_of_training():
    tried = diameters_to_try((4096, 4096), 1.0)
    assert (tried[1:] / tried[:-1]).max() < 1.25**2


def test_few_sure_picks_on_a_large_area_are_not_sureness():
    two = np.array([0.9, 0.9])
    assert summed_up(two, np.zeros(2), 1000)[0] < 0.2
    assert summed_up(np.full(30, 0.9), np.zeros(30), 1000)[0] == pytest.approx(0.9)


def rising_to_the_end():
    """A network that is surest at the smallest diameter that was tried."""
    return Sweep(ASSUMED, np.linspace(0.9, 0.2, 9), np.linspace(0.1, -0.1, 9), np.ones(9))


def test_a_diameter_at_the_end_of_those_tried_is_no_estimate():
    with pytest.raises(UsageError, match="none stands out"):
        combine({"a": rising_to_the_end()}, unit="angstrom")


def test_who_is_surest_at_the_end_and_sees_smaller_particles_there_has_an_estimate():
    """A clear particle makes the network as sure at twice its diameter as at the right one."""
    sureness = np.array([0.1, 0.1, 0.1, 0.1, 0.2, 0.4, 0.97, 0.98, 0.99])
    seen = Sweep(ASSUMED, sureness, np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.3, 0.2, -0.05, -0.2]), np.ones(9))
    assert ASSUMED[6] < combine({"a": seen}, unit="angstrom").diameter < ASSUMED[8]


@pytest.mark.parametrize(
    ("before", "after", "contrast"),
    [(0.4, 0.9, "white"), (0.65, 0.8, "dark"), (0.2, 0.55, "perhaps white"), (0.2, 0.3, "dark")],
)
def test_particles_are_white_where_far_more_stands_out_after_inverting(before, after, contrast):
    seen = [{"a": responding_to(150, peak=peak)} for peak in (before, after)]
    assert contrast_of(*seen) == contrast
