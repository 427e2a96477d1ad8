"""Draw the pictures that explain: python tools/draw_pictures.py

They come from the micrographs of `examples/` and from simulated ones, so anyone can draw them again. With the folder in
which the commands of docs/hard_sample.md ran as the only argument, it draws the pictures of that page instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from vitripick import evaluate, load_model, read_micrograph, read_picks
from vitripick.geometry import Boxes, Micrograph
from vitripick.images import prepare
from vitripick.models import LoadedModel
from vitripick.models.detections import sigmoid
from vitripick.models.engines import load_on_engine
from vitripick.models.filament_card import open_filament_model
from vitripick.models.run import fill_up
from vitripick.picking import look
from vitripick.picking.filaments import trace_filaments
from vitripick.pictures.filaments import filaments_png, straightened_png
from vitripick.simulation import bundled_structures, load_scene_recipe, read_structure, simulate_micrograph
from vitripick.simulation.filament_shapes import random_helix
from vitripick.simulation.filaments import FilamentLayout, simulate_filaments

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
EXAMPLES = ROOT / "examples"
Picture = npt.NDArray[np.uint8]

GREEN, ORANGE, BLUE, YELLOW = (154, 211, 47), (0, 140, 255), (255, 196, 108), (60, 220, 240)  # BGR
GAP_PX, STRIP_PX = 10, 30
# The middle of the first example, where nothing is cut by the border.
TOP, LEFT, SIDE = 330, 330, 460


def main() -> None:
    """Draw all pictures into docs/images."""
    model = load_model("general")
    IMAGES.mkdir(exist_ok=True)
    draw_way(model)
    draw_good_and_bad(model)
    draw_labels()
    draw_kinds(model)
    draw_filaments()


def grey(image: npt.NDArray[np.float32], side: int) -> Picture:
    """Return a square picture in grey, between the 1st and the 99th percentile."""
    low, high = np.percentile(image, [1, 99])
    levels = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1) * 255
    small = cv2.resize(levels.astype(np.uint8), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR), np.uint8)


def circles(
    picture: Picture, boxes: Boxes, colours: list[tuple[int, int, int]], *, left: int, top: int, cut: int
) -> None:
    """Draw a circle for each box on a picture that shows a square of `cut` px of the micrograph."""
    zoom = picture.shape[0] / cut
    for x, y, width, colour in zip(boxes.x, boxes.y, boxes.width, colours, strict=True):
        at = (round((x - left) * zoom * 16), round((y - top) * zoom * 16))
        cv2.circle(picture, at, round(width / 2 * zoom * 16), colour, 2, cv2.LINE_AA, 4)


def titled(picture: Picture, text: str) -> Picture:
    """Return the picture with a line of text below it."""
    strip = np.full((STRIP_PX, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, text, (2, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.47, (40, 40, 40), 1, cv2.LINE_AA)
    return np.vstack([picture, strip])


def side_by_side(pictures: list[Picture], columns: int) -> Picture:
    """Return the pictures in rows of `columns`, white between them."""
    height, width = pictures[0].shape[:2]
    rows = []
    for first in range(0, len(pictures), columns):
        row = pictures[first : first + columns]
        row = row + [np.full((height, width, 3), 255, np.uint8)] * (columns - len(row))
        gap = np.full((height, GAP_PX, 3), 255, np.uint8)
        rows.append(np.hstack([part for one in row for part in (one, gap)][:-1]))
    return np.vstack(rows)


def save(picture: Picture, name: str, quality: int = 68) -> None:
    """Write a JPEG into docs/images, and say how large it is."""
    path = IMAGES / name
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


def draw_way(model: LoadedModel) -> None:
    """Draw one micrograph on its way: as it is, as the network sees it, its map, all peaks, what is written."""
    micrograph = read_micrograph(EXAMPLES / "apoferritin/micrographs/May08_03.05.02.mrc")
    prepared = prepare(micrograph, model.card.preparation, diameter_px=80)
    padded = fill_up(prepared.image, model.network.decoding.pad_to)
    heat = sigmoid(model.network.run(padded[None, None]))[0, 0]
    every = look(micrograph, model, diameter_px=80, threshold=0.05, edge="box")
    scale_y, scale_x = prepared.scale
    part = micrograph.image[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    at = [round(TOP * scale_y), round(LEFT * scale_x)]
    side = round(SIDE * scale_y)
    seen = prepared.image[at[0] : at[0] + side, at[1] : at[1] + side]
    stride = model.network.decoding.stride
    hot = heat[at[0] // stride : (at[0] + side) // stride, at[1] // stride : (at[1] + side) // stride]
    shown = np.asarray(cv2.applyColorMap((hot * 255).astype(np.uint8), cv2.COLORMAP_INFERNO), np.uint8)
    size = 270
    peaks, kept = grey(part, size), grey(part, size)
    picks = every.picks
    circles(peaks, picks, [_by_confidence(c) for c in picks.confidence], left=LEFT, top=TOP, cut=SIDE)
    chosen = picks.above(model.card.threshold)
    circles(kept, chosen, [GREEN] * len(chosen), left=LEFT, top=TOP, cut=SIDE)
    frames = [
        titled(grey(part, size), "1  the micrograph"),
        titled(grey(seen, size), "2  scaled: 24 px a particle"),
        titled(np.asarray(cv2.resize(shown, (size, size)), np.uint8), "3  what the network says"),
        titled(peaks, "4  every peak, paler is surer"),
        titled(kept, "5  at the threshold: picks"),
    ]
    save(side_by_side(frames, 3), "way.jpg")


def _by_confidence(confidence: float) -> tuple[int, int, int]:
    """Return a colour from dark red (0) to pale yellow (1)."""
    colour = cv2.applyColorMap(np.uint8([[round(90 + 165 * confidence)]]), cv2.COLORMAP_HOT)[0, 0]  # type: ignore[call-overload]
    return int(colour[0]), int(colour[1]), int(colour[2])


def judged(
    micrograph: Micrograph, picks: Boxes, labels: Boxes, diameter_px: float
) -> tuple[float, list[tuple[int, int, int]]]:
    """Return F1 within d/4, and a colour for each pick: green if it agrees with a label, else orange."""
    result = evaluate(picks, labels, diameter_px=diameter_px, threshold=0, n_bootstrap=0, chance_level=False)
    near = np.hypot(picks.x[:, None] - labels.x[None], picks.y[:, None] - labels.y[None])
    right = near.min(axis=1, initial=np.inf) <= diameter_px / 4
    return result.criteria["distance"].default.f1, [GREEN if one else ORANGE for one in right]


def draw_good_and_bad(model: LoadedModel) -> None:
    """Draw good and bad overlays of one micrograph: what a wrong diameter or threshold looks like."""
    path = EXAMPLES / "apoferritin/micrographs/May08_03.05.02.mrc"
    micrograph = read_micrograph(path)
    labels = read_picks(EXAMPLES / "apoferritin/labels/May08_03.05.02.csv")
    frames = []
    for text, diameter_px, threshold in [
        ("good", 80, 0.4),
        ("threshold too high (0.95)", 80, 0.95),
        ("threshold too low (0.05)", 80, 0.05),
        ("diameter half as large", 40, 0.4),
        ("diameter twice as large", 160, 0.4),
    ]:
        picks = look(micrograph, model, diameter_px=diameter_px, threshold=threshold, edge="box").picks
        f1, colours = judged(micrograph, picks, labels, 80)
        picture = grey(micrograph.image[TOP : TOP + SIDE, LEFT : LEFT + SIDE], 270)
        circles(picture, picks, colours, left=LEFT, top=TOP, cut=SIDE)
        frames.append(titled(picture, f"{text}: F1 {f1:.2f}"))
    save(side_by_side(frames, 3), "good_and_bad.jpg")


def draw_labels() -> None:
    """Draw how labels should look: centred and snug; too large; beside the middle; only some of them."""
    micrograph = read_micrograph(EXAMPLES / "apoferritin/micrographs/May08_05.53.51.mrc")
    labels = read_picks(EXAMPLES / "apoferritin/labels/May08_05.53.51.csv")
    rng = np.random.default_rng(2)
    good = Boxes.at(labels.x, labels.y, size_px=80)
    beside = Boxes.at(labels.x + 22, labels.y + 16, size_px=80)
    some = good[rng.random(len(good)) < 0.3]
    frames = []
    for text, boxes, colour in [
        ("good: centred, snug", good, GREEN),
        ("too large", Boxes.at(labels.x, labels.y, size_px=140), ORANGE),
        ("beside the middle", beside, ORANGE),
        ("some only: do not mark as full", some, YELLOW),
    ]:
        picture = grey(micrograph.image[TOP : TOP + SIDE, LEFT : LEFT + SIDE], 270)
        circles(picture, boxes, [colour] * len(boxes), left=LEFT, top=TOP, cut=SIDE)
        frames.append(titled(picture, text))
    save(side_by_side(frames, 2), "labels.jpg")


def draw_kinds(model: LoadedModel) -> None:
    """Draw real and simulated kinds of particles, with what the model picks on each."""
    frames = []
    for name, stem, diameter_px, side in [
        ("apoferritin", "May08_03.05.02", 80, 460),
        ("betagal", "Falcon_2012_06_12-15_17_31_0", 27, 230),
    ]:
        micrograph = read_micrograph(EXAMPLES / name / "micrographs" / f"{stem}.mrc")
        labels = read_picks(EXAMPLES / name / "labels" / f"{stem}.csv")
        frames.append(_kind(model, micrograph, labels, diameter_px, f"{name}, real", side=side))
    files = bundled_structures()
    for scene, structure_name, pixel_size in [
        ("general", "ribosome_70s", 3.0),
        ("general", "spmv", 2.5),
        ("general", "igg1", 2.0),
        ("general", "cftr", 2.0),
        ("contaminated", "t20s_proteasome", 2.5),
        ("negative_stain", "dna_gyrase", 3.0),
        ("clean", "klh_like_synthetic", 5.0),
    ]:
        structure = read_structure(files[structure_name])
        made = simulate_micrograph(
            load_scene_recipe(scene),
            [structure],
            np.random.default_rng(5),
            shape=(640, 640),
            pixel_size=pixel_size,
            structure=structure,
        )
        frames.append(
            _kind(
                model,
                Micrograph(made.image, name=structure_name, pixel_size=pixel_size),
                made.boxes,
                structure.diameter_angstrom / pixel_size,
                f"{structure_name.replace('_', ' ')}, {structure.mass_kda:.0f} kDa",
                side=520,
            )
        )
    save(side_by_side(frames, 3), "kinds.jpg", quality=62)


def _kind(
    model: LoadedModel, micrograph: Micrograph, labels: Boxes, diameter_px: float, text: str, *, side: int
) -> Picture:
    """Return the middle of a micrograph with its picks, and F1 over the whole."""
    picks = look(micrograph, model, diameter_px=diameter_px).picks
    f1, colours = judged(micrograph, picks, labels, diameter_px)
    rows, columns = micrograph.shape
    top, left = (rows - side) // 2, (columns - side) // 2
    picture = grey(micrograph.image[top : top + side, left : left + side], 260)
    circles(picture, picks, colours, left=left, top=top, cut=side)
    return titled(picture, f"{text}: F1 {f1:.2f}")


def draw_filaments() -> None:
    """Draw filaments as they are traced, straightened, and averaged by the psi of their segments."""
    side, box, pixel_size = 640, 110, 5.0
    helix = random_helix(np.random.default_rng(12))
    layout = FilamentLayout(count=9, length_widths=(15, 40), bend=0.01, bundle_chance=0, gap_chance=0)
    scene = load_scene_recipe("clean")
    rng = np.random.default_rng(4)
    made = simulate_filaments(scene, helix, rng, layout=layout, shape=(side, side), pixel_size=pixel_size)
    tracer = load_on_engine(open_filament_model("filaments"), filaments=True)
    micrograph = Micrograph(made.image, name="simulated", pixel_size=pixel_size)
    found = trace_filaments(micrograph, tracer, width_angstrom=helix.width_angstrom).filaments
    segments = found.segments(spacing=10)
    centre = ((box - 1) / 2, (box - 1) / 2)
    turned = []
    for x, y, angle in zip(segments.x, segments.y, segments.angle, strict=True):
        square = cv2.getRectSubPix(made.image, (2 * box, 2 * box), (float(x), float(y)))
        turn = cv2.getRotationMatrix2D((box - 0.5, box - 0.5), float(np.rad2deg(angle)), 1)
        turn[:, 2] -= box - 0.5 - centre[0]
        turned.append(cv2.warpAffine(square, turn, (box, box), flags=cv2.INTER_LINEAR))
    average = np.asarray(np.mean(turned, axis=0), np.float32)
    strips = cv2.imdecode(np.frombuffer(straightened_png(made.image, found, most=7), np.uint8), cv2.IMREAD_COLOR)
    white = np.full((360, 360, 3), 255, np.uint8)
    zoom = min(1.0, 360 / max(strips.shape[:2]))
    strips = cv2.resize(strips, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    white[: strips.shape[0], : strips.shape[1]] = strips
    traced = cv2.imdecode(np.frombuffer(filaments_png(made.image, found), np.uint8), cv2.IMREAD_COLOR)
    panels = [
        titled(np.asarray(cv2.resize(traced, (360, 360), interpolation=cv2.INTER_AREA), np.uint8), "traced"),
        titled(np.asarray(white, np.uint8), "straightened, the longest first"),
        titled(grey(average, 360), f"average of {len(segments)} segments, turned by psi"),
    ]
    save(side_by_side(panels, 3), "filaments.jpg", quality=45)


def draw_hard_sample(folder: Path) -> None:
    """Draw the second micrograph of the tutorial with the picks of both models, and copy the sheet of classes."""
    stem = "simulated_0002"
    micrograph = read_micrograph(folder / "sim/micrographs" / f"{stem}.mrc")
    labels = read_picks(folder / "sim/labels" / f"{stem}.cbox")
    side = micrograph.shape[0]
    frames = []
    for run, threshold, text in (("before", 0.4, "general"), ("after", 0.42, "after one micrograph of labels")):
        picks = read_picks(folder / run / "cbox" / f"{stem}.cbox").above(threshold)
        f1, colours = judged(micrograph, picks, labels, float(labels.width[0]))
        picture = grey(micrograph.image, 400)
        circles(picture, picks, colours, left=0, top=0, cut=side)
        frames.append(titled(picture, f"{text}: F1 {f1:.2f}"))
    save(side_by_side(frames, 2), "hard_sample.jpg", quality=60)
    # Forty colours are enough for a sheet of grey pictures, and half as many bytes.
    sheet = Image.open(folder / "after2/classes/sheet.png").convert("RGB").quantize(40, dither=Image.Dither.NONE)
    sheet.save(IMAGES / "hard_sample_classes.png", optimize=True)


if __name__ == "__main__":
    draw_hard_sample(Path(sys.argv[1])) if sys.argv[1:] else main()
