"""Draw precision-recall curves, histograms and training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vitripick.geometry import FloatArray
from vitripick.pictures.drawing import BLUE, FAINT, GREEN, INK, SERIES, VERMILION, figure_png, new_figure, styled


class CurveLike(Protocol):
    """Lists the attributes that a precision-recall curve needs; `vitripick.evaluation.Curve` has them."""

    @property
    def threshold(self) -> FloatArray:
        """Return (n,): thresholds, falling."""

    @property
    def recall(self) -> FloatArray:
        """Return (n,): recall at each threshold."""

    @property
    def precision(self) -> FloatArray:
        """Return (n,): precision at each threshold."""


class EvaluationLike(Protocol):
    """Lists the attributes that pictures need from an evaluation; `vitripick.evaluation.Evaluation` has them."""

    @property
    def curves(self) -> Mapping[str, CurveLike]:
        """Return the precision-recall curve of each criterion."""

    @property
    def n_labels(self) -> int:
        """Return the number of labels that count."""

    def to_dict(self) -> dict[str, Any]:
        """Return what `vitripick.evaluation.Evaluation.to_dict` returns."""

    def headline(self) -> str:
        """Return in one line what matters most."""

    def figures(self) -> list[tuple[str, list[str]]]:
        """Return the rows of the summary table."""

    def facts(self) -> list[tuple[str, str]]:
        """Return what the set holds."""


_LINES = {"iou": "-", "distance": "--", "half_distance": ":"}


def precision_recall_png(evaluations: Mapping[str, EvaluationLike]) -> bytes:
    """Plot precision against recall, one colour for each evaluation, one kind of line for each criterion.

    A filled dot marks the default threshold, an open one the best. Faint lines join points of equal F1.

    Parameters
    ----------
    evaluations
        Evaluations by the name that the legend shows. With more than one, d/2 is left out to keep the lines apart.

    Returns
    -------
    bytes
        PNG.
    """
    with styled():
        figure = new_figure(figsize=(6.4, 5.0), layout="constrained")
        axes = figure.add_subplot()
        recall = np.linspace(0.01, 1, 200)
        for f1 in (0.2, 0.4, 0.6, 0.8):
            precision = np.divide(f1 * recall, 2 * recall - f1, where=2 * recall > f1, out=np.full(200, np.nan))
            axes.plot(recall, np.where(precision <= 1, precision, np.nan), color=FAINT, lw=0.7, zorder=0)
            axes.text(1.005, f1 / (2 - f1), f"F1 {f1}", color="#8b98a5", fontsize=7, va="center")
        for index, (name, evaluation) in enumerate(evaluations.items()):
            figures = evaluation.to_dict()["criteria"]
            for key, curve in evaluation.curves.items():
                if key == "half_distance" and len(evaluations) > 1:
                    continue
                colour = SERIES[index % len(SERIES)] if len(evaluations) > 1 else _of_criterion(key)
                auc = figures[key]["auc"]
                label = f"{figures[key]['description']}, AUC {'-' if auc is None else f'{auc:.3f}'}"
                label = f"{name}: {label}" if len(evaluations) > 1 else label
                axes.step(
                    # The line starts at recall 0; an evaluation without picks has no point to start from.
                    np.append(np.zeros(len(curve.recall[:1])), curve.recall),
                    np.append(curve.precision[:1], curve.precision),
                    where="pre",
                    color=colour,
                    ls=_LINES.get(key, "-"),
                    lw=1.6,
                    label=label,
                )
                for point, fill in (("best", "white"), ("default", colour)):
                    _dot(axes, figures[key][point], colour, fill)
        axes.plot([], [], "o", color=INK, ms=5, label="at the default threshold")
        axes.plot([], [], "o", color=INK, mfc="white", ms=5, label="at the best threshold")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.legend(loc="lower left")
        return figure_png(figure)


def _of_criterion(key: str) -> str:
    return {"iou": BLUE, "distance": VERMILION, "half_distance": GREEN}.get(key, INK)


def _dot(axes: Any, score: Mapping[str, Any], colour: str, fill: str) -> None:
    if score["recall"] is not None and score["precision"] is not None:
        axes.plot(score["recall"], score["precision"], "o", color=colour, mfc=fill, ms=6, zorder=5)


def histogram_png(
    values: npt.ArrayLike,
    *,
    label: str,
    mark: float | None = None,
    mark_label: str = "threshold",
    limits: tuple[float, float] | None = None,
    n_bins: int = 40,
    below_is_paler: bool = True,
    counted: str = "picks",
) -> bytes:
    """Plot how often each value occurs; NaN is left out.

    Parameters
    ----------
    values : (n,)
        Confidences, sizes, anything.
    label
        The text below the axis, with its unit.
    mark, mark_label
        A vertical line and its name.
    limits
        Ends of the axis; by default the smallest and the largest value.
    n_bins
        How many bars there are.
    below_is_paler
        Draw the bars below the mark paler, because a threshold leaves these out.
    counted
        What the bars count.

    Returns
    -------
    bytes
        PNG.
    """
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    with styled():
        figure = new_figure(figsize=(4.8, 2.6), layout="constrained")
        axes = figure.add_subplot()
        if len(array):
            low, high = limits or (float(array.min()), float(array.max()))
            if not high > low:
                low, high = low - 0.5, high + 0.5
            counts, edges = np.histogram(array, bins=n_bins, range=(low, high))
            below = (edges[:-1] + edges[1:]) / 2 < (-np.inf if mark is None or not below_is_paler else mark)
            colours = np.where(below, "#b9cfdf", BLUE)
            axes.bar(
                edges[:-1],
                counts,
                np.diff(edges),
                align="edge",
                color=list(colours),
                edgecolor="white",
                lw=0.4,
            )
            axes.set_xlim(low, high)
        else:
            axes.text(0.5, 0.5, "none", ha="center", va="center", transform=axes.transAxes, color="#8b98a5")
        if mark is not None:
            axes.axvline(mark, color=VERMILION, lw=1.2, label=f"{mark_label} {mark:.3g}")
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
        axes.set(xlabel=label, ylabel=counted)
        return figure_png(figure)


def training_curves_png(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Plot the losses, F1 and AUC on the validation micrographs, and the learning rate, against the step.

    Parameters
    ----------
    rows
        Each has "step" and any of "train_loss", "validation_loss", "validation_f1", "validation_auc",
        "learning_rate". Values that are missing or None in a row are skipped, so rare validations still make a line.

    Returns
    -------
    bytes
        PNG.
    """
    panels: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
        ("loss", (("train_loss", "training", BLUE), ("validation_loss", "validation", VERMILION))),
        ("score on validation", (("validation_f1", "F1", GREEN), ("validation_auc", "AUC", BLUE))),
        ("learning rate", (("learning_rate", "", INK),)),
    )
    with styled():
        figure = new_figure(figsize=(11, 3.1), layout="constrained")
        for axes, (title, lines) in zip(np.ravel(figure.subplots(1, 3)), panels, strict=True):
            for key, label, colour in lines:
                steps, values = _column(rows, key)
                if len(steps):
                    marker = "o" if len(steps) < 40 else ""
                    axes.plot(steps, values, color=colour, lw=1.4, marker=marker, ms=3, label=label)
                    if key in ("validation_f1", "validation_auc"):
                        best = int(np.argmax(values))
                        axes.plot(steps[best], values[best], "o", color=colour, mfc="white", ms=6)
            if axes.lines and len(lines) > 1:
                axes.legend()
            if title == "loss" and any(_positive(rows, key) for key, _, _ in lines):
                axes.set_yscale("log")
            if title == "score on validation":
                axes.set_ylim(0, 1.02)
            axes.set_title(title)
            axes.set_xlabel("step")
        return figure_png(figure)


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[FloatArray, FloatArray]:
    """Return the steps and values of the rows that have a finite value."""
    pairs = [(row["step"], row[key]) for row in rows if row.get(key) is not None and np.isfinite(row[key])]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _positive(rows: Sequence[Mapping[str, Any]], key: str) -> bool:
    _, values = _column(rows, key)
    return len(values) > 0 and bool((values > 0).all())
