import logging
import os
import subprocess
import sys

import pytest

from vitripick.errors import ResourceError, UsageError
from vitripick.models import device, loading, open_model
from vitripick.models.engines import load_on_engine


@pytest.fixture
def broken(monkeypatch):
    """Return a function that makes packages of these names fail on import with this error."""
    monkeypatch.setattr(loading, "_said", set())
    sound = loading.importlib.import_module

    def breaks(names, error):
        def import_module(name):
            if name in names:
                raise error
            return sound(name)

        monkeypatch.setattr(loading.importlib, "import_module", import_module)

    return breaks


OLD = ImportError("/lib64/libstdc++.so.6: version `GLIBCXX_3.4.30' not found")


@pytest.mark.parametrize("error", [OLD, OSError("libtbb.so.12: cannot open shared object file"), AttributeError("x")])
def test_where_openvino_does_not_start_the_next_engine_is_taken_and_one_line_says_why(broken, error, caplog):
    pytest.importorskip("openvino")
    broken({"openvino"}, error)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            ready = load_on_engine(open_model("general"))
    assert ready.engine.startswith("onnxruntime")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("openvino is installed, but cannot be loaded")
    assert str(error) in line
    assert line.endswith("onnxruntime runs the network")


def test_where_no_engine_starts_torch_is_taken(broken, caplog):
    broken({"openvino", "onnxruntime"}, OLD)
    assert load_on_engine(open_model("general")).engine.startswith("torch")
    assert "so torch runs the network" in caplog.records[-1].getMessage()


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_an_engine_that_was_asked_for_and_does_not_start_is_a_usage_error(broken, engine):
    pytest.importorskip(engine)
    broken({engine}, OLD)
    with pytest.raises(UsageError, match="GLIBCXX"):
        load_on_engine(open_model("general"), engine=engine)


def test_an_engine_that_does_not_start_for_lack_of_memory_is_no_reason_to_try_another(broken):
    broken({"openvino", "onnxruntime"}, ImportError("libx.so: failed to map segment from shared object"))
    with pytest.raises(ResourceError, match="out of memory"):
        load_on_engine(open_model("general"))


def test_where_torch_is_missing_auto_takes_the_cpu_and_says_so_and_a_device_asked_for_is_refused(monkeypatch, caplog):
    monkeypatch.setattr(loading, "_said", set())
    monkeypatch.setattr(loading, "is_installed", lambda name: name != "torch")
    monkeypatch.setattr(device, "may_have_gpu", lambda: True)
    with caplog.at_level(logging.WARNING):
        assert device.device_name("auto") == "cpu"
    assert "the CPU does the work" in caplog.text
    assert loading.INSTALL_TORCH in caplog.text
    with pytest.raises(loading.MissingPackageError, match="device='cuda' needs torch"):
        device.device_name("cuda")


def test_a_torch_that_does_not_start_ends_a_training_with_one_sentence(broken):
    broken({"torch"}, OLD)
    with pytest.raises(loading.EngineLoadError, match="training needs torch: torch is installed, but cannot be loaded"):
        loading.import_torch("training")


def test_onnx_runtime_sends_nothing_home_unless_the_user_allows_it(tmp_path):
    # Its telemetry makes an identifier of the machine, and complains where no home can hold it.
    code = "from vitripick import load_model; load_model('general', engine='onnxruntime')"
    env = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=env | {"HOME": "/proc/no"}, capture_output=True, text=True, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert "telemetry" not in ran.stderr
