"""Training learns from RELION's own 2-D classification: the particles of some classes, and those that were rejected."""

import json
from collections import Counter

from live.relion.project import DIAMETER_PX, NAMES, PIXEL_SIZE, STAR, call, extract, rows

SCALED_PX, ITERATIONS = 40, 2


def test_a_classification_gives_labels_and_rejected_particles(project):
    coordinates = ("--coord_dir", "picks/star/MotionCorr/job002/", "--coord_suffix", "_autopick.star")
    extract(project, "Extract/job008", *coordinates, "--scale", SCALED_PX, "--norm", "--bg_radius", 15)
    (project / "Class2D/job009").mkdir(parents=True)
    call(
        project,
        *("relion_refine", "--i", "Extract/job008/particles.star", "--o", "Class2D/job009/run", "--K", 3),
        *("--iter", ITERATIONS, "--particle_diameter", DIAMETER_PX * PIXEL_SIZE, "--flatten_solvent", "--zero_mask"),
        *("--oversampling", 0, "--psi_step", 30, "--offset_range", 3, "--offset_step", 1, "--norm", "--scale"),
        *("--dont_combine_weights_via_disc", "--random_seed", 1),
    )
    data = f"Class2D/job009/run_it{ITERATIONS:03d}_data.star"
    members = Counter(map(int, rows(project / data)["rlnClassNumber"]))
    (kept, n_kept), *_ = members.most_common()
    told = call(
        project,
        *("vitripick", "train", "--micrographs", STAR, "--labels", data, "--classes", kept, "--rejected", data),
        *("--box-size-px", DIAMETER_PX, "--from", "general", "--steps", 1, "--batch-size", 1, "--out", "trained"),
        *("--device", "cpu", "--keep-labels"),
    )
    assert f"{n_kept} of {n_kept} coordinates are moved by their refined shifts" in told
    assert "rejected particles on" in told
    (split,) = json.loads((project / "trained/split.json").read_text())
    assert {*split["train"], *split["validate"]} <= set(NAMES)
    assert (project / "trained/model.safetensors").is_file()
