"""A second set of labels, made by eye: sheets of candidates to look at blind, and what the verdicts say.

    .venv/bin/python benchmarks/second_labels/look.py sheets --data DATA --out SHEETS
    .venv/bin/python benchmarks/second_labels/look.py compile --data DATA --out SHEETS
    .venv/bin/python benchmarks/second_labels/look.py judge --data DATA --out SHEETS

`sheets` draws a hundred candidates a sheet: the first labels, picks of the model, blobs, and random places, mixed, and
nothing says which is which. The protocol is README.md beside this file. Each pass writes one text file a sheet, ten
lines of ten letters: `p` a particle, `n` none, `u` unsure. `compile` writes the second labels and how far passes agree;
`judge` compares a model's picks with first and second labels.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).parents[1]))  # where _shared.py lies
from _shared import READ_TWICE, load_set, table

from vitripick.evaluation import evaluate
from vitripick.formats import pair_labels, read_all_picks, read_micrograph, write_picks
from vitripick.geometry import Boxes, Micrograph
from vitripick.images import normalise_locally
from vitripick.models import open_model
from vitripick.models.engines import load_on_engine
from vitripick.picking import pick, pick_blobs
from vitripick.picking.threshold import choose_threshold

HERE = Path(__file__).parent
# Sigma of the smoothing, in parts of a diameter. The faint ones need more of it.
SMOOTHED = {"trpv1_empiar10059": 7}
SIDE, COLUMNS = 110, 10
PER_SHEET = COLUMNS**2
LETTERS = "pnu"
# Share of random places among the candidates.
RANDOM = 0.12


@dataclass(frozen=True)
class Candidates:
    """Holds places on one micrograph: x, y (n,) in pixels, and where each comes from."""

    x: np.ndarray
    y: np.ndarray
    source: list[str]
    confidence: np.ndarray


def main() -> None:
    """Draw the sheets, or read the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["sheets", "compile", "judge"])
    parser.add_argument("--data", type=Path, required=True, help="folder with real/")
    parser.add_argument("--out", type=Path, required=True, help="where the sheets are")
    parser.add_argument("--passes", type=Path, default=HERE / "passes", help="folder with a folder for each pass")
    parser.add_argument("--model", action="append", help="judge: a model, or SET=MODEL; repeat; by default general")
    parser.add_argument("--threshold", type=float, help="judge: instead of what the picks of all micrographs say")
    arguments = parser.parse_args()
    if arguments.what == "sheets":
        draw_all(arguments.data, arguments.out)
    elif arguments.what == "compile":
        compile_all(arguments)
    else:
        judge_all(arguments)


def draw_all(data: Path, out: Path) -> None:
    """Draw all sheets, and keep what each cell is in `out`/key.json, which who looks must not read."""
    model = load_on_engine(open_model("general"), engine="auto", precision="auto", device="cpu", jobs=1)
    key = {}
    (out / "sheets").mkdir(parents=True, exist_ok=True)
    for short, part in READ_TWICE.items():
        folder, diameter = part.set_name, part.diameter_px
        root = data / "real" / folder
        files = {path.name: path for path in (root / "micrographs").glob("*.mrc")}
        labels = pair_labels(list(files), read_all_picks(root / "coordinates")).pairs
        for number, name in enumerate(part.names, start=1):
            micrograph = read_micrograph(files[f"{name}.mrc"], name=f"{name}.mrc")
            found = candidates(micrograph, labels[f"{name}.mrc"], model, diameter, part.share, seed=number)
            cells = cells_of(micrograph, found, diameter, folder)
            for first in range(0, len(cells), PER_SHEET):
                sheet = f"{short}_{number}_{first // PER_SHEET + 1:02d}"
                cv2.imwrite(str(out / "sheets" / f"{sheet}.png"), drawn(cells[first : first + PER_SHEET]))
                part = slice(first, first + PER_SHEET)
                key[sheet] = {
                    "set": folder,
                    "micrograph": micrograph.name,
                    "x": found.x[part].round(2).tolist(),
                    "y": found.y[part].round(2).tolist(),
                    "source": found.source[part],
                    "confidence": found.confidence[part].round(3).tolist(),
                }
    (out / "key.json").write_text(json.dumps(key))
    print(f"{len(key)} sheets, {sum(len(one['x']) for one in key.values())} places")


def candidates(micrograph: Micrograph, labels: Boxes, model, diameter: float, share: float, *, seed: int) -> Candidates:
    """Return places of all sources inside the area, a third of a diameter or more apart, in random order."""
    rng = np.random.default_rng(seed)
    rows, columns = micrograph.shape
    right, edge = columns * share, diameter / 2
    picks = pick(micrograph, model, diameter_px=diameter, threshold=0.1, edge="centre")
    blobs = pick_blobs(micrograph, diameter_px=diameter)
    blobs = blobs.select(np.arange(len(blobs)) < len(picks))
    x, y, source, confidence = [], [], [], []

    def add(name: str, xs: np.ndarray, ys: np.ndarray, sure: np.ndarray, apart: float) -> None:
        for a, b, c in zip(xs, ys, sure, strict=True):
            inside = edge <= a < right - edge and edge <= b < rows - edge
            if inside and (not x or cKDTree(np.column_stack([x, y])).query([a, b])[0] >= apart * diameter):
                x.append(float(a)), y.append(float(b)), source.append(name), confidence.append(float(c))

    add("label", labels.x, labels.y, np.ones(len(labels)), 0.0)
    add("model", picks.x, picks.y, picks.confidence, 1 / 3)
    add("blob", blobs.x, blobs.y, np.zeros(len(blobs)), 1 / 3)
    n_random = round(RANDOM * len(x))
    tries = rng.uniform([edge, edge], [right - edge, rows - edge], (50 * n_random, 2))
    add("random", tries[:, 0], tries[:, 1], np.zeros(len(tries)), 0.6)
    keep = [i for i, name in enumerate(source) if name != "random"]
    keep += [i for i, name in enumerate(source) if name == "random"][:n_random]
    order = rng.permutation(keep)
    return Candidates(np.array(x)[order], np.array(y)[order], [source[i] for i in order], np.array(confidence)[order])


def cells_of(micrograph: Micrograph, found: Candidates, diameter: float, folder: str) -> list[np.ndarray]:
    """Draw one (SIDE, SIDE) picture for each place: two and a half diameters wide, smoothed, with ticks at its box."""
    image = normalise_locally(micrograph.image.astype(np.float32), sigma_px=2 * diameter)
    image = cv2.GaussianBlur(image, (0, 0), diameter / SMOOTHED.get(folder, 24))
    low, high = np.percentile(image, [0.5, 99.5])
    half = 1.25 * diameter
    scale = SIDE / (2 * half)
    cells = []
    for x, y in zip(found.x, found.y, strict=True):
        matrix = np.array([[scale, 0, SIDE / 2 - scale * x], [0, scale, SIDE / 2 - scale * y]])
        cell = cv2.warpAffine(
            image, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=float(high)
        )
        cell = np.clip((cell - low) / (high - low) * 255, 0, 255).astype(np.uint8)
        a, b = round(SIDE / 2 - diameter / 2 * scale), round(SIDE / 2 + diameter / 2 * scale)
        middle = SIDE // 2
        for p, q in (((a - 6, middle), (a, middle)), ((b, middle), (b + 6, middle))):
            cv2.line(cell, p, q, 255, 1)
            cv2.line(cell, p[::-1], q[::-1], 255, 1)
        cells.append(cell)
    return cells


def drawn(cells: list[np.ndarray]) -> np.ndarray:
    """Put up to a hundred cells into one picture, each row and column with its number."""
    gap, margin = 4, 26
    step = SIDE + gap
    sheet = np.full((margin + COLUMNS * step, margin + COLUMNS * step), 40, np.uint8)
    for i in range(COLUMNS):
        for place in ((margin + i * step + 45, 18), (4, margin + i * step + 60)):
            cv2.putText(sheet, str((i + 1) % 10), place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, 255, 1, cv2.LINE_AA)
    for i, cell in enumerate(cells):
        top, left = margin + i // COLUMNS * step, margin + i % COLUMNS * step
        sheet[top : top + SIDE, left : left + SIDE] = cell
    return sheet


def verdicts(path: Path, n: int) -> list[str]:
    """Return the letters of a sheet that one pass wrote."""
    letters = [letter for letter in path.read_text().lower() if not letter.isspace()]
    if len(letters) < n or set(letters[:n]) - set(LETTERS):
        raise SystemExit(f"{path}: {n} letters of {LETTERS} are needed, there are {len(letters)}: {set(letters)}")
    return letters[:n]


def compile_all(arguments: argparse.Namespace) -> None:
    """Write the second labels, what both passes call a particle, and print how passes and labels agree."""
    key = json.loads((arguments.out / "key.json").read_text())
    passes = sorted(path.name for path in arguments.passes.iterdir() if path.is_dir())
    rows, kept = [], {}
    for short in READ_TWICE:
        sheets = [sheet for sheet in key if sheet.startswith(f"{short}_")]
        said = {
            one: [
                v for sheet in sheets for v in verdicts(arguments.passes / one / f"{sheet}.txt", len(key[sheet]["x"]))
            ]
            for one in passes
        }
        source = np.array([name for sheet in sheets for name in key[sheet]["source"]])
        sure = np.array([c for sheet in sheets for c in key[sheet]["confidence"]])
        yes = {one: np.array([letter == "p" for letter in letters]) for one, letters in said.items()}
        both = np.all(list(yes.values()), axis=0)
        a, b = (yes[one] for one in passes[:2])
        share = [f"{np.mean(both[source == name]):.2f}" if (source == name).any() else "-" for name in SOURCES]
        surest = (source == "model") & (sure >= 0.4)
        rows.append(
            [short, len(source), *(int(y.sum()) for y in yes.values()), int(both.sum()), f"{np.mean(a == b):.3f}",
             f"{kappa(a, b):.2f}", *share, f"{np.mean(both[surest]):.2f} of {int(surest.sum())}"]
        )  # fmt: skip
        done = 0
        for sheet in sheets:
            n = len(key[sheet]["x"])
            mine = both[done : done + n]
            done += n
            kept.setdefault((key[sheet]["set"], key[sheet]["micrograph"]), []).extend(
                (x, y) for x, y, is_one in zip(key[sheet]["x"], key[sheet]["y"], mine, strict=True) if is_one
            )
    head = ["set", "places", *(f"pass {one}" for one in passes), "both", "agree", "kappa",
            *(f"share of {name}s" for name in SOURCES), "of further picks at 0.4"]  # fmt: skip
    print(table(head, rows))
    sizes = {part.set_name: part.diameter_px for part in READ_TWICE.values()}
    for (folder, name), places in kept.items():
        path = HERE / "labels" / folder / f"{Path(name).stem}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        x, y = np.array(places).T
        write_picks(Boxes.at(x, y, size_px=sizes[folder], micrograph=name), path)


def judge_all(arguments: argparse.Namespace) -> None:
    """Print how picks compare with the first labels, the second ones, and both together, at the run's threshold."""
    models = dict(given.split("=", 1) if "=" in given else ("", given) for given in arguments.model or ["general"])
    rows = []
    for short, part in READ_TWICE.items():
        if short not in models and "" not in models:
            continue
        model = load_on_engine(open_model(models.get(short) or models[""]))
        data = load_set(arguments.data / "real" / part.set_name)
        found = {
            name: pick(micrograph, model, diameter_px=part.diameter_px, threshold=0.0)
            for name, micrograph in data.micrographs.items()
        }
        threshold = arguments.threshold or choose_threshold(list(found.values()), model.card).threshold
        for which, labels in part.labels(data).items():
            picks = {name: part.inside(found[name], data.micrographs[name].shape) for name in labels}
            at = evaluate(
                picks, labels, diameter_px=part.diameter_px, threshold=threshold, chance_level=False
            ).criteria["distance"]
            rows.append(
                [short, which, sum(map(len, labels.values())), threshold, at.default.f1, at.default.precision,
                 at.default.recall, at.best.f1, at.best.threshold, at.auc, at.calibration_error]
            )  # fmt: skip
    head = ["set", "labels", "n", "threshold", "F1 d/4", "precision", "recall", "best F1", "at", "AUC d/4", "ECE"]
    print(table(head, rows))


SOURCES = ("label", "model", "blob", "random")


def kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Return Cohen's kappa of two passes: agreement beyond that of chance (Cohen 1960)."""
    chance = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    return float(((a == b).mean() - chance) / (1 - chance))


if __name__ == "__main__":
    main()
