"""A look at a run before it starts: with the bundled model, on pieces of real micrographs."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vitripick.errors import InputError, UsageError
from vitripick.formats import find_micrographs, read_micrograph, read_picks, write_mrc
from vitripick.models import open_model
from vitripick.models.engines import load_on_engine
from vitripick.picking import diameter
from vitripick.picking.diameter import diameters_around, sweep
from vitripick.run_layout import SURVEY
from vitripick.runs import FolderPicker, PickSettings, Shard, pick_many, step, survey, survey_micrographs
from vitripick.runs.sample import spread_over
from vitripick.runs.survey import read_survey

APOFERRITIN = Path("examples/apoferritin/micrographs")  # 80 px
BETA_GALACTOSIDASE = Path("examples/betagal/micrographs")  # 27 px


@pytest.fixture(scope="session")
def general():
    """Made ready once for all tests here."""
    return open_model("general")


@pytest.fixture(scope="session")
def pieces(tmp_path_factory):
    """Three pieces of 560 x 600 px of real micrographs of apoferritin, 80 px; no pixel size."""
    folder = tmp_path_factory.mktemp("pieces")
    for name, path in zip("ab", sorted(APOFERRITIN.glob("*.mrc")), strict=True):
        write_mrc(folder / f"{name}.mrc", read_micrograph(path).image[:560, :600])
    write_mrc(folder / "c.mrc", read_micrograph(path).image[500:1060, 500:1100])
    return folder


@pytest.fixture(autouse=True)
def _small_crops(monkeypatch):
    monkeypatch.setattr(diameter, "CROP_PX", 400)


@pytest.fixture
def noise(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(3):
        write_mrc(tmp_path / "noise" / f"{i}.mrc", rng.standard_normal((400, 400)).astype(np.float32))
    return tmp_path / "noise"


@pytest.fixture
def no_looking(monkeypatch):
    """Make any look at a micrograph for a survey fail from here on."""

    def forbid():
        for name in ("diameter", "threshold"):
            monkeypatch.setattr(survey.Sample, name, lambda *a: pytest.fail("looked again"))

    return forbid


@pytest.mark.parametrize(("folder", "true_px", "pixel_size"), [(APOFERRITIN, 80, 1.5), (BETA_GALACTOSIDASE, 27, 7.08)])
def test_the_diameter_of_real_particles_is_found(general, folder, true_px, pixel_size):
    found = survey_micrographs([folder], general, PickSettings(pixel_size=pixel_size, threshold=0.3))
    assert found.diameter.unit == "angstrom"
    assert found.diameter.diameter == pytest.approx(pixel_size * true_px, rel=0.1)
    assert found.threshold is None


def test_a_run_without_a_diameter_is_that_with_what_the_survey_found(general, pieces, tmp_path):
    told = []
    summary = pick_many([pieces], tmp_path / "out", general, on_survey=told.append)
    found = summary.survey
    assert told == [found]
    assert found.diameter.unit == "px"
    assert found.diameter.diameter == pytest.approx(80, rel=0.12)
    given = PickSettings(diameter_px=found.diameter.diameter, keep_diameter=True, threshold=found.threshold.threshold)
    pick_many([pieces], tmp_path / "given", general, given)
    assert not (tmp_path / "given" / SURVEY).exists()
    for path in (tmp_path / "given" / "star").glob("*.star"):
        assert path.read_bytes() == (tmp_path / "out" / "star" / path.name).read_bytes()
        assert len(read_picks(path)) > 10
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["settings"]["diameter_px"] == found.diameter.diameter
    assert run["survey"]["diameter"]["diameter"] == found.diameter.diameter
    assert run["threshold"] == found.threshold.threshold


def test_later_runs_keep_the_survey_that_is_there(general, pieces, tmp_path, no_looking):
    first = pick_many([pieces / "a.mrc"], tmp_path / "out", general)
    text = (tmp_path / "out" / SURVEY).read_text()
    no_looking()
    second = pick_many([pieces], tmp_path / "out", general)
    assert second.survey == first.survey
    assert second.n_skipped == 1
    assert (tmp_path / "out" / SURVEY).read_text() == text


def test_what_the_user_gives_is_not_looked_for_and_what_was_found_stays(general, pieces, tmp_path, no_looking):
    first = pick_many([pieces], tmp_path / "out", general)
    no_looking()
    second = pick_many([pieces], tmp_path / "out", general, PickSettings(threshold=0.7))
    assert second.threshold == 0.7
    assert second.threshold_from == "given"
    assert second.survey.threshold is None
    assert second.n_skipped == 3
    third = pick_many([pieces], tmp_path / "out", general)
    assert third.survey == first.survey


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.5, 2.0, 10.0])  # a tenth and ten times: nm for Å, or the other way
def test_a_diameter_that_does_not_fit_what_is_seen_is_replaced_and_that_is_told(general, pieces, tmp_path, factor):
    summary = pick_many([pieces], tmp_path / "out", general, PickSettings(diameter_px=80 * factor))
    assert summary.survey.seen.given == 80 * factor
    assert summary.survey.seen.diameter == pytest.approx(80, rel=0.2)
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["settings"]["diameter_px"] == summary.survey.seen.diameter
    told = "\n".join(summary.survey.summary_lines())
    assert f"instead of the {80 * factor:.3g} px that were given" in told


def test_where_nothing_is_seen_at_any_diameter_the_given_one_is_used(general, tmp_path):
    noise = np.random.default_rng(0).standard_normal((400, 400)).astype(np.float32)
    write_mrc(tmp_path / "in" / "noise.mrc", noise)
    summary = pick_many([tmp_path / "in"], tmp_path / "out", general, PickSettings(diameter_px=30))
    assert (summary.survey.seen.diameter, summary.survey.seen.given) == (30, 30)
    assert not any("diameter" in line for line in summary.survey.summary_lines())


def test_a_diameter_that_fits_is_used_as_it_was_given(general, pieces, tmp_path):
    summary = pick_many([pieces], tmp_path / "out", general, PickSettings(diameter_px=85))
    assert json.loads((tmp_path / "out" / "run.json").read_text())["settings"]["diameter_px"] == 85
    assert not any("diameter" in line for line in summary.survey.summary_lines())


def test_who_says_so_gets_the_diameter_as_given(general, pieces, tmp_path, no_looking):
    no_looking()
    settings = PickSettings(diameter_px=160, keep_diameter=True, threshold=0.4)
    pick_many([pieces], tmp_path / "out", general, settings)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["settings"]["diameter_px"] == 160


def test_to_keep_the_diameter_that_was_used_anyway_picks_nothing_again(general, pieces, tmp_path):
    settings = PickSettings(diameter_px=85, threshold=0.4)
    pick_many([pieces], tmp_path / "out", general, settings)
    again = pick_many([pieces], tmp_path / "out", general, settings.model_copy(update={"keep_diameter": True}))
    assert again.n_skipped == 3


def test_where_nothing_stands_out_the_given_diameter_stays(general, noise):
    found = survey_micrographs([noise], general, PickSettings(diameter_px=50))
    assert found.seen.diameter == 50
    assert found.apply(PickSettings(diameter_px=50)).diameter_px == 50


def test_a_given_diameter_in_angstrom_is_compared_in_angstrom(general, pieces):
    settings = PickSettings(diameter_angstrom=240, pixel_size=1.5)
    found = survey_micrographs([pieces], general, settings)
    assert found.seen.unit == "angstrom"
    assert found.apply(settings).diameter_angstrom == pytest.approx(120, rel=0.2)


def test_the_network_sees_images_of_few_sizes_because_engines_compile_for_each(general, pieces):
    ready = load_on_engine(general)
    shapes = []
    network = SimpleNamespace(
        decoding=ready.network.decoding, run=lambda images: shapes.append(images.shape) or ready.network.run(images)
    )
    image = read_micrograph(pieces / "a.mrc").image
    found = sweep(image, replace(ready, network=network), diameters_around(80), crop_px=512)
    assert len(shapes) == 7
    assert len(set(shapes)) == 2
    assert found.sureness[3] > 0.9, "it looked at the right diameter, too"


def test_the_replaced_diameter_is_kept_for_the_next_run_of_the_same_settings(general, pieces, tmp_path, no_looking):
    settings = PickSettings(diameter_px=120)
    first = pick_many([pieces / "a.mrc"], tmp_path / "out", general, settings)
    no_looking()
    second = pick_many([pieces], tmp_path / "out", general, settings)
    assert second.survey == first.survey
    assert second.n_skipped == 1


def test_another_threshold_does_not_bring_back_a_diameter_that_was_replaced(general, pieces, tmp_path, no_looking):
    first = pick_many([pieces], tmp_path / "out", general, PickSettings(diameter_px=120))
    no_looking()
    second = pick_many([pieces], tmp_path / "out", general, PickSettings(diameter_px=120, threshold=0.7))
    assert second.survey.seen == first.survey.seen
    assert second.n_skipped == 3


def test_another_diameter_asks_for_another_threshold(general, pieces, tmp_path):
    pick_many([pieces], tmp_path / "out", general)
    summary = pick_many([pieces], tmp_path / "out", general, PickSettings(diameter_px=90))
    assert summary.survey.diameter is None
    assert summary.survey.threshold is not None
    kept = read_survey(tmp_path / "out" / SURVEY)
    assert kept.threshold == summary.survey.threshold
    assert kept.diameter is not None


def test_another_aim_chooses_another_threshold_and_picks_nothing_again(general, pieces, tmp_path):
    settings = PickSettings(diameter_px=80, keep_diameter=True)
    balanced = pick_many([pieces], tmp_path / "out", general, settings=settings)
    strict = pick_many([pieces], tmp_path / "out", general, settings=settings.model_copy(update={"aim": 0.97}))
    assert strict.n_skipped == 3
    assert strict.threshold > balanced.threshold
    assert strict.survey.threshold.aim == 0.97
    assert strict.n_picks < balanced.n_picks
    assert "without aim" in strict.lines()[-1]
    again = pick_many([pieces], tmp_path / "out", general, settings=settings)
    assert again.threshold == balanced.threshold


def test_a_threshold_and_an_aim_contradict_one_another(general, pieces, tmp_path):
    settings = PickSettings(diameter_px=80, threshold=0.3, aim="recall")
    with pytest.raises(UsageError, match="give one of them"):
        pick_many([pieces], tmp_path / "out", general, settings=settings)


def test_another_pixel_size_means_another_survey(general, pieces, tmp_path):
    pick_many([pieces], tmp_path / "out", general)
    summary = pick_many([pieces], tmp_path / "out", general, PickSettings(pixel_size=2.0))
    assert summary.survey.diameter.unit == "angstrom"


def test_every_share_of_a_run_uses_the_survey_of_the_first(general, pieces, tmp_path, no_looking):
    first = pick_many([pieces], tmp_path / "out", general, shard=Shard(1, 2))
    no_looking()
    second = pick_many([pieces], tmp_path / "out", general, shard=Shard(2, 2))
    whole = pick_many([pieces], tmp_path / "out", general)
    assert first.survey == second.survey == whole.survey
    assert whole.n_skipped == 3


def test_of_two_shares_that_survey_at_once_the_first_to_write_decides(general, pieces, tmp_path, monkeypatch):
    pick_many([pieces], tmp_path / "other", general, shard=Shard(1, 2))
    theirs = read_survey(tmp_path / "other" / SURVEY)
    theirs = theirs.model_copy(update={"diameter": theirs.diameter.model_copy(update={"low": 1.0})})
    real = survey.Sample.threshold

    def meanwhile(self, settings, card):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / SURVEY).write_text(theirs.to_text())
        return real(self, settings, card)

    monkeypatch.setattr(survey.Sample, "threshold", meanwhile)
    ours = pick_many([pieces], tmp_path / "out", general, shard=Shard(2, 2))
    assert ours.survey.diameter.low == 1.0
    assert read_survey(tmp_path / "out" / SURVEY) == theirs


def test_where_nothing_stands_out_nothing_is_picked_and_the_error_says_what_to_give(general, noise, tmp_path):
    with pytest.raises(UsageError, match="diameter_angstrom= or diameter_px="):
        pick_many([noise], tmp_path / "out", general)
    assert not (tmp_path / "out").exists()


def test_empty_micrographs_stay_empty_at_the_threshold_chosen_for_them(general, noise, tmp_path):
    summary = pick_many([noise], tmp_path / "out", general, PickSettings(diameter_px=40))
    assert summary.n_picks == 0
    assert summary.threshold == general.card.threshold
    assert summary.threshold_from == "model"
    assert "too few" in summary.survey.summary_lines()[0]


def test_a_damaged_micrograph_is_passed_over(general, pieces, tmp_path):
    folder = tmp_path / "mics"
    folder.mkdir()
    for path in pieces.glob("*.mrc"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "b.mrc").write_bytes(b"junk")
    found = survey_micrographs([folder], general, PickSettings(threshold=0.3))
    assert [one.micrograph for one in found.diameter.micrographs] == ["a.mrc", "c.mrc"]


def test_without_one_that_can_be_read_there_is_an_error_about_the_first(general, tmp_path):
    (tmp_path / "a.mrc").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"a\.mrc"):
        pick_many([tmp_path / "a.mrc"], tmp_path / "out", general)


def test_a_run_of_damaged_micrographs_still_lists_each_where_the_diameter_is_given(general, tmp_path):
    (tmp_path / "a.mrc").write_bytes(b"junk")
    summary = pick_many([tmp_path / "a.mrc"], tmp_path / "out", general, PickSettings(diameter_px=80))
    assert len(summary.failures) == 1
    assert not (tmp_path / "out" / SURVEY).exists()


def test_a_model_of_one_particle_brings_diameter_and_threshold(model, micrographs, tmp_path, no_looking):
    no_looking()
    summary = pick_many([micrographs], tmp_path / "out", model)
    assert summary.survey is None
    assert summary.threshold == model.card.threshold
    found = survey_micrographs([micrographs], model)
    assert (found.diameter, found.seen, found.threshold) == (None, None, None)
    assert found.apply(PickSettings()) == PickSettings()


def test_a_picker_that_was_told_no_diameter_asks_for_a_survey(general, pieces, tmp_path):
    picker = FolderPicker(tmp_path / "out", general)
    with pytest.raises(UsageError, match="survey"):
        picker.attempt_path(pieces / "a.mrc")
    picker.survey(find_micrographs([pieces]))
    assert picker.attempt_path(pieces / "a.mrc").record.n_picks > 10


@pytest.mark.parametrize("n", [1, 2, 4, 5, 6, 23, 1000])
def test_those_looked_at_are_spread_over_the_run_and_none_twice(n):
    files = list(range(n))
    parts = spread_over(files)
    assert len(parts) == min(5, n)
    tried = [file for part in parts for file in part]
    assert len(tried) == len(set(tried))
    firsts = [part[0] for part in parts]
    assert firsts == sorted(firsts)


def test_another_sample_in_the_same_folder_gets_a_survey_of_its_own(tmp_path):
    model = open_model("general")
    betagal = pick_many([Path("examples/betagal/micrographs")], tmp_path / "out", model)
    again = pick_many([APOFERRITIN], tmp_path / "out", model)
    alone = pick_many([APOFERRITIN], tmp_path / "alone", model)
    assert betagal.survey.diameter.unit == "angstrom"  # apoferritin's files give no pixel size
    assert again.survey.diameter == alone.survey.diameter
    assert again.n_picks == alone.n_picks


def test_a_micrograph_of_the_run_is_picked_again_with_the_survey_of_the_run(tmp_path, monkeypatch):
    model = open_model("general")
    whole = pick_many([APOFERRITIN], tmp_path / "out", model)
    # Not even one of those that were looked at, as in a long run.
    kept = read_survey(tmp_path / "out" / SURVEY)
    others = {"looked_at": property(lambda survey: {"another.mrc"})}
    monkeypatch.setattr(survey.Survey, "looked_at", others["looked_at"])
    one = next(APOFERRITIN.glob("*.mrc"))
    again = pick_many([one], tmp_path / "out", model)
    assert again.survey.diameter == kept.diameter == whole.survey.diameter
    assert again.n_skipped == 1


@pytest.fixture(scope="session")
def beta_piece(tmp_path_factory):
    """A piece of 520 x 640 px of a real micrograph of beta-galactosidase, 26 px: (rows, columns), float32."""
    return read_micrograph(sorted(BETA_GALACTOSIDASE.glob("*.mrc"))[0]).image[100:620, 50:690]


@pytest.mark.parametrize("given", [{}, {"diameter_px": 26}, {"diameter_angstrom": 180}])
def test_white_particles_are_noticed_said_and_picked(general, beta_piece, tmp_path, given):
    write_mrc(tmp_path / "mics" / "a.mrc", -beta_piece, pixel_size=7.08)
    summary = pick_many([tmp_path / "mics"], tmp_path / "out", general, PickSettings(**given))
    assert any("white" in line and "invert" in line for line in summary.survey.summary_lines())
    assert summary.n_picks > 150
    write_mrc(tmp_path / "dark" / "a.mrc", beta_piece, pixel_size=7.08)
    dark = pick_many([tmp_path / "dark"], tmp_path / "out2", general, PickSettings(**given))
    assert not any("white" in line for line in dark.survey.summary_lines())
    assert dark.n_picks == pytest.approx(summary.n_picks, rel=0.02)


def test_an_inverted_look_is_for_poor_micrographs_only_and_not_where_the_user_chose(general, beta_piece, tmp_path):
    write_mrc(tmp_path / "mics" / "a.mrc", -beta_piece, pixel_size=7.08)
    settings = PickSettings(diameter_px=26, invert=False)
    found = survey_micrographs([tmp_path / "mics"], general, settings)
    assert found.seen.contrast == "dark"
    assert found.apply(settings).invert is False


@pytest.mark.parametrize("given", [{}, {"diameter_angstrom": 180}])
def test_where_no_diameter_in_angstrom_stands_out_one_in_pixels_is_searched(general, beta_piece, tmp_path, given):
    write_mrc(tmp_path / "a.mrc", beta_piece, pixel_size=1.0)  # it is 7.08, so the particle seems to have 26 Å
    settings = PickSettings(**given)
    found = survey_micrographs([tmp_path / "a.mrc"], general, settings)
    estimate = found.seen if given else found.diameter
    assert (estimate.unit, estimate.doubted_pixel_size) == ("px", 1.0)
    assert estimate.diameter == pytest.approx(26, rel=0.1)
    assert found.apply(settings).diameter_px == estimate.diameter
    assert found.apply(settings).diameter_angstrom is None
    assert any("pixel size" in line for line in found.summary_lines())


@pytest.fixture
def looks(monkeypatch):
    """Names of the micrographs that a whole look was taken at, in order."""
    names, look = [], step.look_at_all

    def counted(micrograph, *arguments):
        names.append(micrograph.name)
        return look(micrograph, *arguments)

    monkeypatch.setattr(step, "look_at_all", counted)
    return names


def test_what_the_survey_looked_at_is_not_looked_at_again_to_pick_it(general, pieces, tmp_path, looks):
    summary = pick_many([pieces], tmp_path / "out", general)
    assert sorted(looks) == ["a.mrc", "b.mrc", "c.mrc"]
    again = pick_many([pieces], tmp_path / "again", general, summary.survey.apply(PickSettings()))
    assert len(looks) == 6
    for one, other in zip(summary.records, again.records, strict=True):
        assert one.n_stored == other.n_stored
        assert set(one.timings) == set(other.timings)
        assert sum(one.timings.values()) <= one.seconds + 1e-3
        stores = [read_picks(tmp_path / out / "cbox" / f"{one.stem}.cbox") for out in ("out", "again")]
        assert np.array_equal(stores[0].x, stores[1].x)


def test_a_micrograph_that_changed_since_the_survey_is_looked_at_again(general, pieces, tmp_path, looks):
    mics = tmp_path / "mics"
    mics.mkdir()
    for name in ("a.mrc", "b.mrc"):
        (mics / name).write_bytes((pieces / name).read_bytes())
    pick_many(
        [mics],
        tmp_path / "out",
        general,
        on_survey=lambda found: (mics / "b.mrc").write_bytes((pieces / "c.mrc").read_bytes()),
    )
    assert sorted(looks) == ["a.mrc", "b.mrc", "b.mrc"]
    pick_many([pieces / "c.mrc"], tmp_path / "c", general, read_survey(tmp_path / "out" / SURVEY).apply(PickSettings()))
    stores = [read_picks(tmp_path / name) for name in ("out/cbox/b.cbox", "c/cbox/c.cbox")]
    assert np.array_equal(stores[0].x, stores[1].x)
