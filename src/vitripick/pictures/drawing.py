"""Make the grey levels, the colours and the bytes of PNG and JPEG that all pictures share."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.geometry import FloatArray, Image, grey_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels: TypeAlias = npt.NDArray[np.uint8]

# Readers with any kind of colour vision can distinguish Wong's colours (Nature Methods 2011).
GREEN = "#009E73"
ORANGE = "#E69F00"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
YELLOW = "#F0E442"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
INK = "#26313d"
FAINT = "#c9d1d9"

_STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
}


def styled() -> Any:
    """Return a context in which figures get our fonts and colours; the caller's settings stay as they are."""
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def new_figure(*, figsize: tuple[float, float], **options: Any) -> Figure:
    """Return an empty figure; matplotlib is loaded with the first one, because it takes a quarter of a second."""
    from matplotlib.figure import Figure

    return Figure(figsize=figsize, **options)


def figure_png(figure: Figure, *, dpi: int = 130) -> bytes:
    """Return a figure as PNG; this needs no display and no pyplot state."""
    buffer = io.BytesIO()
    # The file holds no date and no version, so the same data gives the same bytes.
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def figure_pixels(figure: Figure) -> Pixels:
    """Return a figure as (h, w, 3) uint8, blue-green-red as OpenCV has it."""
    return _decode(figure_png(figure, dpi=100))


def pixels_png(pixels: Pixels) -> bytes:
    """Return (h, w) or (h, w, 3) blue-green-red pixels as PNG."""
    # With noise, level 6 takes three times as long as level 1 and saves only a seventh of the bytes.
    done, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f"OpenCV could not encode an image of shape {pixels.shape}")
    return bytes(encoded.tobytes())


def jpeg_of(png: bytes, *, quality: int = 82) -> bytes:
    """Return a PNG picture as JPEG, because noise makes the PNG of a micrograph about four times larger."""
    return encoded(_decode(png), quality=quality)


def encoded(pixels: Pixels, *, quality: int = 82) -> bytes:
    """Return grey levels, (rows, columns), or colours, blue first, as JPEG."""
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("OpenCV could not encode the picture as JPEG")
    return bytes(data.tobytes())


def _decode(png: bytes) -> Pixels:
    pixels = cv2.imdecode(np.frombuffer(png, dtype=np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("these bytes are not a picture")
    return np.asarray(pixels, dtype=np.uint8)


def bgr(colour: str) -> tuple[int, int, int]:
    """Return "#rrggbb" as OpenCV's (blue, green, red)."""
    return int(colour[5:7], 16), int(colour[3:5], 16), int(colour[1:3], 16)


def confidence_colours(confidence: FloatArray) -> Pixels:
    """Return (n, 3) blue-green-red: magenta at 0 to cyan at 1, both bright on grey; white without a confidence."""
    share = np.clip(np.nan_to_num(confidence, nan=0.0), 0, 1)
    import matplotlib

    rgb = matplotlib.colormaps["cool_r"](share)[:, :3]
    rgb[np.isnan(confidence)] = 1.0
    return np.ascontiguousarray(np.round(rgb[:, ::-1] * 255).astype(np.uint8))


def resized(image: Image, scale: float) -> Image:
    """Return `image` scaled by `scale` in both directions: averaged when it shrinks, smooth when it grows."""
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    if size == (image.shape[1], image.shape[0]):
        return np.asarray(image, dtype=np.float32)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.asarray(image, dtype=np.float32), size, interpolation=how), dtype=np.float32)


def grey_levels(image: Image, *, low_pass_px: float = 1.0) -> Pixels:
    """Return (h, w) uint8: lightly low-passed, stretched over its `grey_range`; a constant image is mid-grey.

    Parameters
    ----------
    image : (h, w), float32
        In any intensity scale; NaN is taken for the mean.
    low_pass_px
        Standard deviation of the Gaussian, in pixels of `image`; 0 for none.
    """
    finite = np.isfinite(image)
    if not finite.all():
        image = np.where(finite, image, image[finite].mean() if finite.any() else 0.0).astype(np.float32)
    smooth = cv2.GaussianBlur(image, (0, 0), low_pass_px) if low_pass_px > 0 else image
    low, high = grey_range(smooth)
    if not high > low:
        return np.full(image.shape, 128, dtype=np.uint8)
    return np.asarray(np.clip((smooth - low) / (high - low) * 255, 0, 255), dtype=np.uint8)
