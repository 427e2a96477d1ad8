"""Draw class averages side by side, each with its number, share and guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vitripick.geometry import Image
from vitripick.pictures.drawing import FAINT, GREEN, INK, ORANGE, VERMILION, Pixels, figure_png, new_figure, styled

_TILE_PX, _GAP_PX, _TEXT_PX = 120, 8, 38
_DPI = 100
COLOURS = {"particle": GREEN, "edge": ORANGE, "junk": VERMILION, "empty": "#7b8794"}


@dataclass(frozen=True, eq=False)
class ClassTile:
    """Holds one class as a sheet shows it.

    Attributes
    ----------
    average : (size, size), float32
        Row 0 is drawn at the top.
    number
        Of the class.
    share
        Of all particles, 0-1.
    confidence
        Mean of its picks; None where it is not known.
    resolution
        A text such as `18 Å`; empty if it is not known.
    guess
        particle, edge, junk or empty.
    kept
        Whether its picks are kept; None if no choice was made.
    """

    average: Image
    number: int
    share: float
    confidence: float | None
    resolution: str
    guess: str
    kept: bool | None = None


def class_sheet_png(tiles: Sequence[ClassTile], *, title: str = "", n_columns: int = 8) -> bytes:
    """Return a sheet of class averages as PNG; each has its own grey scale, and a bar that shows its guess."""
    n_columns = max(1, min(n_columns, len(tiles)))
    n_rows = max(1, -(-len(tiles) // n_columns))
    head = 26 if title else 4
    step_x, step_y = _TILE_PX + _GAP_PX, _TILE_PX + _TEXT_PX + _GAP_PX
    width, height = max(n_columns * step_x + _GAP_PX, 400), head + n_rows * step_y + _GAP_PX
    page: Pixels = np.full((height, width, 3), 255, np.uint8)
    places = [(_GAP_PX + i % n_columns * step_x, head + i // n_columns * step_y) for i in range(len(tiles))]
    for tile, (left, top) in zip(tiles, places, strict=True):
        page[top : top + _TILE_PX, left : left + _TILE_PX] = average_pixels(tile.average, _TILE_PX)[:, :, None]
    with styled():
        figure = new_figure(figsize=(width / _DPI, height / _DPI))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(page, interpolation="nearest", extent=(0, width, height, 0), aspect="auto")
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.axis("off")
        if title:
            axes.text(_GAP_PX, 17, title, fontsize=9, fontweight="bold", color=INK)
        for tile, (left, top) in zip(tiles, places, strict=True):
            _caption(axes, tile, left, top + _TILE_PX)
        return figure_png(figure, dpi=_DPI)


def average_pixels(average: Image, side_px: int) -> Pixels:
    """Return an average as (side, side) grey levels, stretched over what lies in its circle."""
    large = cv2.resize(np.asarray(average, np.float32), (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.ogrid[:side_px, :side_px]
    circle = large[np.hypot(rows - side_px / 2, columns - side_px / 2) < side_px / 2]
    low, high = np.quantile(circle, [0.005, 0.995])
    if not high > low:
        return np.full((side_px, side_px), 128, np.uint8)
    return np.asarray(np.clip((large - low) / (high - low) * 255, 0, 255), np.uint8)


def _caption(axes: object, tile: ClassTile, left: float, top: float) -> None:
    from matplotlib.patches import Rectangle

    assert hasattr(axes, "text")
    colour = COLOURS.get(tile.guess, FAINT)
    axes.add_patch(Rectangle((left, top), _TILE_PX, 3, facecolor=colour, linewidth=0))  # type: ignore[attr-defined]
    mark = "" if tile.kept is None else " ✓" if tile.kept else " ✗"
    right = left + _TILE_PX
    axes.text(left, top + 17, f"{tile.number}{mark}", fontsize=8, fontweight="bold", color=INK)
    axes.text(right, top + 17, f"{100 * tile.share:.3g} %", fontsize=8, ha="right", color=INK)
    axes.text(left, top + 32, tile.guess, fontsize=8, color=colour)
    known = [f"{tile.confidence:.2f}"] if tile.confidence is not None else []
    known += [tile.resolution] if tile.resolution else []
    axes.text(right, top + 32, ", ".join(known), fontsize=8, ha="right", color=INK)
