"""Walk the journeys of a user through the labelling page, and say how each ended and what it took.

Every journey is walked with mouse and keys in a real browser, in four looks: 1280 x 800 and 1920 x 1080, light and
dark. OUT gets a picture of the page at the end of each, to look at. MICROGRAPHS and LABELS are those of one set; the
picks come from the bundled model. The journey that trains is walked in the first look alone.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, sync_playwright

from vitripick.formats import find_micrographs, pair_labels, read_all_picks
from vitripick.geometry import Boxes

LOOKS = [(1280, 800, "light"), (1920, 1080, "dark"), (1920, 1080, "light"), (1280, 800, "dark")]
_ARGUMENTS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
_START = "document.getElementById('train-start').value"
_THRESHOLD = "document.getElementById('threshold')"


class User:
    """Works with mouse and keys, and counts what it takes."""

    def __init__(self, page: Page, truth: dict[str, Boxes]) -> None:
        self.page, self.truth = page, truth
        self.n_clicks = self.n_keys = 0

    def see(self, expression: str) -> object:
        """Return what the page shows."""
        return self.page.evaluate(expression)

    def until(self, expression: str, seconds: float = 60.0) -> None:
        """Wait for the page."""
        end = time.monotonic() + seconds
        while not self.see(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise TimeoutError(expression)
            self.page.wait_for_timeout(30)

    def press(self, selector: str) -> None:
        """Click a button."""
        self.page.click(selector)
        self.n_clicks += 1

    def choose(self, selector: str, value: str) -> None:
        """Choose from a list."""
        self.page.select_option(selector, value)
        self.n_clicks += 2

    def key(self, key: str) -> None:
        """Type a key."""
        self.page.keyboard.press(key)
        self.n_keys += 1

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a place of the micrograph lies on the screen."""
        box = self.page.locator("#overlay").bounding_box()
        assert box is not None
        sx, sy = self.page.evaluate("([x, y]) => vitripick.viewport.toScreen(x, y)", [x, y])
        return box["x"] + sx, box["y"] + sy

    def click(self, x: float, y: float, **options: str) -> None:
        """Click a place of the micrograph."""
        self.page.mouse.click(*self.place(x, y), **options)  # type: ignore[arg-type]
        self.n_clicks += 1

    def slide(self, selector: str, value: float) -> None:
        """Drag a slider."""
        script = "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }"
        self.page.locator(selector).evaluate(script, str(value))
        self.n_clicks += 1

    def saved(self) -> None:
        """Wait until everything is on the disk."""
        self.page.evaluate("vitripick.flush()")
        self.until("document.getElementById('save-state').textContent.includes('saved')")

    def n_labels(self) -> int:
        """Return how many labels the micrograph has."""
        return int(self.page.evaluate("vitripick.sheet().labels.size"))

    def particles(self) -> np.ndarray:
        """Return places of particles away from the border: (N, 2), x and y."""
        truth = self.truth[str(self.see("vitripick.sheet().name"))]
        rows, columns = self.page.evaluate("vitripick.viewport.shape")
        inside = np.minimum.reduce([truth.x, truth.y, columns - truth.x, rows - truth.y]) > 0.08 * min(rows, columns)
        return truth.centres[inside]


def first_open(user: User) -> str:
    """Open the link."""
    user.until("!document.getElementById('train').disabled")
    user.press("#round summary")
    return f"{user.page.locator('#round-steps li').count()} steps shown; starts from {user.see(_START)}"


def twenty_particles(user: User) -> str:
    """Set the box, click twenty particles."""
    user.key("]")
    user.key("[")
    for x, y in user.particles()[:20]:
        user.click(x, y)
    user.saved()
    assert user.n_labels() == 20, user.n_labels()
    return "20 labels, saved"


def mend(user: User) -> str:
    """Drag one, nudge it, delete another, undo both."""
    (x, y), (x2, y2) = user.particles()[:2]
    user.page.mouse.move(*user.place(x, y))
    user.page.mouse.down()
    user.page.mouse.move(*user.place(x + 20, y + 10), steps=4)
    user.page.mouse.up()
    user.n_clicks += 1
    user.key("ArrowRight")
    user.click(x2, y2, button="right")
    assert user.n_labels() == 19
    for _ in range(3):
        user.key("Control+z")
    user.until("vitripick.sheet().labels.size === 20")
    user.saved()
    return "moved, nudged, deleted, all three undone"


def faint(user: User) -> str:
    """Look at what is faint: low-pass by the box, the denoised view, the power spectrum."""
    user.press("#low-pass-auto")
    user.key("v")
    user.until("!document.getElementById('denoised-note').hidden")
    user.page.wait_for_timeout(2500)
    user.key("v")
    user.press("#show-spectrum")
    user.until("document.getElementById('spectrum').open")
    user.page.wait_for_timeout(800)
    user.key("Escape")
    return "low-pass, denoised view, spectrum with rings"


def accept_and_reject(user: User) -> str:
    """Accept one pick, reject one, go to a doubtful one, accept all."""
    user.press("#tab-picks")
    user.until("vitripick.shownPicks().length > 3")
    before = user.n_labels()
    picks = user.page.evaluate("vitripick.shownPicks().map((p) => [p.x, p.y])")
    user.click(*picks[0], button="right")
    user.until(f"vitripick.shownPicks().length < {len(picks)}")
    user.key("d")
    user.key("0")
    user.press("#accept")
    user.saved()
    assert user.n_labels() > before
    return f"{user.n_labels()} labels, 1 rejected"


def threshold(user: User) -> str:
    """Move the threshold and go back to the model's own."""
    own = user.see(f"{_THRESHOLD}.value")
    counts = []
    for value in (0.2, 0.6, 0.9):
        user.slide("#threshold", value)
        user.page.wait_for_timeout(300)
        counts.append(int(re.sub(r"\D", "", user.page.inner_text("#pick-count").split(" of ")[0])))
    assert counts == sorted(counts, reverse=True), counts
    user.slide("#threshold", float(str(own)))
    return f"{' → '.join(map(str, counts))} picks at 0.2, 0.6, 0.9"


def montage(user: User) -> str:
    """Look at the particles of all micrographs, the least sure first."""
    user.press("#tab-particles")
    user.choose("#montage-where", "all")
    user.choose("#montage-order", "worst")
    user.until("/[1-9]/.test(document.getElementById('montage-count').textContent)")
    user.page.wait_for_timeout(1500)
    return user.page.inner_text("#montage-count")


def compare(user: User) -> str:
    """Compare with the picks of another program."""
    user.press("#tab-files")
    user.choose("#import-as", "picks")
    with user.page.expect_response("**/api/import*"):
        user.page.set_input_files("#import", user.page.context.second)  # type: ignore[attr-defined]
    user.page.wait_for_timeout(500)
    said = user.page.inner_text("#import-result")
    user.press("#tab-picks")
    sets = user.page.locator("#pick-set option").count()
    user.choose("#compare-set", str(user.see("document.querySelectorAll('#compare-set option')[1].value")))
    user.until("document.querySelectorAll('#compare-table tr').length > 1")
    return f"{sets} sets; “{said.splitlines()[0]}”"


def label_next(user: User) -> str:
    """Go where a label helps most, mark what is there, undo it."""
    user.choose("#list-sort", "doubt")
    user.press(".list-row >> nth=0")
    user.until("vitripick.sheet()?.labels.size === 0 && vitripick.sheet().id === vitripick.currentPicture()?.id")
    user.key("e")
    user.until("vitripick.store.rows.some((row) => row.flag === 'empty')")
    user.key("Control+z")
    user.until("vitripick.store.rows.every((row) => row.flag !== 'empty')")
    user.choose("#list-sort", "name")
    return "next micrograph, marked empty, undone"


def export(user: User) -> str:
    """Write an export for RELION and download."""
    user.press("#tab-files")
    user.until("document.getElementById('export-preview').textContent !== ''")
    user.press("#export")
    user.until("!document.getElementById('download').hidden")
    with user.page.expect_download() as download:
        user.press("#download")
    return f"{user.page.inner_text('#export-result').splitlines()[0]} → {download.value.suggested_filename}"


def train(user: User) -> str:
    """Start a training and wait."""
    user.press("#tab-train")
    user.press("#train")
    user.until("vitripick.store.status.job?.running")
    user.page.wait_for_timeout(15_000)
    words = user.page.inner_text("#job-stage")
    user.until("vitripick.store.status.job && !vitripick.store.status.job.running", 3600)
    user.page.wait_for_timeout(500)
    return f"“{words}”; at the end “{user.page.inner_text('#job-stage')}”"


JOURNEYS: list[Callable[[User], str]] = [
    *(first_open, twenty_particles, mend, faint, accept_and_reject, threshold, montage, compare, label_next, export),
    train,
]


def main() -> None:
    """Walk all journeys in all looks, print the table; end with 1 if one could not be walked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--micrographs", type=Path, default=Path("examples/apoferritin/micrographs"))
    parser.add_argument("--labels", type=Path, default=Path("examples/apoferritin/labels"))
    parser.add_argument("--diameter-px", type=float, default=80.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--looks", type=int, default=len(LOOKS), help="how many of the four looks")
    names = [journey.__name__ for journey in JOURNEYS]
    parser.add_argument("--journeys", nargs="+", choices=names, default=names, help="some build on those before")
    arguments = parser.parse_args()
    files = find_micrographs([arguments.micrographs])
    truth = pair_labels([file.name for file in files], read_all_picks(arguments.labels)).pairs
    picks, second = arguments.out / "picks", arguments.out / "second"
    shutil.rmtree(arguments.out, ignore_errors=True)
    command = [sys.executable, "-m", "vitripick.cli.app", "pick", str(arguments.micrographs), "--format", "cbox"]
    command += ["--diameter-px", f"{arguments.diameter_px:g}"]
    subprocess.run([*command, "--out", str(picks)], check=True)
    subprocess.run([*command, "--out", str(second), "--threshold", "0.7"], check=True)
    failed = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=_ARGUMENTS.split())
        for width, height, theme in LOOKS[: arguments.looks]:
            look = f"{width}_{theme}"
            print(f"\n{width} x {height}, {theme}\n\n| journey | clicks | keys | seconds | how it ended |")
            print("|---|---|---|---|---|")
            project = arguments.out / look
            server, link = _serve(arguments, project, picks)
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
            context.second = sorted(map(str, second.rglob("*.cbox")))  # type: ignore[attr-defined]
            page = context.new_page()
            problems: list[str] = []
            page.on("pageerror", lambda error, problems=problems: problems.append(str(error)))
            page.goto(link)
            user = User(page, truth)
            user.until("window.vitripick?.currentPicture()")
            for journey in JOURNEYS:
                if journey.__name__ not in arguments.journeys or (journey is train and look != "1280_light"):
                    continue
                failed += not _walk(user, journey, arguments.out / "pictures" / f"{look}_{journey.__name__}.png")
            if problems:
                failed += 1
                print("errors of the page:", *problems, sep="\n")
            context.close()
            server.terminate()
            server.wait()
        browser.close()
    if failed:
        sys.exit(1)


def _walk(user: User, journey: Callable[[User], str], picture: Path) -> bool:
    user.n_clicks = user.n_keys = 0
    started = time.monotonic()
    try:
        ended, good = journey(user), True
    except (AssertionError, TimeoutError, PlaywrightError) as error:  # the table says it, and the other journeys go on
        ended, good = f"FAILED: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", False
    seconds = time.monotonic() - started
    name = (journey.__doc__ or "").rstrip(".")
    print(f"| {name} | {user.n_clicks} | {user.n_keys} | {seconds:.1f} | {ended} |", flush=True)
    picture.parent.mkdir(parents=True, exist_ok=True)
    user.page.screenshot(path=picture)
    if not good:
        with suppress(PlaywrightError):
            user.key("Escape")
    return good


def _serve(arguments: argparse.Namespace, project: Path, picks: Path) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "vitripick.cli.app", "label", str(arguments.micrographs), "--out", str(project)]
    command += ["--port", "0", "--box-size-px", f"{arguments.diameter_px:g}", "--picks", str(picks)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    file = next(m.group(1) for line in server.stderr if (m := re.search(r"the link is in (.*), which only you", line)))
    return server, Path(file).read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    main()
