"""Draw docs/images/results.png, and write the table of docs/benchmarks/intervals.md: python tools/draw_results.py

Both follow from docs/benchmarks/results.csv. An open dot in the picture is a figure without an interval.
"""

from __future__ import annotations

import csv
from pathlib import Path

from matplotlib.figure import Figure

DOCS = Path(__file__).parent.parent / "docs"
TABLE = DOCS / "benchmarks" / "results.csv"
PICTURE = DOCS / "images" / "results.png"
PAGE = DOCS / "benchmarks" / "intervals.md"
HEAD = "| set | method | micrographs | F1 d/4 | 95 % interval | details |\n|---|---|---|---|---|---|\n"
COLOURS = {
    "blob detector, best threshold": "#8a8f98",
    "general, protein never seen": "#0072b2",
    "then 100 labels": "#009e73",
    "one micrograph from scratch": "#d55e00",
    "general, micrographs never seen": "#56b4e9",
}


def main() -> None:
    """Draw the picture and write the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    text = PAGE.read_text(encoding="utf-8").partition("| set |")[0]
    PAGE.write_text(text + table(rows), encoding="utf-8")
    draw(rows)


def table(rows: list[dict[str, str]]) -> str:
    """Return the table of all figures, each with its interval or the reason why it has none."""
    lines = [HEAD]
    for row in rows:
        interval = f"{row['low']}-{row['high']}" if row["low"] else f"none: {row['no_interval']}"
        link = f"[{row['page'].removesuffix('.md')}]({row['page']})"
        cells = [row["set"], row["method"], row["micrographs"], row["f1"], interval, link]
        lines.append("| " + " | ".join(cells) + " |\n")
    return "".join(lines)


def draw(rows: list[dict[str, str]]) -> None:
    """Draw one panel for each set, and in it one dot for each method, with its interval where there is one."""
    sets = list(dict.fromkeys(row["set"] for row in rows))
    methods = list(COLOURS)
    # Two by two, so that the text can be read on a phone.
    figure = Figure(figsize=(6.6, 4.6), dpi=150, layout="constrained")
    panels = figure.subplots(2, len(sets) // 2, sharex=True, sharey=True).ravel()
    for panel, name in zip(panels, sets, strict=True):
        for row in (row for row in rows if row["set"] == name):
            f1, at = float(row["f1"]), methods.index(row["method"])
            if row["low"]:
                panel.plot([float(row["low"]), float(row["high"])], [at, at], color=COLOURS[row["method"]], linewidth=3)
            filled = {"markerfacecolor": COLOURS[row["method"]] if row["low"] else "white"}
            panel.plot(f1, at, "o", color=COLOURS[row["method"]], markersize=7, markeredgewidth=1.8, **filled)
            side = -8 if f1 > 0.75 else 8
            panel.annotate(
                row["f1"],
                (float(row["low"] or f1) if side < 0 else f1, at),
                xytext=(side, 0),
                textcoords="offset points",
                ha="right" if side < 0 else "left",
                va="center",
                fontsize=8,
            )
        panel.set(title=name, xlim=(0.4, 1.02), ylim=(len(methods) - 0.5, -0.5))
        panel.title.set_fontsize(10)
        panel.grid(axis="x", color="#dddddd")
        panel.set_axisbelow(True)
    for panel in panels[-2:]:
        panel.set_xlabel("F1, d/4")
    panels[0].set_yticks(range(len(methods)), methods)
    figure.savefig(PICTURE)


if __name__ == "__main__":
    main()
