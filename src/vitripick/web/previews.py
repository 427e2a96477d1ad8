"""Draw micrographs for the page: reduced, filtered, 8 bits.

The page gets one JPEG of at most 2048 px for each micrograph and changes the contrast by itself. When the user zooms in
further, it gets tiles of the full size with the same grey scale. Filters act on the reduced image, where they take
milliseconds.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.errors import MicrographError, UsageError
from vitripick.formats import read_micrograph
from vitripick.geometry import Image, Micrograph, grey_range
from vitripick.models.denoiser import denoise_and_measure
from vitripick.web.project import Entry, Project
from vitripick.web.spectrum import picture_of, power_spectrum

MAX_SIDE_PX = 2048
TILE_PX = 1024
# A hot pixel or a crystal would make the rest flat. So the grey scale leaves out these tails, and ends at this distance
# from the median. The page stretches the contrast further.
_TAILS_PERCENT, _SPREADS = 0.05, 12.0
_JPEG_QUALITY = 92
# A denoised picture spans at least this number of spreads of the noise that was there.
_NOISE_SPREADS = 4.0
# A full-size float32 micrograph takes 64 to 94 MB, a reduced one 16 MB, a JPEG 2 MB.
_KEEP_FULL, _KEEP_REDUCED, _KEEP_JPEG = 3, 8, 24

T = TypeVar("T")


class _Cache(Generic[T]):
    """Keeps the few most recent values; when two threads want the same value, it is made once."""

    def __init__(self, size: int) -> None:
        self._size, self._lock = size, threading.Lock()
        self._values: OrderedDict[object, T] = OrderedDict()
        self._making: dict[object, threading.Lock] = {}

    def get(self, key: object, make: Callable[[], T]) -> T:
        with self._lock:
            own = self._making.setdefault(key, threading.Lock())
        with own:
            with self._lock:
                if key in self._values:
                    self._values.move_to_end(key)
                    return self._values[key]
            try:
                value = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            with self._lock:
                self._values[key] = value
                while len(self._values) > self._size:
                    self._values.popitem(last=False)
            return value


@dataclass(frozen=True)
class Filter:
    """Holds what a picture leaves out; 0 leaves out nothing.

    Attributes
    ----------
    low_pass_angstrom
        Leave out detail finer than this.
    high_pass_angstrom
        Leave out shades wider than this.
    denoised
        Show what the denoiser guesses, without a low-pass.
    """

    low_pass_angstrom: float = 0.0
    high_pass_angstrom: float = 0.0
    denoised: bool = False

    def __post_init__(self) -> None:
        for value in (self.low_pass_angstrom, self.high_pass_angstrom):
            if not (math.isfinite(value) and 0 <= value <= 1e5):
                raise UsageError(f"a filter must be a number of Å from 0 to 100000, not {value}.")


@dataclass(frozen=True, eq=False)
class _Reduced:
    """Holds an image for the screen before filtering.

    Attributes
    ----------
    image, pixel_size
        The pixel size belongs to this image, in Å per pixel.
    least_range
        Black and white are at least so far apart, because what is fainter may be nothing.
    """

    image: Image
    pixel_size: float
    least_range: float = 0.0


@dataclass(frozen=True, eq=False)
class _Shown:
    """Holds a picture, and the background and grey levels that make a tile look like it."""

    jpeg: bytes
    background: Image | None
    darkest: float
    brightest: float


class Previews:
    """Holds the pictures of a project; where the pixel size is not known, filters take it as 1 Å."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._full: _Cache[Micrograph] = _Cache(_KEEP_FULL)
        self._reduced: _Cache[_Reduced] = _Cache(_KEEP_REDUCED)
        self._denoised: _Cache[_Reduced] = _Cache(_KEEP_REDUCED)
        self._spectra: _Cache[bytes] = _Cache(_KEEP_JPEG)
        self._shown: _Cache[_Shown] = _Cache(_KEEP_JPEG)

    def whole(self, entry: Entry, filtering: Filter) -> bytes:
        """Return a JPEG of the whole micrograph, row 0 at the top, at most `MAX_SIDE_PX` on a side."""
        return self._show(entry, filtering).jpeg

    def tile(self, entry: Entry, filtering: Filter, column: int, row: int) -> bytes:
        """Return a JPEG of one square of `TILE_PX` at full size, cut at the border, with the grey scale of `whole`.

        Raises
        ------
        UsageError
            If `column` or `row` lies outside the micrograph.
        """
        shown, micrograph = self._show(entry, filtering), self._micrograph(entry)
        height, width = micrograph.shape
        x0, y0 = column * TILE_PX, row * TILE_PX
        x1, y1 = min(x0 + TILE_PX, width), min(y0 + TILE_PX, height)
        if not (0 <= x0 < width and 0 <= y0 < height):
            raise UsageError("there is no such tile.")
        if filtering.denoised:
            part = _upsampled(self._denoise(entry).image, micrograph.shape, (x0, y0, x1, y1))
        else:
            sigma = _sigma_px(filtering.low_pass_angstrom, self._project.pixel_size(entry) or 1.0)
            margin = math.ceil(3 * sigma)
            left, top = min(margin, x0), min(margin, y0)
            part = micrograph.image[y0 - top : y1 + margin, x0 - left : x1 + margin]
            part = _blurred(part, sigma)[top : top + y1 - y0, left : left + x1 - x0]
        if shown.background is not None:
            part = part - _upsampled(shown.background, micrograph.shape, (x0, y0, x1, y1))
        return encode_jpeg(_grey(part, shown.darkest, shown.brightest))

    def spectrum(self, entry: Entry) -> bytes:
        """Return a JPEG of the power spectrum, frequency 0 in the middle, Nyquist at the edges."""
        return self._spectra.get(
            entry.id, lambda: encode_jpeg(picture_of(power_spectrum(self._micrograph(entry).image)))
        )

    def _micrograph(self, entry: Entry) -> Micrograph:
        def read() -> Micrograph:
            try:
                return read_micrograph(entry.file.path, name=entry.file.name)
            except MicrographError as error:
                entry.error = str(error)
                raise

        return self._full.get(entry.id, read)

    def _reduce(self, entry: Entry) -> _Reduced:
        def make() -> _Reduced:
            image = self._micrograph(entry).image
            factor = max(1.0, max(image.shape) / MAX_SIDE_PX)
            shape = (max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor)))
            small = image if factor == 1.0 else cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
            return _Reduced(np.asarray(small, np.float32), (self._project.pixel_size(entry) or 1.0) * factor)

        return self._reduced.get((entry.id, self._project.settings.pixel_size), make)

    def _denoise(self, entry: Entry) -> _Reduced:
        def make() -> _Reduced:
            reduced = self._reduce(entry)
            known = self._project.pixel_size(entry)
            image, spread = denoise_and_measure(reduced.image, pixel_size=known and reduced.pixel_size)
            return _Reduced(image, reduced.pixel_size, _NOISE_SPREADS * spread)

        return self._denoised.get((entry.id, self._project.settings.pixel_size), make)

    def _show(self, entry: Entry, filtering: Filter) -> _Shown:
        def make() -> _Shown:
            reduced = self._denoise(entry) if filtering.denoised else self._reduce(entry)
            image = reduced.image
            if not filtering.denoised:
                image = _blurred(image, _sigma_px(filtering.low_pass_angstrom, reduced.pixel_size))
            background = None
            if filtering.high_pass_angstrom > 0:
                background = _wide_blur(reduced.image, _sigma_px(filtering.high_pass_angstrom, reduced.pixel_size))
                image = image - background
            step = max(1, image.size // 250_000)  # a sample gives the same grey scale
            sample = image.ravel()[::step]
            darkest, brightest = grey_range(sample, tails_percent=_TAILS_PERCENT, spreads=_SPREADS)
            lacking = reduced.least_range - (brightest - darkest)
            if lacking > 0:
                darkest, brightest = darkest - lacking / 2, brightest + lacking / 2
            if brightest <= darkest:
                darkest, brightest = darkest - 0.5, brightest + 0.5
            jpeg = encode_jpeg(_grey(image, darkest, brightest))
            return _Shown(jpeg, background, darkest, brightest)

        return self._shown.get((entry.id, filtering, self._project.settings.pixel_size), make)


def _sigma_px(angstrom: float, pixel_size: float) -> float:
    """Return the sigma of the Gaussian that halves waves of this length: length * sqrt(2 ln 2) / (2 pi)."""
    return angstrom / pixel_size * math.sqrt(2 * math.log(2)) / (2 * math.pi)


def _blurred(image: Image, sigma: float) -> Image:
    if sigma < 0.2:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _wide_blur(image: Image, sigma: float) -> Image:
    """Blur a smaller copy and enlarge it: looks the same as a wide Gaussian and is fast at any width."""
    factor = max(1, int(sigma / 4))
    shape = (max(1, image.shape[1] // factor), max(1, image.shape[0] // factor))
    small = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(sigma / factor, 0.2))
    return np.asarray(cv2.resize(small, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def _upsampled(background: Image, shape: tuple[int, int], box: tuple[int, int, int, int]) -> Image:
    """Enlarge the background to the full `shape`, and return its part `box` (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = box
    scale_x, scale_y = background.shape[1] / shape[1], background.shape[0] / shape[0]
    columns = ((np.arange(x0, x1) + 0.5) * scale_x - 0.5).astype(np.float32)
    rows = ((np.arange(y0, y1) + 0.5) * scale_y - 0.5).astype(np.float32)
    map_x, map_y = np.meshgrid(columns, rows)
    part = cv2.remap(background, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(part, np.float32)


def _grey(image: Image, darkest: float, brightest: float) -> npt.NDArray[np.uint8]:
    scale = 255.0 / (brightest - darkest)
    return np.asarray(cv2.convertScaleAbs(np.maximum(image - darkest, 0), alpha=scale), np.uint8)


def encode_jpeg(grey: npt.NDArray[np.uint8]) -> bytes:
    """Return a picture as a JPEG."""
    done, data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise MicrographError("this micrograph cannot be written as a JPEG.")
    return bytes(data)
