"""How long the page takes to start on many micrographs, and whether another box size keeps edits waiting."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.formats import write_mrc

_LINK_FILE = re.compile(r"the link is in (.*?), which")


class Page:
    """Runs a server of the page, with an open session."""

    def __init__(self, micrographs: Path, out: Path) -> None:
        command = [sys.executable, "-m", "vitripick.cli.app", "label", str(micrographs), "--out", str(out)]
        began = time.perf_counter()
        self.process = subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True)
        self.said: list[tuple[float, str]] = []
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append((time.perf_counter() - began, line.strip()))
            if found := _LINK_FILE.search(line):
                break
        else:
            raise SystemExit("the server did not start: " + " ".join(text for _, text in self.said))
        address, _, token = Path(found[1]).read_text(encoding="utf-8").strip().partition("/?token=")
        self.connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=600)
        self.connection.request("GET", f"/?token={token}")
        answer = self.connection.getresponse()
        answer.read()
        self.headers = {
            "Cookie": str(answer.getheader("set-cookie")).partition(";")[0],
            "X-Vitripick-Key": str(answer.getheader("location")).partition("#key=")[2],
            "Origin": address,
            "Content-Type": "application/json",
        }

    def ask(self, method: str, path: str, body: object = None) -> tuple[float, Any]:
        """Return the seconds that an answer took, and the answer."""
        began = time.perf_counter()
        self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        data = json.loads(answer.read())
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {data}")
        return time.perf_counter() - began, data

    def close(self) -> None:
        """End the server."""
        self.process.terminate()
        self.process.wait()


def edits(page: Page, name: str, revision: int, n: int) -> tuple[list[float], int]:
    """Click n labels on one micrograph; return the seconds that each took, and the revision."""
    seconds = []
    for i in range(n):
        body = {"revision": revision, "add": [[revision * 1000 + i + 1, 5 + i % 50, 9]]}
        took, answer = page.ask("POST", f"/api/micrographs/{name}/edit", body)
        revision = answer["revision"]
        seconds.append(took)
    return seconds, revision


def in_words(seconds: list[float]) -> str:
    """Return median and most, in milliseconds."""
    return f"{np.median(seconds) * 1000:.1f} ms, {max(seconds) * 1000:.0f} ms at most"


def main() -> None:
    """Print what was measured, line by line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--micrographs", type=int, default=20_000)
    parser.add_argument("--labelled", type=int, default=5_000, help="how many of them have labels")
    parser.add_argument("--labels", type=int, default=100, help="on each of these")
    parser.add_argument("--folder", type=Path, help="where the files are made; a temporary folder by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        mics, out = Path(name, "mics"), Path(name, "project")
        rng = np.random.default_rng(0)
        write_mrc(mics / "m00000.mrc", rng.standard_normal((64, 64)).astype(np.float32), pixel_size=1.5)
        (out / "labels").mkdir(parents=True)
        for i in range(1, given.micrographs):
            os.link(mics / "m00000.mrc", mics / f"m{i:05d}.mrc")
        text = "x,y,width,height\n" + "".join(
            f"{x:.2f},{y:.2f},20,20\n" for x, y in rng.uniform(0, 60, (given.labels, 2))
        )
        for i in range(given.labelled):
            (out / "labels" / f"m{i:05d}.csv").write_text(text, encoding="utf-8")
        page = Page(mics, out)
        try:
            print("| what | measured |\n|---|---|")
            for seconds, line in page.said[:3]:
                print(f"| said: {line[:40]} | {seconds:.2f} s |")
            print(f"| the link is there | {page.said[-1][0]:.2f} s |")
            took, project = page.ask("GET", "/api/project")
            print(f"| list of {len(project['micrographs']):,} micrographs | {took:.2f} s |")
            entry = project["micrographs"][-1][0]
            page.ask("GET", f"/api/micrographs/{entry}")
            quiet, revision = edits(page, entry, 0, 30)
            print(f"| an edit | {in_words(quiet)} |")
            began = time.perf_counter()
            took, _ = page.ask("POST", "/api/settings", {"box_size_px": 33})
            print(f"| another box size, answered | {took * 1000:.0f} ms |")
            busy: list[float] = []
            path = out / "project.json"
            while "sizes_pending" in json.loads(path.read_text(encoding="utf-8")):
                some, revision = edits(page, entry, revision, 5)
                busy += some
            took = time.perf_counter() - began
            print(f"| in all {given.labelled:,} label files | {took:.1f} s |")
            if busy:
                print(f"| an edit meanwhile | {in_words(busy)} ({len(busy)} edits) |")
        finally:
            page.close()


if __name__ == "__main__":
    main()
