"""Draw picks on their micrograph, alone or against labels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from vitripick.atomic import write_bytes_atomically
from vitripick.evaluation.metrics import on_border
from vitripick.geometry import IS_JUNK, Boxes, Image, match
from vitripick.pictures.drawing import (
    GREEN,
    INK,
    ORANGE,
    YELLOW,
    Pixels,
    bgr,
    confidence_colours,
    figure_pixels,
    grey_levels,
    new_figure,
    pixels_png,
    resized,
    styled,
)
from vitripick.text import count

# OpenCV only knows lines of whole-pixel widths, and 1.5 px reads best, so lines are drawn on a canvas twice the size
# and shrunk.
_SUPERSAMPLE = 2
_LINE = 3
_STRIP_PX = 34
# Boxes of unknown size get circles of this share of the picture's longer side.
_UNKNOWN_SIZE = 0.02

# What lies below the junk's colour must stay visible, so only this share of the colour is laid over it.
_TINT = 0.22

_TRUE, _FALSE, _MISSED = "#2fd39a", ORANGE, "#6cc4ff"


def overlay_png(
    image: Image,
    picks: Boxes,
    *,
    labels: Boxes | None = None,
    threshold: float | None = None,
    max_side: int = 1400,
    title: str | None = None,
    found: npt.NDArray[np.intp] | None = None,
    junk: Image | None = None,
) -> bytes:
    """Draw the micrograph in grey with a circle for each pick, and a strip below that explains the colours.

    Row 0, the first row stored in the MRC file, is drawn at the top. A circle has the diameter of the pick's box. The
    strip gives this size, and a scale bar, in Å where the picks know their pixel size, else in pixels. Picks alone are
    coloured by confidence. With labels, true picks are green, false ones are orange, and labels that no pick found are
    dashed in blue. Labels of particles that the border cuts are only counted.

    Parameters
    ----------
    image : (rows, columns), float32
        The full-size micrograph.
    picks, labels
        In pixels of `image`.
    threshold
        Picks below it are left out.
    max_side
        The longer side of the picture, in pixels; smaller micrographs are enlarged at most twice.
    title
        The text at the right of the strip, usually the micrograph's name.
    found : (n_picks,), intp
        The label that each of `picks` found, -1 for none (`vitripick.geometry.match`), where the caller has matched
        already. By default a pick finds a label if their centres are at most a quarter of the labels' box apart.
    junk : (r, c), float32
        How probably a place is junk, 0-1, over the whole micrograph at any scale; from one half on it is tinted yellow.

    Returns
    -------
    bytes
        PNG.
    """
    image = np.asarray(image, dtype=np.float32)
    if threshold is not None:
        kept = ~(picks.confidence < threshold)
        found = None if found is None else found[kept]
        picks = picks.select(kept)
    scale = min(max_side / max(image.shape), 2.0)
    # Noise finer than a thirtieth of the particle hides it, so it is smoothed; coarser smoothing would hide the edge.
    box = picks.box_size_px if labels is None or not len(labels) else labels.box_size_px
    low_pass = float(np.clip(0.035 * box * scale, 1.0, 3.0)) if np.isfinite(box) else 1.0
    grey = grey_levels(resized(image, scale), low_pass_px=low_pass)
    canvas = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    height, width = canvas.shape[:2]
    junk_share = None if junk is None else _tint(canvas, junk)
    large = cv2.resize(canvas, (width * _SUPERSAMPLE, height * _SUPERSAMPLE), interpolation=cv2.INTER_NEAREST)
    zoom = scale * _SUPERSAMPLE
    if labels is None:
        _circles(large, picks, zoom, confidence_colours(picks.confidence))
        entries = [("o", INK, f"{len(picks)} picks")]
    else:
        found = _found(picks, labels) if found is None else found
        is_true = found >= 0
        missed = np.ones(len(labels), dtype=bool)
        missed[found[is_true]] = False
        # Particles that the border cuts are not exported, so they are not missed.
        shape = (image.shape[0], image.shape[1])
        cut = missed & on_border(labels, shape, box / 2 if np.isfinite(box) else 0.0)
        missed &= ~cut
        colours = np.where(is_true[:, None], bgr(_TRUE), bgr(_FALSE))
        _circles(large, labels.select(missed), zoom, np.tile(bgr(_MISSED), (len(labels), 1)), dashed=True)
        _circles(large, picks, zoom, colours)
        entries = [
            ("o", GREEN, f"{np.count_nonzero(is_true)} true"),
            ("o", ORANGE, f"{np.count_nonzero(~is_true)} false"),
            ("dashed", "#2b8fd0", f"{count('label', int(np.count_nonzero(missed)))} missed"),
        ]
        if cut.any():
            entries.append(("", INK, f"{count('label', int(np.count_nonzero(cut)))} cut by the border"))
    if junk_share is not None:
        entries.append(("area", YELLOW, f"{junk_share:.0%} junk"))
    canvas = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
    if len(picks) or (labels is not None and len(labels)):
        entries.append(("", INK, _circle_size(picks if len(picks) else labels or picks)))
    pixel_size = picks.pixel_size or (None if labels is None else labels.pixel_size)
    length_px, length = scale_bar(image.shape[1], pixel_size)
    entries.append((f"bar {length_px * scale:.1f}", INK, length))
    note = "" if threshold is None else f"threshold {threshold:.2f}"
    bar = labels is None and len(picks) > 0 and picks.has_confidence
    return pixels_png(np.vstack([canvas, _strip(width, entries, title, note, confidence_bar=bar)]))


def draw_overlay(
    image: Image,
    picks: Boxes,
    path: str | Path,
    *,
    labels: Boxes | None = None,
    title: str | None = None,
    threshold: float | None = None,
    junk: Image | None = None,
) -> None:
    """Write what `overlay_png` returns to `path`, whole or not at all."""
    png = overlay_png(image, picks, labels=labels, title=title, threshold=threshold, junk=junk)
    write_bytes_atomically(path, png)


def scale_bar(width_px: int, pixel_size: float | None) -> tuple[float, str]:
    """Return the length of a scale bar in pixels of the micrograph, and what to write beside it.

    Parameters
    ----------
    width_px
        Width of the micrograph; the bar is at most a sixth of it.
    pixel_size
        Å per pixel; None for a bar that counts pixels.

    Examples
    --------
    >>> scale_bar(4096, 1.5), scale_bar(4096, None)
    ((666.6666666666666, '1000 Å'), (500.0, '500 px'))
    """
    unit = pixel_size or 1.0
    most = width_px * unit / 6
    power = 10.0 ** np.floor(np.log10(most))
    length = max(step * power for step in (1, 2, 5) if step * power <= most)
    return float(length / unit), f"{length:g} {'Å' if pixel_size else 'px'}"


def _circle_size(boxes: Boxes) -> str:
    """Return how wide a circle is: the size of the boxes, or the size of a sign where boxes have none."""
    size = boxes.box_size_px
    if not np.isfinite(size):
        return "circles: no size known"
    return f"circles: {size:.3g} px" + (f", {size * boxes.pixel_size:.3g} Å" if boxes.pixel_size else "")


def _tint(canvas: Pixels, junk: Image) -> float:
    """Lay colour and an outline over the junk of a picture, in place; return the share of the area that is junk."""
    share = float(np.mean(junk >= IS_JUNK))
    if not share:
        return share
    height, width = canvas.shape[:2]
    smooth = cv2.resize(np.asarray(junk, np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    inside = (smooth >= IS_JUNK).astype(np.uint8)
    where = inside.astype(bool)
    canvas[where] = np.round((1 - _TINT) * canvas[where] + _TINT * np.array(bgr(YELLOW))).astype(np.uint8)
    outlines, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, outlines, -1, bgr(YELLOW), 1, cv2.LINE_AA)
    return share


def _found(picks: Boxes, labels: Boxes) -> npt.NDArray[np.intp]:
    size = labels.box_size_px if np.isfinite(labels.box_size_px) else picks.box_size_px
    if not np.isfinite(size):
        return np.full(len(picks), -1, dtype=np.intp)
    return match(picks, labels, criterion="distance", distance_px=size / 4)


def _circles(
    canvas: Pixels, boxes: Boxes, zoom: float, colours: npt.NDArray[np.integer], *, dashed: bool = False
) -> None:
    """Draw onto `canvas`, weakest first so that the strongest lies on top."""
    # The middle of pixel 0 is at 0 in our frame and in OpenCV's. Enlarging moves it to (zoom - 1) / 2 of the canvas.
    x, y = boxes.x * zoom + (zoom - 1) / 2, boxes.y * zoom + (zoom - 1) / 2
    diameter = np.sqrt(boxes.width * boxes.height) * zoom
    diameter = np.where(np.isfinite(diameter), diameter, _UNKNOWN_SIZE * max(canvas.shape))
    bits = 4
    for i in np.argsort(np.nan_to_num(boxes.confidence), kind="stable"):
        centre = round(x[i] * 2**bits), round(y[i] * 2**bits)
        radius = round(max(diameter[i] / 2 - _LINE, 3.0) * 2**bits)
        colour = tuple(int(c) for c in colours[i])
        if not dashed:
            cv2.circle(canvas, centre, radius, colour, _LINE, cv2.LINE_AA, bits)
            continue
        for angle in range(0, 360, 45):
            cv2.ellipse(canvas, centre, (radius, radius), 0, angle, angle + 26, colour, _LINE, cv2.LINE_AA, bits)


def _strip(
    width: int,
    entries: list[tuple[str, str, str]],
    title: str | None,
    note: str,
    *,
    confidence_bar: bool,
) -> Pixels:
    """Draw (_STRIP_PX, width, 3): counts at the left, then the colours of confidence, the title at the right."""
    with styled():
        figure = new_figure(figsize=(width / 100, _STRIP_PX / 100), dpi=100, facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, width)
        axes.set_ylim(0, _STRIP_PX)
        axes.axis("off")
        middle, x = _STRIP_PX / 2, 18.0
        for kind, colour, text in entries:
            if not kind or kind.startswith("bar"):
                # A narrow picture has no room for what is not a count.
                length_px = float(kind.partition(" ")[2] or 0)
                if width - x < length_px + 7 * len(text) + 30:
                    continue
                if length_px:
                    axes.plot([x - 8, x - 8 + length_px], [middle, middle], color=colour, linewidth=3)
                    x += length_px
                x = _text(axes, x, middle, text) + 24
                continue
            style = (0, (1.2, 0.9)) if kind == "dashed" else "-"
            marker, face = ("s", colour) if kind == "area" else ("o", "none")
            axes.scatter(
                [x], [middle], s=80, marker=marker, facecolors=face, edgecolors=colour, linewidths=1.7, linestyle=style
            )
            x = _text(axes, x + 13, middle, text) + 24
        if confidence_bar:
            x = _text(axes, x, middle, "confidence 0") + 6
            ramp = confidence_colours(np.linspace(0, 1, 60))[None, :, ::-1]
            axes.imshow(ramp, extent=(x, x + 70, middle - 5, middle + 5), aspect="auto", zorder=2)
            axes.set_xlim(0, width)
            axes.set_ylim(0, _STRIP_PX)
            x = _text(axes, x + 76, middle, "1") + 24
        if note:
            x = _text(axes, x, middle, note) + 24
        room = int((width - x - 12) / 6)
        if title and room >= 8:
            shown = title if len(title) <= room else "…" + title[-(room - 1) :]
            axes.text(width - 12, middle, shown, ha="right", va="center", fontsize=8.5, color="#5b6875")
        pixels = figure_pixels(figure)
    strip = np.full((_STRIP_PX, width, 3), 255, dtype=np.uint8)
    height, drawn = min(_STRIP_PX, pixels.shape[0]), min(width, pixels.shape[1])
    strip[:height, :drawn] = pixels[:height, :drawn]
    return strip


def _text(axes: object, x: float, y: float, text: str) -> float:
    """Write at (x, y), and return the x at which the text ends; one unit of the axes is one pixel."""
    written = axes.text(x, y, text, ha="left", va="center", fontsize=8.5)  # type: ignore[attr-defined]
    extent = written.get_window_extent()
    return float(extent.x1)
