"""From no label at all to a model, in the browser, as a user would: click, train, look, correct, train again.

Three rounds. Each is ten clicks on particles (with the tremor of a hand), at most ten corrections (false picks
rejected), and one press of "Train" with the page's own defaults: from scratch in the first round, then from the model
of the round before. Where to click is read from people's
labels; nothing else of them reaches the page. Judged on all micrographs that were never labelled here.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from vitripick.evaluation import evaluate
from vitripick.formats import find_micrographs, pair_labels, read_all_picks, read_header, read_picks
from vitripick.geometry import Boxes, match

CLICKS = CORRECTIONS = 10
TREMOR_DIAMETERS = 0.04
_ARGUMENTS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"


class User:
    """Sits in front of the page and knows a particle on sight."""

    def __init__(self, page: Page, truth: dict[str, Boxes], diameter_px: float, seed: int) -> None:
        self.page, self.truth, self.diameter = page, truth, diameter_px
        self.rng = np.random.default_rng(seed)
        self.n_clicks = self.n_corrections = 0
        self.waited = self.cpu_seconds = 0.0

    @property
    def name(self) -> str:
        """Return the micrograph on the screen."""
        return str(self.page.evaluate("vitripick.sheet().name"))

    def until(self, expression: str, seconds: float = 3600.0) -> None:
        """Wait for the page."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise TimeoutError(expression)
            self.page.wait_for_timeout(50)

    def click(self, x: float, y: float, **options: str) -> None:
        """Click a place of the micrograph, as near as a hand comes."""
        x, y = np.array([x, y]) + self.rng.normal(0, TREMOR_DIAMETERS * self.diameter, 2)
        box = self.page.locator("#overlay").bounding_box()
        assert box is not None
        sx, sy = self.page.evaluate("([x, y]) => vitripick.viewport.toScreen(x, y)", [x, y])
        self.page.mouse.click(box["x"] + sx, box["y"] + sy, **options)  # type: ignore[arg-type]

    def add_missing(self, at_most: int = CLICKS) -> None:
        """Click particles that are neither labelled nor picked."""
        self.page.evaluate("vitripick.viewport.fit()")
        shown = [*self.page.evaluate("[...vitripick.sheet().labels.values()]"), *self._picks()]
        truth = self.truth[self.name]
        rows, columns = self.page.evaluate("vitripick.viewport.shape")
        inside = (np.minimum(truth.x, columns - truth.x) > 45) & (np.minimum(truth.y, rows - truth.y) > 45)
        todo = truth.select(inside)
        if shown:
            there = np.array(shown)
            far = [np.hypot(*(there - centre).T).min() > self.diameter / 4 for centre in todo.centres]
            todo = todo.select(np.array(far, dtype=bool))
        for i in self.rng.permutation(len(todo))[:at_most]:
            self.click(todo.x[i], todo.y[i])
            self.n_clicks += 1

    def reject_false(self) -> None:
        """Reject up to ten picks that are none with a right click."""
        picks = np.array(self._picks()).reshape(-1, 2)
        if not len(picks):
            return
        found = match(
            Boxes.at(picks[:, 0], picks[:, 1], confidence=1.0),
            self.truth[self.name],
            criterion="distance",
            distance_px=self.diameter / 4,
        )
        for x, y in picks[found < 0][:CORRECTIONS]:
            self.click(x, y, button="right")
            self.n_corrections += 1

    def press(self, selector: str, name: str) -> None:
        """Press a button that starts the machine, and wait for it."""
        started = time.monotonic()
        self.page.click("#tab-train")
        self.page.click(selector)
        self.until("vitripick.store.status.job?.running")
        self.until("vitripick.store.status.job && !vitripick.store.status.job.running")
        waited = time.monotonic() - started
        self.waited += waited
        cpu_seconds = self.page.evaluate("vitripick.store.status.job.cpu_seconds")
        self.cpu_seconds += cpu_seconds
        stage = self.page.evaluate("vitripick.store.status.job.stage")
        print(
            f"{name}: {waited:.0f} s, {cpu_seconds:.0f} s of CPU ({stage})",
            flush=True,
        )
        self.page.wait_for_timeout(500)

    def _picks(self) -> list[list[float]]:
        return list(self.page.evaluate("vitripick.shownPicks().map((p) => [p.x, p.y])"))


def main() -> None:
    """Work through the page, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real sets")
    parser.add_argument("--set", default="apoferritin_empiar10146")
    parser.add_argument("--diameter-px", type=float, default=80.0)
    parser.add_argument("--first", type=int, default=0, help="which micrograph, by name, to begin with")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--clicks", type=int, default=CLICKS, help="in the first round, on as many micrographs as needed"
    )
    parser.add_argument("--start", default="scratch", help="of the first round, as the page names it")
    arguments = parser.parse_args()
    folder = arguments.data / arguments.set
    files = find_micrographs([folder / "micrographs"])
    truth = pair_labels([file.name for file in files], read_all_picks(folder / "coordinates")).pairs
    command = [sys.executable, "-m", "vitripick.cli.app", "label", str(folder / "micrographs")]
    command += ["--out", str(arguments.out), "--port", "0", "--box-size-px", f"{arguments.diameter_px:g}"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    file = next(m.group(1) for line in server.stderr if (m := re.search(r"the link is in (.*), which only you", line)))
    link = Path(file).read_text(encoding="utf-8").strip()
    labelled: list[str] = []
    run = ""
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=arguments.chromium, args=_ARGUMENTS.split())
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(link)
            user = User(page, truth, arguments.diameter_px, arguments.seed)
            user.until("window.vitripick?.currentPicture()")
            user.until("vitripick.store.status.machine")
            first_id = page.evaluate(f"vitripick.store.rows[{arguments.first}].id")
            page.evaluate(f"vitripick.open('{first_id}')")
            user.until(f"vitripick.currentPicture()?.id === '{first_id}'")
            page.click("#tab-train")
            page.select_option("#train-start", arguments.start)
            for number in range(1, arguments.rounds + 1):
                if number == 3:
                    # The micrograph that the model is least sure of.
                    user.press("#pick-all", "picking all")
                    page.select_option("#list-sort", "doubt")
                    page.wait_for_timeout(500)
                    page.locator(".list-row:not([hidden]) >> nth=0").click()
                    user.until("vitripick.currentPicture()?.id === vitripick.sheet()?.id")
                    page.wait_for_timeout(700)
                if number > 1:
                    user.reject_false()
                    user.add_missing()
                    page.click("#tab-picks")
                    page.click("#accept")
                    page.keyboard.press("f")  # as complete as an eye makes it
                else:
                    user.add_missing(arguments.clicks)
                    while user.n_clicks < arguments.clicks:
                        labelled.append(user.name)
                        page.click("#next")
                        user.until("vitripick.currentPicture()?.id === vitripick.sheet()?.id")
                        user.until(f"vitripick.sheet().name !== '{labelled[-1]}'")
                        user.add_missing(arguments.clicks - user.n_clicks)
                page.evaluate("vitripick.flush()")
                page.wait_for_timeout(300)
                labelled.append(user.name)
                n = page.evaluate("vitripick.sheet().labels.size")
                print(f"round {number}: {user.name}, {n} labels after {user.n_clicks} clicks", flush=True)
                if number > 1:
                    page.click("#tab-train")
                    page.select_option("#train-start", f"run:{run}")
                user.press("#train", f"training {number}")
                run = page.evaluate("vitripick.store.status.pick_set")
            page.select_option("#pick-model", f"run:{run}")
            user.press("#pick-all", "picking all")
            threshold = page.evaluate("vitripick.store.settings.threshold")
            browser.close()
    finally:
        server.terminate()
        server.wait()

    judged = [file for file in files if file.name not in labelled]
    picks, labels = {}, {}
    for file in judged:
        stem = file.name.removesuffix(".mrc")
        shape = read_header(file.path).shape
        picks[file.name] = read_picks(arguments.out / "runs" / run / "picks" / "cbox" / f"{stem}.cbox").of(shape=shape)
        labels[file.name] = truth[file.name].of(shape=shape)
    result = evaluate(picks, labels, diameter_px=arguments.diameter_px, threshold=threshold)
    distance = result.criteria["distance"]
    print(
        f"{len(judged)} other micrographs: F1 (d/4) {distance.default.f1:.3f} at the model's threshold {threshold:g} "
        f"(precision {distance.default.precision:.3f}, recall {distance.default.recall:.3f}), {distance.best.f1:.3f} "
        f"at the best one, AUC {distance.auc:.3f}; {user.n_clicks} clicks and {user.n_corrections} corrections on "
        f"{len(set(labelled))} micrographs; {user.waited / 60:.1f} minutes of waiting, {user.cpu_seconds:.0f} s of CPU"
    )


if __name__ == "__main__":
    main()
