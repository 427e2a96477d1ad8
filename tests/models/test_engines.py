"""Every engine finds what torch finds; graphs in the cache are whole, of this model, or made again."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitripick.errors import UsageError
from vitripick.evaluation import evaluate
from vitripick.formats import find_micrographs, pair_labels, read_all_picks, read_micrograph
from vitripick.geometry import match
from vitripick.models import (
    RELEASED,
    ModelCard,
    TorchModel,
    build_detector,
    bundle,
    load_weights,
    open_model,
    save_model,
)
from vitripick.models import run as run_module
from vitripick.models.engines import choose, load_on_engine
from vitripick.models.engines import graph as graphs
from vitripick.models.engines.choose import has_int8_instructions
from vitripick.models.engines.export import GraphExportError, write_graph
from vitripick.models.loading import INSTALL_TORCH
from vitripick.models.run import detect, for_inference
from vitripick.picking import pick

EXAMPLES = {"apoferritin": 80.0, "betagal": 27.0}
FAST = [(e, p) for e in ("openvino", "onnxruntime") for p in ("fp32", "int8")]


@pytest.fixture(scope="module")
def examples():
    """(name, diameter) to (micrographs by name, labels by name): the bundled real ones."""
    found = {}
    for name, diameter in EXAMPLES.items():
        files = {f.name: f for f in find_micrographs([f"examples/{name}/micrographs"])}
        labels = pair_labels(list(files), read_all_picks(f"examples/{name}/labels")).pairs
        found[name, diameter] = {n: read_micrograph(files[n].path, name=n) for n in labels}, labels
    return found


@pytest.fixture(scope="module")
def by_torch(examples):
    ready = load_on_engine(open_model("general"), engine="torch")
    return {key: picks_of(mics, ready, key[1]) for key, (mics, _) in examples.items()}


def picks_of(micrographs, ready, diameter):
    return {name: pick(m, ready, diameter_px=diameter, threshold=0) for name, m in micrographs.items()}


def auc(picks, labels, micrographs, diameter):
    labels = {n: boxes.of(shape=micrographs[n].shape) for n, boxes in labels.items()}
    return evaluate(picks, labels, diameter_px=diameter).criteria["iou"].auc


@pytest.mark.parametrize(("engine", "precision"), FAST)
def test_the_picks_of_every_engine_are_those_of_torch_on_real_micrographs(examples, by_torch, engine, precision):
    pytest.importorskip(engine)
    ready = load_on_engine(open_model("general"), engine=engine, precision=precision)
    assert ready.engine.startswith(engine)
    assert ready.engine.endswith(precision)
    n_same = n_all = 0
    for key, (micrographs, labels) in examples.items():
        picks = picks_of(micrographs, ready, key[1])
        assert abs(auc(picks, labels, micrographs, key[1]) - auc(by_torch[key], labels, micrographs, key[1])) <= 0.005
        for name in micrographs:
            a, b = (p.above(ready.card.threshold) for p in (picks[name], by_torch[key][name]))
            n_same += 2 * int((match(a, b, criterion="distance", distance_px=key[1] / 10) >= 0).sum())
            n_all += len(a) + len(b)
    assert n_all > 1000
    # Without instructions for int8, processors add in 16 bits, which overflow: `auto` takes fp32 there.
    assert n_same / n_all >= (0.995 if precision == "fp32" or has_int8_instructions() else 0.98)


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_released_models_come_with_graphs_of_their_own_weights(name):
    model = open_model(name)
    for precision in graphs.GRAPH_PRECISIONS:
        graph = graphs.shipped_graph(model, precision)
        assert graph is not None
        assert graph.path.stat().st_size <= 10e6
        assert graph.info.decoding == load_weights(name).detector.decoding


@pytest.fixture
def own_model(tmp_path, monkeypatch):
    """A small saved model, and an empty cache."""
    monkeypatch.setenv("VITRIPICK_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(1)
    detector = build_detector("heatmap", {"width": 16}).eval()
    preparation = detector.default_preparation()
    card = ModelCard(name="own", architecture="heatmap", options={"width": 16}, preparation=preparation)
    save_model(TorchModel(detector, card), tmp_path / "own.safetensors")
    return open_model(tmp_path / "own.safetensors")


def test_a_model_of_ones_own_gets_a_graph_once_and_runs_without_its_weights_then(own_model, monkeypatch):
    first = load_on_engine(own_model)
    assert "fp32" in first.engine
    monkeypatch.setattr(bundle, "load_weights", lambda path: pytest.fail("loaded the weights again"))
    image = np.random.default_rng(0).standard_normal((208, 192)).astype(np.float32)
    found = detect(load_on_engine(own_model).network, image, floor=0.0)
    np.testing.assert_array_equal(found.x, detect(first.network, image, floor=0.0).x)


@pytest.mark.parametrize("harm", ["cut", "gone", "other json", "no json"])
def test_a_graph_that_is_not_whole_is_made_again(own_model, harm):
    load_on_engine(own_model)
    graph = graphs.find_graph(own_model, "fp32")
    (info,) = graph.path.parent.glob("*.json")
    if harm == "cut":
        graph.path.write_bytes(graph.path.read_bytes()[:1000])
    elif harm == "gone":
        graph.path.unlink()
    elif harm == "other json":
        info.write_text(json.dumps(json.loads(info.read_text()) | {"model_sha256": "another"}))
    else:
        info.write_text("{")
    assert graphs.find_graph(own_model, "fp32") is None
    load_on_engine(own_model)
    assert graphs.find_graph(own_model, "fp32") is not None


def test_two_processes_that_keep_a_graph_at_once_each_leave_a_whole_one(own_model):
    load_on_engine(own_model)
    info = graphs.find_graph(own_model, "fp32").info
    for content in (b"mine", b"theirs"):
        graphs.keep_graph(content, info)
    assert graphs.find_graph(own_model, "fp32").path.read_bytes() == b"theirs"
    assert {p.read_bytes() for p in graphs.cache_folder().rglob("*.onnx")} >= {b"mine", b"theirs"}


def test_the_cache_lies_where_the_variable_or_xdg_says(monkeypatch, tmp_path):
    monkeypatch.delenv("VITRIPICK_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert graphs.cache_folder() == tmp_path / "vitripick"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert graphs.cache_folder().is_absolute()
    monkeypatch.setenv("VITRIPICK_CACHE", str(tmp_path / "mine"))
    assert graphs.cache_folder() == tmp_path / "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_leaves_torch_and_says_so(own_model, monkeypatch):
    monkeypatch.setenv("VITRIPICK_CACHE", "/proc/no")
    assert "VITRIPICK_CACHE" in load_on_engine(own_model).note


def test_a_network_that_cannot_be_exported_runs_on_torch_and_says_so(own_model, monkeypatch):
    def refuse(*arguments):
        raise GraphExportError("torch cannot export this network.")

    monkeypatch.setattr("vitripick.models.engines.export.make_graph", refuse)
    ready = load_on_engine(own_model)
    assert ready.engine.startswith("torch")
    assert "cannot export" in ready.note
    with pytest.raises(UsageError, match="cannot export"):
        load_on_engine(own_model, engine="onnxruntime")


def test_without_onnx_a_new_model_runs_on_torch_and_the_note_says_what_to_install(own_model, monkeypatch):
    monkeypatch.setattr("vitripick.models.engines.export.is_installed", lambda name: name != "onnx")
    ready = load_on_engine(own_model)
    assert ready.engine.startswith("torch")
    assert "needs onnx" in ready.note
    assert INSTALL_TORCH in ready.note


def test_a_graph_beside_the_model_is_taken_before_the_cache(own_model):
    place = write_graph(load_weights(own_model)).path
    assert place == own_model.path.with_suffix(".fp32.onnx")
    assert graphs.find_graph(own_model, "fp32").path == place
    assert not graphs.cache_folder().exists()


def test_what_is_asked_for_is_used_or_refused(own_model, monkeypatch):
    with pytest.raises(UsageError, match="fp32 only"):
        load_on_engine(own_model, engine="torch", precision="int8")
    with pytest.raises(UsageError, match="CPU only"):
        load_on_engine(own_model, engine="openvino", device="cuda")
    monkeypatch.setattr(choose.importlib.util, "find_spec", lambda name: object() if name == "torch" else None)
    with pytest.raises(UsageError, match="not installed"):
        load_on_engine(own_model, engine="openvino")
    assert load_on_engine(own_model).engine.startswith("torch")


def test_int8_is_chosen_only_for_models_that_came_with_it_and_processors_that_have_it(own_model, tmp_path, monkeypatch):
    monkeypatch.setattr(choose, "has_int8_instructions", lambda: True)
    assert load_on_engine(open_model("general")).engine.endswith("int8")
    assert load_on_engine(own_model).engine.endswith("fp32")
    monkeypatch.setattr(choose, "has_int8_instructions", lambda: False)
    assert load_on_engine(open_model("general")).engine.endswith("fp32")


def test_instructions_are_read_from_cpuinfo(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor : 0\nflags : avx2 avx512f\n\nprocessor : 1\nflags : avx512_vnni\n")
    assert not choose.has_int8_instructions(path)
    path.write_text("processor : 0\nflags : avx2 avx_vnni\n")
    assert choose.has_int8_instructions(path)


def test_more_shapes_than_are_compiled_for_give_the_same_maps():
    pytest.importorskip("openvino")
    model = open_model("general")
    ready = load_on_engine(model, engine="openvino", precision="fp32")
    plain = for_inference(load_weights("general").detector)
    rng = np.random.default_rng(0)
    for side in (64, 80, 96, 112, 128, 144):
        image = rng.standard_normal((2, 1, side, 64)).astype(np.float32)
        np.testing.assert_allclose(ready.network.run(image), plain.run(image), atol=2e-3)


@given(st.integers(1, 400), st.integers(40, 130), st.sampled_from([0, 16, 32, 160]))
def test_tiles_cover_all_and_reach_the_margin_beyond_what_is_taken(n, tile, margin):
    length, tile_px, pad = 16 * n, 16 * tile, 16
    tiles, own = run_module._tiles(length, tile_px, margin, pad)
    assert own <= max(tile_px, length if length <= tile_px else 0)
    assert [first for _, first, _ in tiles] == [0, *(last for _, _, last in tiles[:-1])]
    assert tiles[-1][2] == length
    for start, first, last in tiles:
        assert start % pad == first % pad == 0
        assert 0 <= start <= first < last <= start + own <= length
        assert first == 0 or first - start >= margin
        assert last == length or start + own - last >= margin


def test_openvino_sends_no_statistics_home():
    code = (
        "import sys; from vitripick.models.engines.open_vino import import_openvino; import_openvino(); "
        "sys.exit(sys.modules['openvino_telemetry'] is not None)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_openvino_is_loaded_without_its_converter_which_others_may_still_load():
    pytest.importorskip("openvino")
    code = (
        "import sys; from vitripick.models.engines.open_vino import import_openvino; import_openvino(); "
        "assert 'openvino.tools.ovc' not in sys.modules; import openvino.tools.ovc"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_threads_that_make_the_first_inference_of_a_process_do_not_wait_for_each_other():
    """OpenVINO's own would, for good, in most processes that switch threads as often as this one."""
    pytest.importorskip("openvino")
    script = """
import os, sys, threading
import numpy as np
from vitripick.models import open_model
from vitripick.models.engines import load_on_engine
sys.setswitchinterval(1e-6)
network = load_on_engine(open_model("general"), engine="openvino", jobs=2).network
images, together = np.ones((1, 1, 64, 64), np.float32), threading.Barrier(8)
def first():
    together.wait()
    network.run(images)
threads = [threading.Thread(target=first, daemon=True) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join(60) for thread in threads]
sys.stdout.write(str(sum(thread.is_alive() for thread in threads)))
sys.stdout.flush()
os._exit(0)
"""
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
        assert done.stdout == "0", done.stderr
