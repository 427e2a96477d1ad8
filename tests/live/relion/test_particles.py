"""Stacks of `extract` and particles STARs, read by RELION's programs; `extract` cuts as RELION's Extract does."""

import numpy as np
import pandas as pd
import pytest
import tifffile

from live.relion.project import EMPTY, NAMES, call, counts, extract, images, rows, write_micrographs_star
from vitripick.formats import read_micrograph

BOX = 100
BY_SUFFIX = ("--coord_dir", "picks/star/MotionCorr/job002/", "--coord_suffix", "_autopick.star")
# The background of RELION's particles lies outside of this radius, three quarters of half a box, rounded down.
BACKGROUND_PX = 37
PARTICLES = "picks/particles.star"


def both(project, ours, theirs, *, names=frozenset(NAMES) - {EMPTY}):
    """Return the images of vitripick and of RELION, in the same order, of all particles that vitripick cut.

    They are of the micrographs `names`.
    """
    # RELION writes fewer digits, so tenths of a pixel say which particle is which.
    ours, theirs = (
        table.assign(x=(table["rlnCoordinateX"] * 10).round(), y=(table["rlnCoordinateY"] * 10).round())
        for table in (ours, theirs)
    )
    pairs = pd.merge(ours, theirs, on=["rlnMicrographName", "x", "y"], suffixes=("", "_theirs"))
    assert len(pairs) == len(ours) > 50
    assert set(pairs["rlnMicrographName"]) == names
    return images(pairs, project), images(pairs.assign(rlnImageName=pairs["rlnImageName_theirs"]), project)


def test_extract_cuts_as_relion_does_to_the_last_bit(project):
    call(project, "vitripick", "extract", "picks", "--box-size-px", BOX, "--out", "raw/particles.mrcs",
         "--no-normalise", "--no-invert")  # fmt: skip
    theirs = extract(project, "Extract/raw", *BY_SUFFIX, box=BOX)
    ours, theirs = both(project, rows(project / "raw/particles.star"), theirs)
    assert (ours == theirs).all()


def test_a_tiff_is_turned_over_as_relion_turns_it(project, tmp_path):
    """TIFF stores the top row first, so an error here would put all picks upside down."""
    image = read_micrograph(project / NAMES[0]).image
    tifffile.imwrite(tmp_path / "a.tif", image[::-1].astype(np.float32))
    write_micrographs_star(tmp_path / "m.star", ["a.tif"])
    call(tmp_path, "vitripick", "pick", "m.star", "--diameter-px", 80, "--out", "picks", "--device", "cpu")
    call(tmp_path, "vitripick", "extract", "picks", "--box-size-px", BOX, "--out", "raw/particles.mrcs",
         "--no-normalise", "--no-invert")  # fmt: skip
    call(tmp_path, "relion_preprocess", "--i", "m.star", "--part_star", "E/p.star", "--part_dir", "E/", "--extract",
         "--extract_size", BOX, "--coord_dir", "picks/star/", "--coord_suffix", "_autopick.star")  # fmt: skip
    ours, theirs = both(tmp_path, rows(tmp_path / "raw/particles.star"), rows(tmp_path / "E/p.star"), names={"a.tif"})
    assert (ours == theirs).all()


def test_normalised_particles_are_relions_but_for_the_radius_of_the_background(project, stack):
    words = ("--norm", "--no_ramp", "--bg_radius", BACKGROUND_PX, "--invert_contrast")
    ours, theirs = both(project, rows(project / stack), extract(project, "Extract/normalised", *BY_SUFFIX, *words))
    for one, other in zip(ours, theirs, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99999
        assert one.std() == pytest.approx(other.std(), rel=0.05)


@pytest.fixture(scope="module")
def stack(project):
    """Return the STAR of a stack that `extract` cut with its defaults."""
    call(project, "vitripick", "extract", "picks", "--box-size-px", BOX, "--out", "cut/particles.mrcs")
    return "cut/particles.star"


def test_relion_classifies_the_stack_of_extract_as_it_is(project, stack):
    (project / "Class2D").mkdir()
    call(project, "relion_refine", "--i", stack, "--o", "Class2D/run", "--iter", 1, "--K", 2, "--oversampling", 0,
         "--psi_step", 45, "--offset_range", 2, "--offset_step", 2, "--particle_diameter", 120, "--pad", 1,
         "--random_seed", 1)  # fmt: skip
    classified = rows(project / "Class2D/run_it001_data.star")
    assert counts(classified) == counts(rows(project / stack))
    assert set(classified["rlnClassNumber"]) == {1, 2}


def test_star_handler_reads_the_stack_of_extract(project, stack):
    call(project, "relion_star_handler", "--i", stack, "--o", "handled.star", "--select", "rlnAutopickFigureOfMerit",
         "--minval", 0.9)  # fmt: skip
    whole = rows(project / stack)
    sure = whole[whole["rlnAutopickFigureOfMerit"] >= 0.9]
    assert 0 < len(sure) < len(whole)
    assert counts(rows(project / "handled.star")) == counts(sure)


@pytest.mark.parametrize(("options", "is_taken"), [((), False), (("--voltage", 300, "--spherical-aberration", 2.7,
    "--amplitude-contrast", 0.1), True)])  # fmt: skip
def test_relion_takes_a_stack_from_mrc_files_if_the_options_say_the_optics(project, tmp_path, options, is_taken):
    name = NAMES[0]
    call(project, "vitripick", "pick", name, "--diameter-px", 80, "--out", tmp_path / "picks", "--device", "cpu")
    words = ("--box-size-px", BOX, "--out", tmp_path / "cut.mrcs", *options)
    printed = call(project, "vitripick", "extract", tmp_path / "picks", *words)
    assert ("--spherical-aberration" in printed) is not is_taken, "what is missing is said"
    refine = ("--iter", 1, "--K", 1, "--oversampling", 0, "--psi_step", 90, "--offset_range", 1, "--offset_step", 2)
    call(project, "relion_refine", "--i", tmp_path / "cut.star", "--o", tmp_path / "run", *refine,
         "--particle_diameter", 120, "--pad", 1, code=0 if is_taken else 1)  # fmt: skip
    classified = rows(tmp_path / "run_it001_data.star")
    assert counts(classified) == (counts(rows(tmp_path / "cut.star")) if is_taken else {})


@pytest.fixture(scope="module")
def particles(project):
    """Return the rows of the particles STAR that `pick` wrote."""
    call(project, "vitripick", "pick", "CtfFind/job003/micrographs_ctf.star", "--diameter-px", 80, "--out", "picks",
         "--format", "star", "--format", "particles-star", "--device", "cpu")  # fmt: skip
    found = rows(project / PARTICLES)
    assert set(found["rlnMicrographName"]) == set(NAMES) - {EMPTY}
    return found


def test_relion_imports_a_particles_star(project, particles):
    (project / "Import/job009").mkdir(parents=True)
    call(project, "relion_import", "--do_particles", "--i", PARTICLES, "--odir", "Import/job009/", "--ofile",
         "particles.star")  # fmt: skip
    assert counts(rows(project / "Import/job009/particles.star")) == counts(particles)


def test_re_extraction_of_a_particles_star_gives_the_particles_of_the_coordinate_files(project, particles):
    again = extract(project, "Extract/again", "--reextract_data_star", PARTICLES, box=BOX)
    assert counts(again) == counts(particles)
    direct = extract(project, "Extract/direct", *BY_SUFFIX, box=BOX)
    one, other = both(project, again, direct)
    assert (one == other).all()


def test_star_handler_splits_a_particles_star(project, particles):
    folder = project / "Select/job010"
    folder.mkdir(parents=True)
    words = ("--i", PARTICLES, "--o", "Select/job010/part.star", "--split", "--nr_split", 2)
    call(project, "relion_star_handler", *words)
    parts = [rows(folder / f"part_split{number}.star") for number in (1, 2)]
    assert sum(map(len, parts)) == len(particles)
