"""Refined shifts move particles to where RELION's re-extraction with `--recenter` puts them."""

import numpy as np

from live.relion.project import NAMES, PIXEL_SIZE, STAR, call
from made import relion_particles
from vitripick.formats import read_all_picks

# Asymmetric in x and y, so that a wrong sign or a swap of the axes shows.
SHIFTS = {"rlnOriginXAngst": [30.0, -7.5, 0.0], "rlnOriginYAngst": [6.0, 13.0, -21.4]}
OPTICS = {
    "rlnOpticsGroup": 1,
    "rlnOpticsGroupName": "opticsGroup1",
    "rlnMicrographOriginalPixelSize": PIXEL_SIZE,
    "rlnVoltage": 300.0,
    "rlnSphericalAberration": 2.7,
    "rlnAmplitudeContrast": 0.1,
    # The images were scaled down by 3.
    "rlnImagePixelSize": 3 * PIXEL_SIZE,
    "rlnImageSize": 40,
    "rlnImageDimensionality": 2,
}


def test_shifts_are_applied_as_by_recenter(project):
    columns = {
        "rlnMicrographName": [NAMES[0], NAMES[0], NAMES[2]],
        "rlnCoordinateX": [300.0, 410.0, 350.0],
        "rlnCoordinateY": [500.0, 220.0, 420.0],
        "rlnImageName": [f"{k:06d}@Extract/job005/particles.mrcs" for k in (1, 2, 3)],
        "rlnOpticsGroup": [1, 1, 1],
        "rlnAngleRot": [0.0] * 3,
        "rlnAngleTilt": [0.0] * 3,
        "rlnAnglePsi": [10.0, 20.0, 30.0],
        "rlnClassNumber": [1, 1, 2],
        **SHIFTS,
    }
    source = relion_particles(project / "Class2D/job006/run_it025_data.star", columns, optics=OPTICS)
    words = ("--part_star", "Extract/job007/particles.star", "--part_dir", "Extract/job007/", "--extract")
    more = ("--extract_size", 120, "--scale", 40)
    call(
        project,
        *("relion_preprocess", "--i", STAR, "--reextract_data_star", source.relative_to(project), "--recenter"),
        *(*words, *more),
    )
    ours = {boxes.micrograph: boxes for boxes in read_all_picks(source, pixel_size=PIXEL_SIZE)}
    # RELION leaves what is less than a pixel in the shift, so it is applied here.
    path = project / "Extract/job007/particles.star"
    theirs = {boxes.micrograph: boxes for boxes in read_all_picks(path, pixel_size=PIXEL_SIZE)}
    assert set(theirs) == {NAMES[0], NAMES[2]}
    for name, boxes in theirs.items():
        np.testing.assert_allclose(ours[name].centres, boxes.centres, atol=1e-4)
    written = read_all_picks(path, keep_coordinates=True)[0].centres
    assert np.abs(written - [[300 - 20, 500 - 4], [410 + 5, 220 - 26 / 3]]).max() < 1
