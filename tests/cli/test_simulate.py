import json
import shlex

import numpy as np

from vitripick.formats import read_micrograph, read_picks

SMALL = ("--micrographs", 2, "--shape", "160x200", "--pixel-size", 4, "--structure", "trpv3", "--jobs", 1)


def test_micrographs_and_labels_are_ready_to_train_on(vitripick, tmp_path):
    result = vitripick("simulate", *SMALL, "--out", tmp_path / "sim", "--json")
    assert result.code == 0, result.err
    summary = json.loads(result.out)
    assert summary["micrographs"] == ["micrographs/simulated_0001.mrc", "micrographs/simulated_0002.mrc"]
    boxes = [read_picks(p) for p in sorted((tmp_path / "sim" / "labels").glob("*.cbox"))]
    assert sum(len(b) for b in boxes) == summary["n_particles"] > 0
    assert read_micrograph(tmp_path / "sim" / summary["micrographs"][0]).shape == (160, 200)
    again = vitripick("simulate", *SMALL, "--out", tmp_path / "sim")
    assert "2 of them were there already" in again.out
    assert f"--labels {tmp_path}/sim/labels" in again.out


def test_the_command_to_train_with_can_be_pasted_whatever_the_folder_is_called(vitripick, tmp_path):
    out = tmp_path / "my sim"
    result = vitripick("simulate", *SMALL, "--out", out)
    words = shlex.split(result.out.splitlines()[-1])
    assert words[2:4] == ["vitripick", "train"]
    assert words[4:8] == ["--micrographs", f"{out}/micrographs", "--labels", f"{out}/labels"]


def test_the_noise_level_of_the_paper_is_one_option_away(vitripick, tmp_path):
    noise = []
    for level in (1, 10):
        out = tmp_path / str(level)
        options = ("--recipe", "paper", "--set", f"noise.level={level}", "--set", "particles.count=3")
        result = vitripick("simulate", *options, *SMALL[:-4], "--structure", "hemoglobin", "--jobs", 1, "--out", out)
        assert result.code == 0, result.err
        noise.append(np.std(read_micrograph(out / "micrographs" / "simulated_0001.mrc").image))
    assert noise[1] > 5 * noise[0]


def test_overlays_are_drawn(vitripick, tmp_path):
    assert vitripick("simulate", *SMALL, "--out", tmp_path / "sim", "--overlays").code == 0
    assert (tmp_path / "sim" / "overlays" / "simulated_0001.png").stat().st_size > 1000


def test_recipes_and_structures_are_listed(vitripick):
    result = vitripick("simulate", "--list")
    assert result.code == 0
    assert "general" in result.out
    assert "apoferritin" in result.out
    assert "paper" in json.loads(vitripick("simulate", "--list", "--json").out)["recipes"]


def test_wrong_options_are_usage_errors_that_name_them(vitripick, tmp_path):
    for options, complaint in (
        ((), "--out"),
        (("--out", tmp_path, "--dtype", "int8"), "give float32 or float16"),
        (("--out", tmp_path, "--shape", "many"), "--shape many: give rows x columns"),
        (("--out", tmp_path, "--shape", "16x64"), "at least 32 rows and columns, not 16x64"),
        (("--out", tmp_path, "--kind", "alien"), "give soluble"),
        (("--out", tmp_path, "--recipe", "nothing"), "there is no scene recipe 'nothing'"),
        (("--out", tmp_path, "--set", "particles.n=3"), "particles.n"),
        (("--out", tmp_path, "--pixel-size", -1), "--pixel-size -1: give a number above 0"),
        (("--out", tmp_path, "--set", "optics.voltages_kv=[0]"), "optics.voltages_kv.0"),
        (("--out", tmp_path, "--prefix", "../mic"), "--prefix '../mic'"),
    ):
        result = vitripick("simulate", *options)
        assert result.code == 2, options
        assert complaint in result.err


def test_a_structure_that_is_not_there_is_invalid_input(vitripick, tmp_path):
    result = vitripick("simulate", "--structure", "no_such.pdb", "--out", tmp_path / "sim")
    assert result.code == 3
    assert "no_such.pdb" in result.err


def test_an_impossible_crowd_says_what_to_change(vitripick, tmp_path):
    result = vitripick("simulate", *SMALL, "--set", "particles.count=900", "--out", tmp_path / "sim")
    assert result.code == 2
    assert "a smaller spacing" in result.err
