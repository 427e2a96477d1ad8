import json

import numpy as np
import pytest

from made import rings
from vitripick.cli import pick as pick_command
from vitripick.formats import read_picks, write_mrc
from vitripick.images import Preparation
from vitripick.models import ModelCard, TorchModel, build_detector, save_model
from vitripick.runs import exporter, step
from vitripick.training import default_settings


def test_one_command_picks_and_says_what_it_found(vitripick, ring_micrograph, tmp_path):
    outcome = vitripick("pick", ring_micrograph, "--diameter-px", 60, "--out", tmp_path / "out")
    assert outcome.code == 0
    assert "picks on 1 micrograph" in outcome.out
    assert outcome.err == ""  # no bar in a log
    last = outcome.out.splitlines()[-1]
    assert last.startswith("stricter: --threshold 0.")
    assert "; looser: --threshold 0." in last
    assert len(read_picks(tmp_path / "out" / "star" / "rings_autopick.star")) >= 8


@pytest.mark.parametrize(("option", "used"), [(["--keep-diameter"], 160), ([], 80)])
def test_a_wrong_diameter_is_replaced_and_told_unless_it_is_to_be_kept(vitripick, tmp_path, option, used):
    arguments = ("examples/apoferritin/micrographs", "--diameter-px", 160, "--threshold", 0.4)
    outcome = vitripick("pick", *arguments, *option, "--out", tmp_path / "out")
    settings = json.loads((tmp_path / "out" / "run.json").read_text())["settings"]
    assert settings["diameter_px"] == pytest.approx(used, rel=0.1)
    assert ("instead of the 160 px" in outcome.out) == (not option)


def test_the_summary_comes_as_json_on_stdout_alone(vitripick, ring_micrograph, tmp_path):
    outcome = vitripick("pick", ring_micrograph, "--diameter-angstrom", 120, "--out", tmp_path / "out", "--json")
    assert json.loads(outcome.out)["n_micrographs"] == 1


def test_one_broken_micrograph_ends_with_code_4_and_the_others_are_picked(vitripick, ring_micrograph, tmp_path):
    (ring_micrograph.parent / "broken.mrc").write_bytes(ring_micrograph.read_bytes()[:3000])
    outcome = vitripick("pick", ring_micrograph.parent, "--diameter-px", 60, "--out", tmp_path / "out")
    assert outcome.code == 4
    assert "broken.mrc" in outcome.err
    assert (tmp_path / "out" / "star" / "rings_autopick.star").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere", "--diameter-px", "60"], 3, "nowhere"),
        (["MIC", "--diameter-px", "60", "--diameter-angstrom", "100"], 2, "not both"),
        (["MIC", "--diameter-px", "-60"], 2, "above 0"),
        (["MIC", "--diameter-px", "60", "--threshold", "3"], 2, "threshold"),
        (["MIC", "--diameter-px", "60", "--edge", "round"], 2, "centre or box"),
        (["MIC", "--diameter-px", "60", "--format", "tiff"], 2, "cryosparc-star"),
        (["MIC", "--diameter-px", "60", "--model", "no-such"], 3, "no-such"),
        (["MIC", "--diameter-px", "60", "--device", "abacus"], 3, "abacus"),
        (["MIC", "--no-such-option"], 2, "no-such-option"),
    ],
)
def test_a_wrong_use_says_what_to_do(vitripick, ring_micrograph, tmp_path, arguments, code, says):
    arguments = [str(ring_micrograph) if a == "MIC" else a for a in arguments]
    outcome = vitripick("pick", *arguments, "--out", tmp_path / "out")
    assert outcome.code == code
    assert says in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_ends_with_130_and_says_how_to_go_on(vitripick, ring_micrograph, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(step, "look_at_all", interrupted)
    outcome = vitripick("pick", ring_micrograph, "--diameter-px", 60, "--out", tmp_path / "out")
    assert outcome.code == 130
    assert "again" in outcome.err


def test_a_full_disk_ends_with_5(vitripick, ring_micrograph, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporter, "write_exports", full)
    outcome = vitripick("pick", ring_micrograph, "--diameter-px", 60, "--out", tmp_path / "out")
    assert outcome.code == 5
    assert "disk is full" in outcome.err


def test_the_command_module_stays_light():
    assert not hasattr(pick_command, "torch")


def test_a_run_without_a_single_pick_says_what_to_try(vitripick, ring_micrograph, tmp_path):
    outcome = vitripick("pick", ring_micrograph, "--diameter-px", 60, "--threshold", 1, "--out", tmp_path / "out")
    assert outcome.code == 0
    assert "--threshold" in outcome.out
    assert "training.md" in outcome.out


def test_a_line_of_json_a_micrograph_comes_as_it_is_done(vitripick, ring_micrograph, tmp_path):
    (ring_micrograph.parent / "broken.mrc").write_bytes(b"junk")
    arguments = ("pick", ring_micrograph.parent, "--diameter-px", 60, "--out", tmp_path / "out", "--json-lines")
    lines = [json.loads(line) for line in vitripick(*arguments).out.splitlines()]
    assert [(line.get("micrograph"), line.get("status")) for line in lines] == [
        ("broken.mrc", "failed"),
        ("rings.mrc", "done"),
        (None, None),
    ]
    assert "junk" in lines[0]["error"] or "bytes" in lines[0]["error"]
    assert lines[1]["n_picks"] >= 8
    assert lines[2]["summary"]["n_failed"] == 1
    again = [json.loads(line) for line in vitripick(*arguments).out.splitlines()]
    assert again[1]["status"] == "skipped"


def test_a_run_says_what_it_suspects_micrographs_of(vitripick, ring_micrograph, tmp_path):
    noise = np.random.default_rng(1).standard_normal((400, 400)).astype(np.float32)
    write_mrc(ring_micrograph.parent / "bare.mrc", noise, pixel_size=2.0)
    outcome = vitripick(
        "pick", ring_micrograph.parent, "--diameter-px", 60, "--threshold", 0.6, "--out", tmp_path / "o"
    )
    assert "suspected empty: 1 (bare.mrc)" in outcome.out
    table = (tmp_path / "o" / "quality.csv").read_text().splitlines()
    assert [line.rsplit(",", 1)[1] for line in table] == ["suspected", "empty", ""]


def test_junk_masks_of_a_model_that_has_none_are_a_usage_error(vitripick, ring_micrograph, tmp_path):
    detector, preparation = build_detector("heatmap", {"width": 16}), Preparation()
    card = ModelCard(name="plain", architecture="heatmap", options={"width": 16}, preparation=preparation)
    save_model(TorchModel(detector, card), tmp_path / "plain.safetensors")
    for command in ("pick", "watch"):
        source = ring_micrograph if command == "pick" else ring_micrograph.parent
        arguments = (command, source, "--diameter-px", 60, "--out", tmp_path / "o", "--junk-masks")
        outcome = vitripick(*arguments, "--model", tmp_path / "plain.safetensors")
        assert outcome.code == 2
        assert "does not say what is junk" in outcome.err
        assert not (tmp_path / "o").exists()


def test_a_share_says_how_the_run_is_finished(vitripick, ring_micrograph, tmp_path):
    arguments = ("pick", ring_micrograph, "--diameter-px", 60, "--out", tmp_path / "out", "--thumbnails")
    outcome = vitripick(*arguments, "--shard", "1/2")
    assert "same command without --shard" in outcome.out
    assert (tmp_path / "out" / "thumbnails" / "rings.jpg").is_file()
    assert not (tmp_path / "out" / "run.json").exists()
    assert "not picked again" in vitripick(*arguments).out
    assert (tmp_path / "out" / "run.json").exists()


def test_a_share_of_a_cluster_is_refused(vitripick, ring_micrograph, tmp_path):
    outcome = vitripick("pick", ring_micrograph, "--out", tmp_path / "o", "--shard", "1/2", "--cluster", "tcp://a:1")
    assert outcome.code == 2


def test_a_cluster_from_a_toml_picks(vitripick, ring_micrograph, tmp_path):
    (tmp_path / "local.toml").write_text('kind = "local"\njobs = 1\n')
    outcome = vitripick(
        "pick", ring_micrograph, "--diameter-px", 60, "--out", tmp_path / "out", "--cluster", tmp_path / "local.toml",
        "--device", "cpu",
    )  # fmt: skip
    assert outcome.code == 0
    assert "picks on 1 micrograph" in outcome.out


def test_a_watcher_that_waits_for_nothing_more_ends_with_0_and_its_status(vitripick, ring_micrograph, tmp_path):
    outcome = vitripick(
        "watch", ring_micrograph.parent, "--diameter-px", 60, "--out", tmp_path / "out", "--settle", 0.05,
        "--poll", 0.05, "--idle-timeout", 0.3, "--json-lines",
    )  # fmt: skip
    assert outcome.code == 0
    assert json.loads(outcome.out)["micrograph"] == "rings.mrc"
    assert "done 1" in outcome.err
    assert "suspected" not in outcome.err
    assert json.loads((tmp_path / "out" / "status.json").read_text())["state"] == "stopped"


def test_a_watcher_ends_with_what_it_suspects(vitripick, ring_micrograph, tmp_path):
    write_mrc(ring_micrograph.parent / "flat.mrc", np.ones((400, 400), np.float32), pixel_size=2.0)
    outcome = vitripick(
        "watch", ring_micrograph.parent, "--diameter-px", 60, "--out", tmp_path / "out", "--settle", 0.05,
        "--poll", 0.05, "--idle-timeout", 0.3,
    )  # fmt: skip
    assert "suspected empty: 1 (flat.mrc)" in outcome.err


def test_a_watcher_with_a_broken_micrograph_ends_with_4(vitripick, ring_micrograph, tmp_path):
    (ring_micrograph.parent / "broken.mrc").write_bytes(b"junk")
    outcome = vitripick(
        "watch", ring_micrograph.parent, "--diameter-px", 60, "--out", tmp_path / "out", "--settle", 0.05,
        "--poll", 0.05, "--idle-timeout", 0.3, "--tries", 1,
    )  # fmt: skip
    assert outcome.code == 4
    assert "failed:" in outcome.err


def test_patches_for_a_network_that_needs_none_are_a_usage_error_before_anything_is_picked(
    vitripick, ring_micrograph, tmp_path
):
    arguments = ("pick", ring_micrograph, "--diameter-px", 60, "--out", tmp_path / "out")
    outcome = vitripick(*arguments, "--patches", "2x2")
    assert outcome.code == 2
    assert "leave --patches out" in outcome.err
    assert not (tmp_path / "out").exists()
    assert "2x2 or 3x3" in vitripick(*arguments, "--patches", "many").err


def test_a_size_limit_that_is_no_size_is_a_usage_error(vitripick, ring_micrograph, tmp_path):
    outcome = vitripick("pick", ring_micrograph, "--maximum-size-px", 0, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "--maximum-size-px" in outcome.err


def test_without_a_diameter_it_is_estimated_and_told(vitripick, ring_micrograph, tmp_path):
    outcome = vitripick("pick", ring_micrograph, "--out", tmp_path / "out")
    assert outcome.code == 0
    assert outcome.err == ""
    assert outcome.out.startswith("diameter ")
    assert "found by itself" in outcome.out
    assert "the model's own" in outcome.out
    beginnings = [line.split()[0] for line in outcome.out.splitlines()]
    assert beginnings.count("diameter") == beginnings.count("threshold") == 1
    later = vitripick("pick", ring_micrograph, "--out", tmp_path / "out")
    assert "in an earlier call, on rings.mrc" in later.out
    assert "1 micrograph picked before and not picked again" in later.out
    as_json = vitripick("pick", ring_micrograph, "--out", tmp_path / "out", "--json")
    assert as_json.err.startswith("diameter ")
    again = json.loads(as_json.out)
    assert again["n_skipped"] == 1
    assert 100 < again["survey"]["diameter"]["diameter"] < 170
    assert again["survey"]["diameter"]["unit"] == "angstrom"
    assert again["threshold_from"] == "model"


def test_noise_without_a_diameter_says_which_option_to_give(vitripick, tmp_path):
    write_mrc(tmp_path / "noise.mrc", np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32))
    outcome = vitripick("pick", tmp_path / "noise.mrc", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "--diameter-angstrom" in outcome.err


def test_a_second_call_says_what_the_folder_holds_now(vitripick, ring_micrograph, tmp_path):
    write_mrc(ring_micrograph.with_name("more.mrc"), rings(), pixel_size=2.0)
    base = ("pick", "--diameter-px", 60, "--out", tmp_path / "out")
    vitripick(*base, ring_micrograph.parent)
    outcome = vitripick(*base, ring_micrograph)
    assert "with 1 of earlier calls" in outcome.out
    assert "2 micrographs" in outcome.out


def test_a_run_in_which_every_micrograph_fails_ends_with_3(vitripick, ring_micrograph, tmp_path):
    ring_micrograph.write_bytes(ring_micrograph.read_bytes()[:3000])
    outcome = vitripick("pick", ring_micrograph, "--diameter-px", 60, "--threshold", 0.4, "--out", tmp_path / "out")
    assert outcome.code == 3
    assert "1 of 1 micrographs failed" in outcome.err


def test_picks_of_an_adapted_model_say_so_and_a_later_call_picks_with_it(vitripick, tmp_path, monkeypatch):
    few = default_settings(fine_tune=True, steps=1, steps_per_epoch=1, batch_size=1)
    monkeypatch.setattr("vitripick.training.adapting.default_settings", lambda *a, **k: few)
    call = ("pick", "examples/apoferritin/micrographs", "--diameter-px", 80, "--adapt", "--out", tmp_path / "out")
    done = vitripick(*call, "--json")
    assert done.code == 0, done.err
    assert "general, adapted" in (tmp_path / "out/run.json").read_text()
    assert "general was adapted to these micrographs" in done.err
    again = json.loads(vitripick(*call, "--json").out)
    assert again["n_skipped"] == 2, "the same model picks, and picked them before"


@pytest.mark.parametrize("other", [("--shard", "1/2"), ("--cluster", "tcp://here:1")])
def test_a_share_does_not_adapt_for_itself(vitripick, tmp_path, other):
    done = vitripick("pick", "examples/apoferritin/micrographs", "--adapt", *other, "--out", tmp_path / "out")
    assert done.code == 2
    assert "OUT/adapted/model.safetensors" in done.err
