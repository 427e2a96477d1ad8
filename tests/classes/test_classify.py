"""Two-dimensional classes of images whose contents are known."""

import numpy as np
import pytest

from vitripick.classes import classify
from vitripick.errors import InputError, UsageError

SIZE, DIAMETER = 40, 24.0


def shape_of(kind, angle, shift):
    """Return a particle: an L of two bars (0), or a ring (1), turned by an angle from x towards y, and moved."""
    rows, columns = np.indices((SIZE, SIZE)) - SIZE // 2
    x, y = columns - shift[0], rows - shift[1]
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    if kind == 1:
        return np.exp(-0.5 * ((np.hypot(x, y) - 8) / 1.5) ** 2)
    long = (np.abs(along) < 10) & (np.abs(across + 4) < 2.5)
    return (long | ((np.abs(along - 7) < 2.5) & (np.abs(across - 2) < 6))).astype(float)


def particles(n=120, *, noise=1.0, n_edges=0, seed=0):
    """Return images of both shapes, then edges; with kinds, angles and shifts."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(n) % 2
    angles, shifts = rng.uniform(0, 2 * np.pi, n), rng.uniform(-2, 2, (n, 2))
    images = [1.5 * shape_of(*one) for one in zip(kinds, angles, shifts, strict=True)]
    rows, columns = np.indices((SIZE, SIZE)) - SIZE // 2
    for angle in rng.uniform(0, 2 * np.pi, n_edges):
        images.append(3.0 * (np.cos(angle) * columns + np.sin(angle) * rows > 2))
    stack = np.stack(images) + rng.normal(0, noise, (len(images), SIZE, SIZE))
    return stack, np.concatenate([kinds, np.full(n_edges, 2)]), angles, shifts


@pytest.fixture(scope="module")
def found():
    images, kinds, angles, shifts = particles(240, n_edges=36)
    return classify(images, 8, diameter_px=DIAMETER, n_threads=2), images, kinds, angles, shifts


def test_images_of_one_thing_share_their_classes(found):
    classes, _, kinds, _, _ = found
    numbers = classes.assigned.class_number
    purest = [np.bincount(kinds[numbers == one.number]).max() for one in classes.classes]
    assert sum(purest) >= 0.97 * len(kinds)
    assert sum(one.n_members for one in classes.classes) == len(kinds)
    assert [one.n_members for one in classes.classes] == sorted(
        (one.n_members for one in classes.classes), reverse=True
    )


def test_particles_lie_where_they_are_found(found):
    classes, _, kinds, _, shifts = found
    rings = np.flatnonzero(kinds == 1)
    error = np.hypot(*(classes.assigned.shift_px[rings] - shifts[rings]).T)
    assert np.median(error) < 0.5
    assert (error < 1).mean() > 0.9


def test_angles_agree_within_a_class(found):
    classes, _, kinds, angles, _ = found
    number = np.bincount(classes.assigned.class_number[kinds == 0]).argmax()
    own = np.flatnonzero((classes.assigned.class_number == number) & (kinds == 0))
    off = classes.assigned.angle_degrees[own] - np.degrees(angles[own])
    off = (off - off[0] + 180) % 360 - 180
    assert np.abs((off - np.median(off) + 180) % 360 - 180).max() < 15


def test_an_average_is_sharper_than_its_images(found):
    classes, _, kinds, _, _ = found
    number = np.bincount(classes.assigned.class_number[kinds == 1]).argmax()
    ring = shape_of(1, 0, (0, 0))
    average = classes.averages[number - 1]
    assert np.corrcoef(average.ravel(), ring.ravel())[0, 1] > 0.9


def test_edges_are_taken_for_edges_and_particles_for_particles(found):
    classes, _, kinds, _, _ = found
    kept = classes.keep()
    assert kept[kinds < 2].mean() > 0.95
    assert not kept[kinds == 2].any()
    assert "edge" in {one.guess for one in classes.classes}


def test_classes_that_a_person_names_are_kept_whole(found):
    classes = found[0]
    assert (classes.keep([1, 3]) == np.isin(classes.assigned.class_number, [1, 3])).all()


def test_images_that_come_later_go_to_the_classes_of_their_like(found):
    classes, images, _, _, _ = found
    later = classes.assign(images[:50], n_threads=1)
    assert (later.class_number == classes.assigned.class_number[:50]).mean() > 0.95


def test_most_noise_is_found_empty():
    images, *_ = particles(200, seed=3)
    noise = np.random.default_rng(4).normal(0, 1, (100, SIZE, SIZE))
    found = classify(np.concatenate([images, noise]), 4, diameter_px=DIAMETER, n_threads=2)
    kept = found.keep()
    assert kept[:200].mean() > 0.95
    assert kept[200:].mean() < 0.3


def test_the_number_of_threads_changes_nothing():
    images, *_ = particles(60, seed=2)
    one, two = (classify(images, 4, diameter_px=DIAMETER, n_threads=n) for n in (1, 2))
    assert one.averages.tobytes() == two.averages.tobytes()
    assert one.assigned.score.tobytes() == two.assigned.score.tobytes()


@pytest.mark.parametrize(("n_images", "n"), [(1, 30), (10, 30), (20, 1)])
def test_few_images_or_one_class_give_what_there_is(n_images, n):
    found = classify(particles(n_images)[0], n, n_threads=1)
    assert len(found) == 1
    assert np.isfinite(found.averages).all()
    assert len(found.keep()) == n_images


@pytest.mark.parametrize("image", [np.zeros((SIZE, SIZE)), np.full((SIZE, SIZE), 7.0), shape_of(0, 0.3, (0, 0))])
def test_equal_images_are_one_class(image):
    found = classify(np.repeat(image[None], 30, axis=0), 2, n_threads=1)
    assert len(set(found.assigned.class_number)) == 1
    assert np.isfinite(found.averages).all()


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (np.zeros((0, 32, 32)), "there are no images"),
        (np.zeros((3, 32, 30)), "square images"),
        (np.zeros((3, 31, 31)), "even side"),
        (np.full((3, 32, 32), np.nan), "3 of 3 images hold NaN"),
    ],
)
def test_what_is_no_stack_of_particles_is_refused_in_words(images, says):
    with pytest.raises(InputError, match=says):
        classify(images)


def test_values_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="at least one class"):
        classify(particles(10)[0], 0)
    with pytest.raises(UsageError, match="take particles of"):
        classify(particles(10)[0], 2, diameter_px=60)
