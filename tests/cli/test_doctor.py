"""`vitripick doctor`: each finding says ok, note or problem, and what to do."""

import json
import os
import subprocess
import sys
import tempfile

import pytest
import typer
from typer.testing import CliRunner

from vitripick.cli import doctor as module
from vitripick.cli.doctor import doctor
from vitripick.errors import ResourceError

app = typer.Typer()


@app.command()
def _exits_as_the_command_line_does(as_json: bool = typer.Option(False, "--json")):
    raise typer.Exit(doctor(as_json=as_json))


def result(*, found=36, false=0):
    return {"model": "general", "n_particles": 36, "n_found": found, "n_false": false, "seconds": 0.2}


@pytest.fixture
def self_test(monkeypatch):
    """Stands in for the pick, which other tests do: it gives this result, or raises it."""

    def set_to(outcome):
        def test():
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        original = module.self_test_pick
        monkeypatch.setattr(module, "self_test_pick", lambda: original(test))

    return set_to


def found(*arguments):
    ran = CliRunner().invoke(app, list(arguments))
    report = json.loads(ran.stdout)
    return ran.exit_code, report["ok"], {finding["name"]: finding for finding in report["findings"]}


def test_where_picking_works_the_exit_code_is_0(self_test):
    self_test(result())
    code, ok, findings = found("--json")
    assert (code, ok) == (0, True)
    assert findings["self-test pick"]["status"] == "ok"
    assert findings["writing and reading a micrograph"]["value"] == "works"


@pytest.mark.parametrize(
    "outcome",
    [
        result(found=10),
        result(false=30),
        ResourceError("the released model is missing"),
        RuntimeError("no kernel image"),
        MemoryError(),
        ImportError("libtorch.so"),
    ],
    ids=str,
)
def test_where_picking_fails_the_exit_code_is_5_and_there_is_advice(self_test, outcome):
    self_test(outcome)
    code, ok, findings = found("--json")
    assert (code, ok) == (5, False)
    assert findings["self-test pick"]["status"] == "problem"
    assert findings["self-test pick"]["advice"]


def test_every_library_is_there_with_its_version(self_test):
    self_test(result())
    _, _, findings = found("--json")
    for name in ("vitripick", "torch", "numpy", "scipy", "opencv", "mrcfile", "tifffile", "safetensors"):
        assert findings[name]["status"] == "ok"
        assert findings[name]["value"][0].isdigit()


def test_the_table_ends_with_the_verdict(self_test):
    self_test(result())
    ran = CliRunner().invoke(app, [])
    assert ran.exit_code == 0
    assert ran.stdout.rstrip().endswith("picking works on this machine")
    assert "36 of 36 particles found" in ran.stdout


def test_a_problem_that_picking_survives_shows_in_the_verdict(self_test, monkeypatch):
    self_test(result())
    monkeypatch.setitem(sys.modules, "safetensors", None)
    ran = CliRunner().invoke(app, [])
    assert ran.exit_code == 0
    assert "problems: 1" in ran.stdout


def test_without_imagecodecs_there_is_a_note_on_tiff(monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    (finding,) = [finding for finding in module.versions() if finding.name == "imagecodecs"]
    assert finding.status == "note"
    assert "vitripick[tiff]" in finding.advice


def test_a_missing_library_is_a_problem(monkeypatch):
    monkeypatch.setitem(sys.modules, "mrcfile", None)
    (finding,) = [finding for finding in module.versions() if finding.name == "mrcfile"]
    assert (finding.value, finding.status) == ("missing", "problem")


CPUINFO = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu {flags}\n\nprocessor\t: 1\nflags\t\t: fpu\n"


def test_the_cpus_instructions_are_named(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO.format(flags="avx2 avx512f avx512_vnni amx_tile sse"))
    finding = module.cpu(path)
    assert finding.status == "ok"
    assert "Some CPU" in finding.value
    assert finding.value.endswith("avx2 avx512f avx512_vnni amx")


def test_a_cpu_without_avx2_is_noted(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO.format(flags="sse"))
    assert module.cpu(path).status == "note"


def test_where_there_is_no_proc_things_are_unknown(tmp_path):
    assert module.cpu(tmp_path / "cpuinfo").value.endswith("instructions unknown")
    assert module.memory(tmp_path / "meminfo").value == "unknown"


@pytest.mark.parametrize(("free_gib", "status"), [(3, "note"), (8, "ok")])
def test_little_memory_is_noted(tmp_path, free_gib, status):
    path = tmp_path / "meminfo"
    path.write_text(f"MemTotal: {16 * 2**20} kB\nMemAvailable: {free_gib * 2**20} kB\n")
    finding = module.memory(path)
    assert finding.value == f"{free_gib:.1f} of 16.0 GiB free"
    assert finding.status == status


def test_a_nearly_full_disk_is_noted(monkeypatch):
    monkeypatch.setattr(module, "_LITTLE_DISK_GIB", 1e9)
    assert {finding.status for finding in module.disk()} == {"note"}


def test_a_temporary_folder_that_is_gone_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    finding = module.micrograph_round_trip()
    assert finding.status == "problem"
    assert "gone" in finding.advice


def test_an_extra_that_is_there_but_broken_is_noted_with_the_reason(tmp_path, monkeypatch):
    package = tmp_path / "brokenextra"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('GLIBCXX_3.4.30 not found')")
    monkeypatch.syspath_prepend(str(tmp_path))
    finding = module._optional("brokenextra", "brokenextra", "pip install x")
    assert (finding.status, finding.value) == (
        "note",
        "installed, but cannot be loaded (ImportError: GLIBCXX_3.4.30 not found)",
    )
    assert "pip uninstall brokenextra" in finding.advice
    assert module._needed("brokenextra", "brokenextra").status == "problem"


@pytest.mark.parametrize(("has_driver", "status"), [(True, "note"), (False, "ok")])
def test_a_gpu_that_needs_torch_is_noted(monkeypatch, has_driver, status):
    monkeypatch.setattr("vitripick.models.loading.is_installed", lambda name: name != "torch")
    monkeypatch.setattr("vitripick.models.device.may_have_gpu", lambda: has_driver)
    finding = module.gpu()
    assert finding.status == status
    assert ("vitripick[train]" in finding.advice) == has_driver


def test_threads_are_told_and_more_than_one_of_blas_is_a_note(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert module.threads().status == "ok"
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "8")
    found = module.threads()
    assert found.status == "note"
    assert "BLAS 8" in found.value


@pytest.mark.parametrize("first", ["import vitripick.cli.app", "from vitripick.training import train"])
def test_threads_of_torch_sleep_while_they_wait(first):
    """In the command line, and in a script that trains."""
    code = f"{first}; import os, sys; sys.exit(os.environ['OMP_WAIT_POLICY'] != 'PASSIVE')"
    unset = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    assert subprocess.run([sys.executable, "-c", code], env=unset, check=False).returncode == 0


def test_the_command_line_gives_blas_one_thread_and_leaves_what_the_user_has_set():
    code = "import vitripick.cli.app, os, sys; sys.exit(int(os.environ['OPENBLAS_NUM_THREADS']))"
    unset = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    for asked, expected in ({}, 1), ({"OPENBLAS_NUM_THREADS": "3"}, 3):
        done = subprocess.run([sys.executable, "-c", code], env=unset | asked, check=False)
        assert done.returncode == expected
