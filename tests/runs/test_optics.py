"""What RELION has to know about the microscope, from a micrographs star or from options to the files of particles."""

import json
import logging

import pytest
import starfile

from made import snapshot
from vitripick.formats.star.defocus import Defocus
from vitripick.runs import PickSettings, pick_many, read_record
from vitripick.runs.extract import extract_particles
from vitripick.settings.optics import OpticsSettings

MICROSCOPE = {"voltage_kv": 300, "spherical_aberration_mm": 2.7, "amplitude_contrast": 0.1}
# In the order of RELION's own Extract; 4 Å of the micrographs.
KNOWN = {"rlnVoltage": 200, "rlnSphericalAberration": 1.4, "rlnAmplitudeContrast": 0.07}


@pytest.fixture
def star(micrographs, monkeypatch):
    """Return a STAR of three micrographs in two optics groups, as RELION 3.1 and later write it."""
    monkeypatch.chdir(micrographs.parent)
    path = micrographs.parent / "micrographs.star"
    path.write_text(
        "data_optics\n\nloop_\n_rlnOpticsGroupName\n_rlnOpticsGroup\n_rlnMicrographOriginalPixelSize\n_rlnVoltage\n"
        "_rlnSphericalAberration\n_rlnAmplitudeContrast\n_rlnMicrographPixelSize\n"
        "early 1 1.0 200 1.4 0.07 4.0\nlate 2 2.0 200 1.4 0.07 4.0\n\n\n"
        "data_micrographs\n\nloop_\n_rlnMicrographName\n_rlnOpticsGroup\n"
        "mics/a/one.mrc 1\nmics/a/two.mrc 2\nmics/b/one.mrc 2\n"
    )
    return path


def optics_of(path):
    return starfile.read(path, always_dict=True)["optics"]


def test_the_optics_groups_of_a_star_reach_records_particles_and_extracted_images(model, star, tmp_path):
    pick_many([star], tmp_path / "run", model, PickSettings(formats=("particles-star",)))
    record = read_record(tmp_path / "run" / "micrographs" / "mics" / "a" / "two.json")
    assert (record.optics.group, record.optics.name, record.optics.original_pixel_size) == (2, "late", 2.0)
    done = extract_particles(tmp_path / "run", tmp_path / "p.mrcs", box_size_px=32, scaled_size_px=16)
    for path in (tmp_path / "run" / "particles.star", done.star):
        optics = optics_of(path)
        assert optics["rlnOpticsGroupName"].tolist() == ["early", "late"]
        assert optics["rlnMicrographOriginalPixelSize"].tolist() == [1.0, 2.0]
        assert optics["rlnMicrographPixelSize"].tolist() == [4.0, 4.0]
        assert {name: optics[name].tolist() for name in KNOWN} == {name: [value] * 2 for name, value in KNOWN.items()}
        particles = starfile.read(path)["particles"]
        groups = particles.groupby("rlnMicrographName")["rlnOpticsGroup"].unique().map(list).to_dict()
        assert groups == {"mics/a/one.mrc": [1], "mics/a/two.mrc": [2], "mics/b/one.mrc": [2]}
    assert optics_of(done.star)["rlnImagePixelSize"].tolist() == [8.0, 8.0]


def test_options_say_what_nobody_knows_and_pick_nothing_again(model, micrographs, tmp_path):
    formats = ("star", "particles-star")
    pick_many([micrographs], tmp_path / "run", model, PickSettings(formats=formats))
    assert "rlnVoltage" not in optics_of(tmp_path / "run" / "particles.star")
    given = PickSettings(formats=formats, **MICROSCOPE)
    again = pick_many([micrographs], tmp_path / "run", model, given)
    assert again.n_skipped == 3
    assert optics_of(tmp_path / "run" / "particles.star").iloc[0].tolist() == [1, "opticsGroup1", 300, 2.7, 0.1, 4.0]
    pick_many([micrographs], tmp_path / "new", model, given)
    assert snapshot(tmp_path / "run", wherever=True) == snapshot(tmp_path / "new", wherever=True)


def test_an_option_goes_before_the_star(model, star, tmp_path):
    pick_many([star], tmp_path / "run", model, PickSettings(formats=("particles-star",), voltage_kv=300))
    assert optics_of(tmp_path / "run" / "particles.star")["rlnVoltage"].tolist() == [300, 300]
    done = extract_particles(
        tmp_path / "run", tmp_path / "p.mrcs", box_size_px=32, optics=OpticsSettings(spherical_aberration_mm=0.01)
    )
    assert optics_of(done.star)["rlnSphericalAberration"].tolist() == [0.01, 0.01]
    assert optics_of(done.star)["rlnVoltage"].tolist() == [300, 300]


def test_records_without_optics_are_read_and_completed(model, star, tmp_path):
    pick_many([star], tmp_path / "run", model)
    paths = sorted((tmp_path / "run" / "micrographs").rglob("*.json"))
    before = [path.read_bytes() for path in paths]
    for path in paths:
        fields = json.loads(path.read_text())
        del fields["optics"]
        path.write_text(json.dumps(fields))
        assert read_record(path).optics is None
    assert pick_many([star], tmp_path / "run", model).n_skipped == 3
    assert [path.read_bytes() for path in paths] == before


def test_the_defocus_of_a_star_reaches_records_that_are_there_and_stays(model, star, tmp_path):
    pick_many([star], tmp_path / "run", model)
    record = tmp_path / "run" / "micrographs" / "mics" / "a" / "two.json"
    assert read_record(record).defocus is None
    plain = star.read_text()
    with_ctf = plain.replace(
        "_rlnOpticsGroup\nmics", "_rlnOpticsGroup\n_rlnDefocusU\n_rlnDefocusV\n_rlnDefocusAngle\nmics"
    )
    star.write_text(with_ctf.replace(".mrc 1\n", ".mrc 1 0 0 0\n").replace(".mrc 2\n", ".mrc 2 21000.5 19000 -12.5\n"))
    for text in (None, plain):
        assert pick_many([star], tmp_path / "run", model).n_skipped == 3
        assert read_record(record).defocus == Defocus(21000.5, 19000, -12.5)
        assert read_record(record.with_name("one.json")).defocus is None
        star.write_text(text or plain)


def test_what_relion_will_refuse_is_said_with_the_options_that_mend_it(model, micrographs, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "vitripick")
    pick_many([micrographs], tmp_path / "run", model, PickSettings(formats=("particles-star",)))
    says = "no voltage, spherical aberration or amplitude contrast is known, so RELION 3.1 and later refuse this file"
    mends = "give voltage_kv=, spherical_aberration_mm= and amplitude_contrast="
    assert f"particles.star: {says}; {mends}" in caplog.text
    caplog.clear()
    extract_particles(tmp_path / "run", tmp_path / "p.mrcs", box_size_px=32)
    assert f"p.star: {says}; {mends}" in caplog.text
    caplog.clear()
    extract_particles(tmp_path / "run", tmp_path / "p.mrcs", box_size_px=32, optics=OpticsSettings(**MICROSCOPE))
    assert not caplog.text


def test_extract_asks_only_for_what_micrographs_with_particles_lack(model, star, tmp_path, caplog):
    pick_many([star], tmp_path / "run", model)
    path = tmp_path / "run" / "micrographs" / "mics" / "b" / "one.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "optics": None}))
    extract_particles(tmp_path / "run", tmp_path / "p.mrcs", box_size_px=32)
    assert "no voltage, spherical aberration or amplitude contrast is known" in caplog.text
    caplog.clear()
    (tmp_path / "mics" / "b" / "one.mrc").unlink()  # its picks cannot be cut out
    extract_particles(tmp_path / "run", tmp_path / "p.mrcs", box_size_px=32)
    assert optics_of(tmp_path / "p.star")["rlnVoltage"].tolist() == [200, 200]
    assert not caplog.text


def test_no_word_of_the_microscope_where_no_file_needs_it(model, micrographs, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "vitripick")
    pick_many([micrographs], tmp_path / "run", model, PickSettings(formats=("star", "cs", "box")))
    assert "RELION" not in caplog.text


def test_a_file_that_lacks_the_amplitude_contrast_alone_is_not_refused(model, micrographs, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "vitripick")
    settings = PickSettings(formats=("particles-star",), voltage_kv=300, spherical_aberration_mm=2.7)
    pick_many([micrographs], tmp_path / "run", model, settings)
    assert "RELION cannot correct these particles for the CTF; give amplitude_contrast=" in caplog.text
    assert "refuse" not in caplog.text
