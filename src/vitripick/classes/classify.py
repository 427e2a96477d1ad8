"""Sort particle images into two-dimensional classes, to see what was picked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from vitripick.classes import average, judge, prepare
from vitripick.classes.expectation import Indices
from vitripick.classes.judge import Bools, Guess
from vitripick.classes.polar import Images, Reals
from vitripick.classes.refine import WORK_PX, Places, References, assign, find_classes
from vitripick.cores import usable_cores
from vitripick.errors import UsageError, parameter

# A class of fewer images shows more noise than particle.
_LEAST_IMAGES = 14
# Without a diameter, the particle has this share of the image's side.
_USUAL_SHARE = 1 / 1.6
_N_OF_NOISE = 400
_IMAGES_AT_ONCE = 2000


@dataclass(frozen=True, eq=False)
class Assigned:
    """Says for each image which class it is in, and how it lies there.

    Attributes
    ----------
    class_number : (n,), int64
        From 1, as in `Classes.classes`.
    angle_degrees : (n,), float64
        From the class average to the image, from x towards y.
    shift_px : (n, 2), float64
        The particle lies here, x and y from the middle of the image, in its pixels.
    score : (n,), float64
        Logarithm of how much more probable the image is with its class than as noise.
    looks_right : (n,), bool
        False for an image that is as faint as noise, or has far more beside the particle than the others.
    """

    class_number: Indices
    angle_degrees: Reals
    shift_px: Reals
    score: Reals
    looks_right: Bools

    def __len__(self) -> int:
        return len(self.class_number)


@dataclass(frozen=True)
class OneClass:
    """Describes one class.

    Attributes
    ----------
    number
        From 1, the largest class first.
    n_members
        Images in it, of those that the classes were made from.
    guess
        What it seems to show.
    resolution_px
        Finest detail in which both halves of the class agree, in pixels of the images; NaN where in none.
    """

    number: int
    n_members: int
    guess: Guess
    resolution_px: float


@dataclass(frozen=True, eq=False)
class Classes:
    """Holds two-dimensional classes.

    Attributes
    ----------
    averages : (classes, size, size), float32
        The mean of each class, turned and moved, at the scale of the images; the largest class first.
    classes
        A description of each class, in the same order.
    assigned
        Where each image is.
    """

    averages: Images
    classes: tuple[OneClass, ...]
    assigned: Assigned
    _references: References = field(repr=False)
    _order: Indices = field(repr=False)
    _middles: Reals = field(repr=False)
    _limits: _Limits = field(repr=False)

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def good(self) -> tuple[int, ...]:
        """Return the numbers of the classes that seem to show particles."""
        return tuple(one.number for one in self.classes if one.guess == "particle")

    def keep(self, numbers: Iterable[int] | None = None, assigned: Assigned | None = None) -> Bools:
        """Return which images are kept, (n,).

        Parameters
        ----------
        numbers
            Numbers of the classes to keep, with all their members. By default those that seem to show particles,
            without members that are as faint as noise or lie in a crowd.
        assigned
            The images; by default those that the classes were made from.
        """
        own = self.assigned if assigned is None else assigned
        if numbers is None:
            return np.isin(own.class_number, self.good) & own.looks_right
        return np.isin(own.class_number, list(numbers))

    def assign(self, images: npt.ArrayLike, *, n_threads: int | None = None) -> Assigned:
        """Return the classes of more images of the same size and scale; the averages stay as they are.

        Raises
        ------
        InputError
            If they are not a stack of such images, or hold NaN.
        """
        stack = prepare.checked(images)
        size = self.averages.shape[1]
        if stack.shape[1] != size:
            raise UsageError(f"images of {stack.shape[1]} px: these classes are of images of {size} px.")
        threads = n_threads or usable_cores()
        parts = []
        for start in range(0, len(stack), _IMAGES_AT_ONCE):
            small = prepare.at_scale(stack[start : start + _IMAGES_AT_ONCE], WORK_PX)
            places = assign(small, self._references, n_threads=threads)
            places = _centred(places, self._middles[self._order[places.class_index] - 1])
            parts.append(self._limits.of(small).assigned(places, self._order, size))
        return _joined(parts)


@dataclass(frozen=True, eq=False)
class _Limits:
    """Holds what shows which images do not look right, at the scale of the classification.

    Attributes
    ----------
    diameter_px
        Of the particle.
    noise_inside, noise_score : (400,)
        Power inside the particle's circle, and score, of images of noise alone.
    usual_outside : (m,)
        Power beside the particle, of images in the classes that show particles.
    inside, outside : (n,)
        Powers of the images in question.
    """

    diameter_px: float
    noise_inside: Reals
    noise_score: Reals
    usual_outside: Reals
    inside: Reals
    outside: Reals

    def of(self, small: Images) -> _Limits:
        """Return the same limits for other images."""
        inside, outside = prepare.powers(small, self.diameter_px)
        return replace(self, inside=inside, outside=outside)

    def faint(self, score: Reals) -> Bools:
        """Return which of the images are as faint as noise."""
        return judge.faint(self.inside, score, self.noise_inside, self.noise_score)

    def assigned(self, places: Places, order: Indices, size_px: int) -> Assigned:
        """Return places of the images for the caller: class numbers from 1, shifts in pixels of the given images."""
        crowd = judge.crowded(self.outside, self.usual_outside)
        return Assigned(
            order[places.class_index],
            np.degrees(places.angle_radians),
            places.shift_px * (size_px / WORK_PX),
            places.score,
            ~(crowd | self.faint(places.score)),
        )


def classify(
    images: npt.ArrayLike,
    n: int = 30,
    *,
    diameter_px: float | None = None,
    seed: int = 0,
    n_threads: int | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> Classes:
    """Sort particle images into two-dimensional classes, aligned in the plane.

    A mixture of Gaussians over classes, turns and shifts is fitted to the images (Sigworth 1998, J. Struct. Biol. 122,
    328-339; Scheres et al. 2005, J. Mol. Biol. 348, 139-149), at 40 px, in polar Fourier coefficients. It is for
    judging picks, and not a step towards a structure.

    Parameters
    ----------
    images : (n, size, size)
        One particle in the middle of each, all at one scale, dark or bright; an even side of 16 px or more. 64 px are
        plenty.
    n
        Classes at most. There are fewer for less than 14 images per class, and where classes would be empty.
    diameter_px
        Of the particle, in pixels of the images; by default 0.625 of their side.
    seed
        Decides where the search begins.
    n_threads
        Threads; all cores by default. The result does not depend on it.
    on_stage
        Called with what is done next, in words.

    Raises
    ------
    InputError
        If `images` is not a stack of squares, is empty, or holds NaN or infinities.
    UsageError
        If the diameter does not fit into the images, or `n` is below 1.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> rows, columns = np.indices((32, 32)) - 16
    >>> ring = np.exp(-0.5 * ((np.hypot(rows, columns) - 7) / 1.5) ** 2)
    >>> found = classify(2 * ring + rng.standard_normal((40, 32, 32)), 2, n_threads=1)
    >>> len(found.assigned), found.averages.shape[1:]
    (40, (32, 32))
    """
    stack = prepare.checked(images)
    if n < 1:
        raise UsageError(f"{parameter('n', n)}: give at least one class.")
    size = stack.shape[1]
    diameter = _USUAL_SHARE * size if diameter_px is None else diameter_px
    prepare.check_diameter(diameter, size)
    threads = n_threads or usable_cores()
    say = on_stage or (lambda words: None)
    say(f"sorting {len(stack)} particles into classes")
    small = prepare.at_scale(stack, WORK_PX)
    small_diameter = diameter * WORK_PX / size
    wanted = max(1, min(n, len(stack) // _LEAST_IMAGES))
    references, places = find_classes(small, small_diameter, wanted, seed=seed, n_threads=threads)
    say("averaging classes")
    shown = _filled_first(places.class_index, references.n_classes)
    number = np.zeros(references.n_classes, np.int64)
    number[shown] = np.arange(1, len(shown) + 1)

    def halves_of(which: Images) -> average.Halves:
        scale = which.shape[1] / WORK_PX
        where = (number[places.class_index] - 1, places.angle_radians, places.shift_px * scale)
        return average.halves(which, *where, len(shown), n_threads=threads)

    index = number[places.class_index] - 1
    limits = _limits(small, references, places.score, seed, threads)
    first = halves_of(small)
    found = judge.signs(first, small_diameter, index, places.score, limits.faint(places.score))
    middle = average.middles(first.averages, small_diameter / 2 + 1)
    places = _centred(places, middle[index])
    guessed = judge.guesses(found)
    whole = halves_of(prepare.at_scale(stack, size))
    resolutions = average.resolutions_px(whole, diameter / 2 + 1)
    counts = whole.n_first + whole.n_second
    classes = tuple(OneClass(k + 1, int(counts[k]), guessed[k], float(resolutions[k])) for k in range(len(shown)))
    good = [k for k, guess in enumerate(guessed) if guess == "particle"]
    limits = replace(limits, usual_outside=limits.outside[np.isin(index, good)])
    assigned = limits.assigned(places, number, size)
    return Classes(whole.averages, classes, assigned, references, number, middle, limits)


def _filled_first(class_index: Indices, n_classes: int) -> Indices:
    """Return the classes that have members, the largest first."""
    counts = np.bincount(class_index, minlength=n_classes)
    order = np.argsort(-counts, kind="stable")
    return np.asarray(order[counts[order] > 0], np.int64)


def _limits(small: Images, references: References, score: Reals, seed: int, n_threads: int) -> _Limits:
    """Return what images of noise alone look like to these classes, and the powers of the images themselves."""
    rng = np.random.default_rng(seed)
    power = references.noise_of_a_pixel
    power = np.minimum(power, judge.noise_beside(small, references.diameter_px, len(power), rng))
    noise = judge.noise_images(power, WORK_PX, _N_OF_NOISE, rng)
    nothing = assign(noise, references, n_threads=n_threads)
    noise_inside, _ = prepare.powers(noise, references.diameter_px)
    inside, outside = prepare.powers(small, references.diameter_px)
    limits = _Limits(references.diameter_px, noise_inside, nothing.score, outside, inside, outside)
    if judge.is_noise(inside, score, noise_inside, nothing.score):
        return limits
    return replace(limits, noise_inside=np.zeros(1), noise_score=np.full(1, -1e9))


def _centred(places: Places, middles: Reals) -> Places:
    """Return places with each particle where the middle of its average lies, (n, 2), x and y in the average."""
    cosine, sine = np.cos(places.angle_radians), np.sin(places.angle_radians)
    x, y = middles.T
    moved = np.column_stack([cosine * x - sine * y, sine * x + cosine * y])
    return replace(places, shift_px=places.shift_px + moved)


def _joined(parts: list[Assigned]) -> Assigned:
    return Assigned(
        np.concatenate([part.class_number for part in parts]),
        np.concatenate([part.angle_degrees for part in parts]),
        np.concatenate([part.shift_px for part in parts]),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.looks_right for part in parts]),
    )
