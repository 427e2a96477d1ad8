"""Write one HTML file that shows a whole run; it needs no network and no other file."""

from __future__ import annotations

import base64
import datetime
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vitripick.atomic import write_text_atomically
from vitripick.geometry import Boxes, Image
from vitripick.pictures.class_sheet import ClassTile, average_pixels
from vitripick.pictures.curves import EvaluationLike, histogram_png, precision_recall_png
from vitripick.pictures.drawing import encoded, jpeg_of
from vitripick.pictures.filament_report import ReportFilaments, filament_values

# These pictures are open from the start; the others are unfolded.
_FIRST_PICTURES = 6
_AVERAGE_PX = 128
_PROGRAMS = ("vitripick", "torch", "numpy", "scipy", "opencv-python-headless")


@dataclass(frozen=True, eq=False)
class ReportMicrograph:
    """Holds one line of a run: a micrograph, its counts, and its overlay where one was drawn (PNG).

    `junk_share` is the share of its area that is junk, None where the network does not say. `suspected` is a word such
    as `empty`.
    """

    name: str
    n_picks: int
    n_stored: int
    seconds: float | None = None
    overlay_png: bytes | None = None
    warnings: tuple[str, ...] = ()
    mean_confidence: float | None = None
    junk_share: float | None = None
    suspected: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ReportRun:
    """Holds what a report shows of one run of picking.

    Attributes
    ----------
    name
        Name of the run, usually its folder.
    micrographs
        In the order they are shown.
    picks
        All stored picks, by micrograph.
    evaluation
        How the picks compare with labels; None without labels.
    threshold
        The threshold that picks were exported with.
    settings, timings
        Values to show as they are; timings in seconds.
    failures
        A dictionary for each failure: "micrograph", "error", ……
    montage_png
        A picture of particles side by side (`montage_png`).
    classes
        The picks' two-dimensional classes, where there are any.
    found
        Lines that say how diameter and threshold were found, and what can be expected of the picks.
    notes
        Sentences to show at the top.
    quality
        Lines that say how many micrographs are suspected of what.
    advice
        Sentences on what would make such a run faster.
    """

    name: str
    micrographs: list[ReportMicrograph]
    picks: Mapping[str, Boxes] = field(default_factory=dict)
    evaluation: EvaluationLike | None = None
    threshold: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    montage_png: bytes | None = None
    classes: Sequence[ClassTile] = ()
    found: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    quality: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


def write_report(path: str | Path, runs: Sequence[ReportRun | ReportFilaments], *, title: str) -> None:
    """Write the report to `path`, whole or not at all; see `render_report`."""
    write_text_atomically(path, render_report(runs, title=title))


def render_report(runs: Sequence[ReportRun | ReportFilaments], *, title: str) -> str:
    """Return the report as one HTML page with its pictures inside, without scripts, and with nothing to fetch.

    Everything that came from a file (names, warnings, errors) is escaped. Overlays are put in as JPEG, because this
    takes a quarter of the size of a noisy PNG.
    """
    environment = Environment(
        loader=PackageLoader("vitripick.pictures"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["png_uri"] = lambda data: _data_uri("image/png", data)
    environment.filters["jpeg_uri"] = lambda data: _data_uri("image/jpeg", jpeg_of(data))
    environment.filters["average_uri"] = _average_uri
    environment.filters["seconds"] = _seconds
    environment.filters["setting"] = _setting
    # A set without a label has no recall, so it has no curve.
    of_particles = [run for run in runs if isinstance(run, ReportRun)]
    judged = {run.name: e for run in of_particles if (e := run.evaluation) is not None and e.n_labels}
    return environment.get_template("report.html.j2").render(
        title=title,
        runs=[
            _template_values(run) if isinstance(run, ReportRun) else filament_values(run, n_first=_FIRST_PICTURES)
            for run in runs
        ],
        class_numbers=sorted({tile.number for run in of_particles for tile in run.classes}),
        all_curves=precision_recall_png(judged) if len(judged) > 1 else None,
        written=datetime.datetime.now(tz=datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        versions=_versions(),
    )


def _average_uri(average: Image) -> str:
    return _data_uri("image/jpeg", encoded(average_pixels(average, _AVERAGE_PX)))


def _template_values(run: ReportRun) -> dict[str, Any]:
    """Return the values that the template shows of a run."""
    stored = list(run.picks.values())
    confidence = np.concatenate([np.zeros(0), *(picks.confidence for picks in stored)])
    kept = [picks if run.threshold is None else picks.above(run.threshold) for picks in stored]
    sizes = np.concatenate([np.zeros(0), *(_sizes(picks) for picks in kept)])
    n_picks = [micrograph.n_picks for micrograph in run.micrographs]
    limits = (0.0, 1.0)
    rows: dict[str, Any] = {}
    if run.evaluation is not None:
        rows = {row["name"]: row["scores"]["distance"] for row in run.evaluation.to_dict()["micrographs"]}
    return {
        "is_filaments": False,
        "run": run,
        "n_picks": sum(n_picks),
        "n_stored": sum(micrograph.n_stored for micrograph in run.micrographs),
        "median_picks": float(np.median(n_picks)) if n_picks else 0.0,
        "n_empty": sum(n == 0 for n in n_picks),
        "n_suspected": sum(bool(micrograph.suspected) for micrograph in run.micrographs),
        "knows_junk": any(micrograph.junk_share is not None for micrograph in run.micrographs),
        "n_warned": sum(bool(micrograph.warnings) for micrograph in run.micrographs),
        "seconds": sum(m.seconds or 0.0 for m in run.micrographs),
        "scores": rows,
        "confidence_png": histogram_png(confidence, label="confidence", mark=run.threshold, limits=limits)
        if np.isfinite(confidence).any()
        else None,
        # If all picks have one size, it is shown as a number, because a histogram would be one bar.
        "size_png": histogram_png(sizes, label="size of the particles, as the network sees them, px")
        if len(np.unique(np.round(sizes[np.isfinite(sizes)], 2))) > 1
        else None,
        "one_size": float(np.median(sizes[np.isfinite(sizes)])) if np.isfinite(sizes).any() else None,
        "curves_png": precision_recall_png({run.name: e}) if (e := run.evaluation) is not None and e.n_labels else None,
        "shown": [micrograph for micrograph in run.micrographs if micrograph.overlay_png is not None],
        "box": _box_size(stored),
        "n_first": _FIRST_PICTURES,
        "n_overlays": sum(micrograph.overlay_png is not None for micrograph in run.micrographs),
    }


def _box_size(parts: Sequence[Boxes]) -> str:
    """Return the size of the boxes of a run, in pixels and, if all pixel sizes agree, in Å; empty if none is known."""
    known = [picks for picks in parts if np.isfinite(picks.box_size_px)]
    if not known:
        return ""
    size = float(np.median([picks.box_size_px for picks in known]))
    pixel_sizes = {picks.pixel_size for picks in known}
    pixel_size = pixel_sizes.pop() if len(pixel_sizes) == 1 else None
    return f"{size:.3g} px" + (f", {size * pixel_size:.3g} Å" if pixel_size else "")


def _sizes(picks: Boxes) -> Any:
    """Return the size the network saw, or the exported one where it saw none."""
    seen = np.sqrt(picks.estimated_width * picks.estimated_height)
    return np.where(np.isfinite(seen), seen, np.sqrt(picks.width * picks.height))


def _data_uri(kind: str, data: bytes) -> Markup:
    # Base64 holds no character with a meaning in HTML, so it needs no escaping.
    return Markup(f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}")


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    if value < 100:
        return f"{value:.2f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _setting(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version(), "system": platform.platform(terse=True)}
    for name in _PROGRAMS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            # Some packages, such as OpenCV, come under several names, so names that are not installed are left out.
            continue
    return versions
