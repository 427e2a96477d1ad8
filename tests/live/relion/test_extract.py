"""What `pick` writes is what RELION extracts, particle for particle."""

from live.relion.project import EMPTY, NAMES, counts, extract, picks_of, rows


def coordinate_files(project):
    """Return the coordinate file of each micrograph, from the table that `pick` wrote."""
    table = rows(project / "picks/autopick.star")
    return dict(zip(table["rlnMicrographName"], table["rlnMicrographCoordinates"], strict=True))


def test_the_table_names_every_micrograph_letter_for_letter(project):
    assert list(coordinate_files(project)) == list(NAMES)


def test_extract_takes_every_pick_of_a_run_folder(project):
    picks = picks_of(project, coordinate_files(project))
    assert set(picks) == set(NAMES) - {EMPTY}
    assert sum(picks.values()) > 150
    # RELION looks for a micrograph's path after its JobType/jobNNN/.
    folder = "picks/star/MotionCorr/job002/"
    particles = extract(project, "Extract/job005", "--coord_dir", folder, "--coord_suffix", "_autopick.star")
    assert counts(particles) == picks
