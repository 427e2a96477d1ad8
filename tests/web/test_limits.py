"""What the page shows is what the server counts and exports: both pass the same table of cases."""

import json
from pathlib import Path

import numpy as np
import pytest

from vitripick.geometry import Boxes
from vitripick.web.limits import REJECTED_BOXES, picks_json, ranked, within_limits
from vitripick.web.project_settings import ProjectSettings

TABLE = json.loads((Path(__file__).parent / "limits.json").read_text(encoding="utf-8"))
BOX_SIZE_PX = TABLE["box_size_px"]
NO_LIMITS = {"threshold": 0, "smallest_px": 0, "largest_px": 0, "minimum_distance_px": 0}
in_the_table = pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"].replace(" ", "_"))


def picks_of(case):
    x, y, size, confidence = np.array(case["picks"], dtype=float).reshape(-1, 4).T
    return Boxes.at(x, y, size_px=BOX_SIZE_PX, confidence=confidence, estimated_width=size, estimated_height=size)


@in_the_table
def test_the_server_keeps_the_picks_of_the_table(case):
    kept = within_limits(
        picks_of(case),
        ProjectSettings(**{**NO_LIMITS, **case.get("limits", {})}),
        rejected=np.array(case.get("rejected", []), dtype=float).reshape(-1, 2),
        box_size_px=BOX_SIZE_PX,
    )
    assert kept.centres.tolist() == case["kept"]


@pytest.fixture(scope="module")
def module_in_a_page(chromium, tmp_path_factory, new_micrographs, running_server):
    """A page of the server, for a call of `withinLimits` with JSON."""
    folder = tmp_path_factory.mktemp("limits")
    with running_server(new_micrographs(folder / "mics", n=1), "--out", folder / "out") as server:
        page = chromium.new_page()
        page.goto(server.next_link())
        yield page
        page.close()


@in_the_table
def test_the_page_keeps_the_same_ones(module_in_a_page, case):
    kept = module_in_a_page.evaluate(
        """async ({ rows, limits, rejected, reach }) => {
          const { asPick, withinLimits } = await import("/static/limits.js");
          return withinLimits(rows.map(asPick), limits, rejected, reach).map(({ x, y }) => [x, y]);
        }""",
        {
            "rows": picks_json(ranked(picks_of(case))),
            "limits": {**NO_LIMITS, **case.get("limits", {})},
            "rejected": case.get("rejected", []),
            "reach": REJECTED_BOXES * BOX_SIZE_PX,
        },
    )
    assert kept == case["kept"]
