"""Run `vitripick doctor`, which shows what is on this machine and whether picking works on it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vitripick.cores import BLAS_THREADS, usable_cores

if TYPE_CHECKING:
    from rich.table import Table

_NEEDED = {
    "numpy": "numpy",
    "scipy": "scipy",
    "opencv": "cv2",
    "mrcfile": "mrcfile",
    "tifffile": "tifffile",
    "safetensors": "safetensors",
    "onnxruntime": "onnxruntime",
}
_OPTIONAL = {
    "torch": ("torch", "pip install 'vitripick[train]' to train, and to pick on a GPU"),
    "onnx": ("onnx", "pip install 'vitripick[train]' to pick with models of your own on ONNX Runtime"),
    "imagecodecs": ("imagecodecs", "pip install 'vitripick[tiff]' to read TIFFs in LZW or deflate"),
    "starlette": ("starlette", "pip install 'vitripick[web]' for vitripick label"),
    "openvino": ("openvino", "pip install 'vitripick[fast]' to pick faster on a CPU"),
}
# A float network uses AVX2 and AVX-512; an int8 network uses VNNI and AMX, too.
_CPU_FEATURES = {
    "avx2": "avx2",
    "avx512f": "avx512f",
    "avx512_vnni": "avx512_vnni",
    "avx_vnni": "avx_vnni",
    "amx_tile": "amx",
}
_LITTLE_MEMORY_GIB, _LITTLE_DISK_GIB = 4.0, 2.0
# The self-test's particles are easy to see, so a good installation finds nearly all, and almost nothing else.
_ENOUGH_FOUND, _MOST_FALSE = 0.8, 0.25

Status = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """Holds one line of the doctor's report.

    Attributes
    ----------
    name, value
        What was looked at, and what was found.
    status
        `note`: it works, but has a limit; `problem`: something will not work.
    advice
        What to do; empty if nothing is wrong.
    """

    name: str
    value: str
    status: Status = "ok"
    advice: str = ""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> int:
    """Look at this machine and try a pick; paste the report into any question about vitripick."""
    findings = [
        *versions(),
        *system(),
        *disk(),
        micrograph_round_trip(),
        self_test_pick(),
    ]
    picks = findings[-1].status != "problem"
    if as_json:
        report = {"ok": picks, "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(report, indent=1, ensure_ascii=False))
    else:
        _print_table(findings, picks)
    return 0 if picks else 5


def versions() -> list[Finding]:
    """Return the versions of Python, vitripick and the libraries that it uses."""
    from vitripick.version import VERSION

    findings = [
        Finding("vitripick", VERSION),
        Finding("python", f"{platform.python_version()} ({sys.executable})"),
        documentation(),
    ]
    findings += [_needed(name, module) for name, module in _NEEDED.items()]
    findings += [_optional(name, module, advice) for name, (module, advice) in _OPTIONAL.items()]
    return findings


def documentation(package: Path = Path(__file__).parents[1]) -> Finding:
    """Return where the documentation is: in the package, or in the clone that the package is read from."""
    for folder in (package / "documentation", package.parents[1]):
        if (folder / "README.md").is_file() and (folder / "docs").is_dir():
            return Finding("documentation", f"{folder / 'README.md'} and docs beside it")
    return Finding("documentation", "missing", "note", "install vitripick again from a wheel, or from a clone")


def system() -> list[Finding]:
    """Return platform, CPU, memory and GPU."""
    return [Finding("platform", platform.platform()), cpu(), threads(), *torch_on_cpu(), memory(), gpu()]


def cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> Finding:
    """Return the CPU's model, cores and relevant instructions; "unknown" if there is no such file."""
    cores = usable_cores()
    fields = _first_processor(cpuinfo)
    model = fields.get("model name") or platform.processor() or "unknown"
    flags = set((fields.get("flags") or "").split())
    if not flags:
        return Finding("cpu", f"{model}, {cores} cores, instructions unknown")
    known = [label for flag, label in _CPU_FEATURES.items() if flag in flags]
    value = f"{model}, {cores} cores, {' '.join(known) or 'no avx2'}"
    if "avx2" not in flags:
        return Finding("cpu", value, "note", "picking works, several times slower than on a CPU with AVX2")
    return Finding("cpu", value)


def threads() -> Finding:
    """Return how many threads each library takes. If they are more in all than cores, they slow each other down."""
    import cv2

    from vitripick.models.engines import available_cores

    jobs = available_cores()
    blas = os.environ.get(BLAS_THREADS, "")
    opencv = 1 if jobs > 1 else cv2.getNumThreads()
    value = f"network {jobs}, for {jobs} at once; OpenCV {opencv}; BLAS {blas or 'one for each core'}"
    if blas != "1":
        return Finding(
            "threads",
            value,
            "note",
            f"without {BLAS_THREADS} in the environment, BLAS takes one thread and leaves the cores to the jobs",
        )
    return Finding("threads", value)


def torch_on_cpu() -> list[Finding]:
    """Return what torch can use of the CPU; nothing if torch is missing or broken, which `versions` reports."""
    torch = _torch()
    if torch is None:
        return []
    capability = torch.backends.cpu.get_cpu_capability()
    return [Finding("torch on the cpu", f"{capability}, {torch.get_num_threads()} threads")]


def memory(meminfo: Path = Path("/proc/meminfo")) -> Finding:
    """Return how much memory is free now, and how much there is."""
    try:
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        free, total = (int(fields[key].split()[0]) / 2**20 for key in ("MemAvailable", "MemTotal"))
    except (OSError, KeyError, ValueError, IndexError):
        return Finding("memory", "unknown")
    value = f"{free:.1f} of {total:.1f} GiB free"
    if free < _LITTLE_MEMORY_GIB:
        return Finding("memory", value, "note", "close other programs before you train; picking needs 1 GiB")
    return Finding("memory", value)


def gpu() -> Finding:
    """Return the GPUs that torch can use."""
    torch = _torch()
    if torch is None:
        from vitripick.models.device import may_have_gpu
        from vitripick.models.loading import INSTALL_TORCH

        if may_have_gpu():
            return Finding("gpu", "a GPU's driver is here, but torch is not", "note", f"{INSTALL_TORCH} to use the GPU")
        return Finding("gpu", "none; everything runs on the CPU")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Finding("gpu", f"{', '.join(names)} (CUDA {torch.version.cuda})")
    if Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi"):
        return Finding(
            "gpu",
            "an NVIDIA driver is here, but torch cannot use it",
            "note",
            "this torch is built for the CPU; install one with CUDA (pytorch.org, Get Started)"
            if torch.version.cuda is None
            else f"torch wants CUDA {torch.version.cuda}; update the driver or check CUDA_VISIBLE_DEVICES",
        )
    return Finding("gpu", "none; everything runs on the CPU")


def _torch() -> Any:
    """Return torch, or None where it is missing or broken."""
    from vitripick.models.loading import EngineLoadError, import_engine, is_installed

    try:
        return import_engine("torch") if is_installed("torch") else None
    except EngineLoadError:
        return None


def disk() -> list[Finding]:
    """Return the free disk space in the working directory and for temporary files."""
    places = {"disk here": Path.cwd(), "disk for temporary files": Path(tempfile.gettempdir())}
    return [_free_disk(name, folder) for name, folder in places.items()]


def micrograph_round_trip() -> Finding:
    """Return whether a small MRC file can be written to the temporary folder and read back."""
    name = "writing and reading a micrograph"
    try:
        import numpy as np

        from vitripick.errors import VitripickError
        from vitripick.formats import read_micrograph, write_mrc
    except ImportError as error:
        return Finding(name, _reason(error), "problem", "install vitripick again")
    image = np.arange(48 * 64, dtype=np.float32).reshape(48, 64)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "doctor.mrc")
            write_mrc(path, image, pixel_size=1.5)
            found = read_micrograph(path)
    except (OSError, VitripickError, ValueError) as error:
        return Finding(name, _reason(error), "problem", f"make {tempfile.gettempdir()} writable")
    if not np.array_equal(found.image, image) or found.pixel_size != 1.5:
        return Finding(name, "came back changed", "problem", "please report this, with this report")
    return Finding(name, "works")


def self_test_pick(test: Callable[[], dict[str, Any]] | None = None) -> Finding:
    """Return whether a made-up micrograph can be picked; `test` replaces `vitripick.picking.self_test`."""
    from vitripick.errors import VitripickError

    name, report = "self-test pick", "please report this, with this report"
    started = time.perf_counter()
    try:
        if test is None:
            from vitripick.picking import self_test

            test = self_test
        result = test()
    except VitripickError as error:
        return Finding(name, str(error), "problem", report)
    except ImportError as error:
        return Finding(name, _reason(error), "problem", "install vitripick again: a part of it is missing")
    except MemoryError as error:
        return Finding(name, _reason(error), "problem", "free some memory and try again")
    except (OSError, RuntimeError, ValueError) as error:  # what torch and damaged files raise
        return Finding(name, _reason(error), "problem", report)
    in_all = time.perf_counter() - started
    n, found, false = result["n_particles"], result["n_found"], result["n_false"]
    value = (
        f"{found} of {n} particles found, {false} false, with {result['model']} on {result.get('engine', 'torch')}; "
        f"{result['seconds']:.2f} s ({in_all:.1f} s with starting up)"
    )
    if found < _ENOUGH_FOUND * n or false > _MOST_FALSE * n:
        return Finding(name, value, "problem", f"{report}: a good installation finds nearly all of them")
    return Finding(name, value)


def _needed(name: str, module: str) -> Finding:
    version = _version(module)
    if isinstance(version, str):
        return Finding(name, version)
    if version is None:
        return Finding(name, "missing", "problem", "install vitripick again: pip install vitripick")
    return Finding(name, _broken(version), "problem", f"install it again: pip install --force-reinstall {name}")


def _optional(name: str, module: str, advice: str) -> Finding:
    version = _version(module)
    if isinstance(version, str):
        return Finding(name, version)
    if version is None:
        return Finding(name, "not installed", "note", advice)
    again = f"install it again (pip install --force-reinstall {name}) or remove it (pip uninstall {name})"
    return Finding(name, _broken(version), "note", again)


def _broken(error: Exception) -> str:
    return f"installed, but cannot be loaded ({_reason(error)})"


def _version(module: str) -> str | Exception | None:
    """Return a module's version; the error if it is installed but cannot be imported; None if it is not installed."""
    import importlib

    from vitripick.models.loading import BROKEN, is_installed

    try:
        if not is_installed(module):
            return None
        return str(getattr(importlib.import_module(module), "__version__", "unknown version"))
    except BROKEN as error:
        return error


def _first_processor(cpuinfo: Path) -> dict[str, str]:
    try:
        lines = cpuinfo.read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _free_disk(name: str, folder: Path) -> Finding:
    try:
        free = shutil.disk_usage(folder).free / 2**30
    except OSError as error:
        return Finding(name, f"{folder}: {_reason(error)}", "problem", "go to a folder that is there")
    value = f"{free:.1f} GiB free in {folder}"
    if not os.access(folder, os.W_OK):
        return Finding(name, f"{value}, which you may not write to", "note", "write outputs elsewhere: --out")
    if free < _LITTLE_DISK_GIB:
        return Finding(name, value, "note", "make room, or write outputs elsewhere: --out")
    return Finding(name, value)


def _reason(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _print_table(findings: list[Finding], picks: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    # Users paste the report into questions, so its lines are not wrapped in a file or a pipe.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(_table(findings))
    n_problems = sum(finding.status == "problem" for finding in findings)
    verdict = "picking works on this machine" if picks else "picking does not work on this machine"
    if n_problems > (not picks):
        verdict += f"; problems: {n_problems}, see above"
    console.print(Text(verdict, style="green" if picks and not n_problems else "red"))


def _table(findings: list[Finding]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    styles = {"ok": "green", "note": "yellow", "problem": "bold red"}
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for finding in findings:
        found = Text(finding.value)  # rich would read [brackets] of a path as markup, but not in a Text
        if finding.advice:
            found.append(f"\n→ {finding.advice}", style=styles[finding.status])
        table.add_row(Text(finding.status, style=styles[finding.status]), finding.name, found)
    return table
