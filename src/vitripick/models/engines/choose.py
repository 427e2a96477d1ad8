"""Choose the engine that runs a model here, and load the model on it."""

from __future__ import annotations

import importlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vitripick.cores import usable_cores
from vitripick.errors import UsageError, parameter
from vitripick.models.card import ModelCard
from vitripick.models.detections import DECODERS, Network
from vitripick.models.device import device_name
from vitripick.models.engines import graph as graphs
from vitripick.models.engines.graph import Graph
from vitripick.models.filament_card import check_kind
from vitripick.models.loading import (
    INSTALL_TORCH,
    EngineLoadError,
    MissingPackageError,
    import_torch,
    is_installed,
    say_once,
)
from vitripick.models.model import Model, open_model
from vitripick.settings.pick import EngineName, PrecisionName

# Images per batch on a GPU, if as many micrographs are worked on at once; two batches run at the same time.
_BATCH = 8
# The engines, fastest first.
_WITH_GRAPHS: tuple[Literal["openvino", "onnxruntime"], ...] = ("openvino", "onnxruntime")
_INSTALL = {"openvino": "pip install 'vitripick[fast]'", "onnxruntime": "pip install onnxruntime"}
# Processors with one of these multiply int8 several times faster than floats; elsewhere int8 brings little.
_INT8_INSTRUCTIONS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}


@dataclass(frozen=True, eq=False)
class EngineModel:
    """Holds a model on an engine, ready to pick from any thread.

    Attributes
    ----------
    network
        The network that `detect` runs.
    card, sha256, path
        As of the model.
    engine
        The engine in words: `openvino 2026.4.1, int8`.
    note
        Why it is not a faster one, if there is a reason to report.
    """

    network: Network
    card: ModelCard
    sha256: str
    path: Path | None
    engine: str
    note: str = ""


def load_model(
    name_or_path: str | Path,
    *,
    engine: EngineName = "auto",
    precision: PrecisionName = "auto",
    device: str = "auto",
) -> EngineModel:
    """Return a released model by its name, or a bundle by its path, ready to pick.

    Parameters
    ----------
    name_or_path
        `"general"`, or a file that training wrote.
    engine, precision
        As in `load_on_engine`.
    device
        `cpu`, `cuda`, `cuda:1` …; `auto` is a GPU where torch can use one.

    Raises
    ------
    InputError
        If there is no such name, file or device.
    FormatError
        If the file is not one of our bundles.
    UsageError
        As in `load_on_engine`.
    """
    # With an engine that runs on the CPU only, there is no device to look for.
    where = "cpu" if device == "auto" and engine not in ("auto", "torch") else device_name(device)
    return load_on_engine(open_model(name_or_path), engine=engine, precision=precision, device=where)


def load_on_engine(
    model: Model,
    *,
    engine: EngineName = "auto",
    precision: PrecisionName = "auto",
    device: str = "cpu",
    jobs: int = 1,
    threads: int | None = None,
    filaments: bool = False,
) -> EngineModel:
    """Load a model on the engine asked for, or on the fastest one that is installed and works.

    `auto` on a CPU is OpenVINO, else ONNX Runtime; in int8 where the processor has instructions for it and the model
    came with an int8 graph, which was judged on real micrographs before it was released; else in fp32, with a graph
    that lies beside the model, or that torch makes at first use. Torch runs all other cases: other devices, models that
    were never saved, networks that cannot be exported.

    Parameters
    ----------
    model
        From `open_model`, or from `load_weights`, whose weights then need not be loaded again.
    engine, precision
        `auto`, or the engine and precision that must be used.
    device
        `cpu`, or a CUDA device, where only torch runs.
    jobs
        Number of calls that will run at the same time.
    threads
        Threads of the network, for all jobs together; one for each core by default.
    filaments
        Whether it is to trace filaments; a model of the other kind is refused.

    Raises
    ------
    UsageError
        If the engine is not installed, or does not go with the precision or the device, or the model is of the other
        kind.
    MissingPackageError
        If torch is needed and not installed: for another device, or for a model without a graph.
    GraphExportError
        If the engine asked for cannot run this network.
    """
    check_kind(model, filaments=filaments)
    threads = available_cores() if threads is None else threads
    if device != "cpu" or engine == "torch":
        if device != "cpu" and engine not in ("auto", "torch"):
            raise UsageError(
                f"{parameter('engine', engine)} runs on the CPU only, not on {parameter('device', device)}; leave one "
                "out."
            )
        asked = parameter("engine", "torch") if device == "cpu" else parameter("device", device)
        return _on_torch(model, precision, device, threads, jobs=jobs, what=asked)
    installed = [name for name in _WITH_GRAPHS if is_installed(name)]
    if engine != "auto":
        if engine not in installed:
            raise UsageError(f"{parameter('engine', engine)} is not installed: {_INSTALL[engine]}.")
        installed = [engine]
    if not installed or not model.sha256:
        if engine != "auto":
            raise UsageError(f"{parameter('engine', engine)}: a model that was never saved runs on torch only.")
        return _on_torch(model, precision, device, threads, note="" if installed else "no other engine is installed")
    graph = _graph(model, precision)
    if isinstance(graph, str):
        if engine != "auto":
            raise UsageError(f"{parameter('engine', engine)}: {graph}")
        return _on_torch(model, precision, device, threads, note=graph, what="picking with this model")
    if graph.info.decoding.kind not in DECODERS:
        # An architecture's own decoder is in that architecture's file, which imports torch.
        importlib.import_module("vitripick.models.architectures")
    for name, following in zip(installed, (*installed[1:], "torch"), strict=True):
        try:
            network, version = _network(name, graph, jobs, threads)
        except EngineLoadError as error:
            if engine != "auto":
                raise EngineLoadError(
                    f"{parameter('engine', name)}: {error}. Leave {parameter('engine')} out, or mend that: "
                    f"`vitripick doctor` looks at it, too."
                ) from error
            say_once(f"{error}, so {following} runs the network")
            continue
        about = f"{version}, {graph.info.precision}"
        return EngineModel(network, model.card, model.sha256, model.path, about)
    return _on_torch(model, precision, device, threads)


def _network(name: str, graph: Graph, jobs: int, threads: int) -> tuple[Network, str]:
    """Return the network on an engine, and the engine's version; `EngineLoadError` if it does not start."""
    if name == "openvino":
        from vitripick.models.engines.open_vino import OpenVinoNetwork

        fastest = OpenVinoNetwork(graph.path, graph.info.decoding, streams=jobs, threads=max(threads, jobs))
        return fastest, fastest.version
    from vitripick.models.engines.onnx_runtime import OnnxRuntimeNetwork

    light = OnnxRuntimeNetwork(graph.path, graph.info.decoding, threads=max(1, threads // jobs))
    return light, light.version


def _graph(model: Model, precision: PrecisionName) -> Graph | str:
    """Return the graph to run, which is made if necessary; or the reason in words if there is none."""
    if precision == "auto":
        shipped = graphs.shipped_graph(model, "int8") if has_int8_instructions() else None
        if shipped is not None:
            return shipped
        precision = "fp32"
    found = graphs.find_graph(model, precision)
    if found is not None:
        return found
    if not is_installed("torch"):
        graph_name = f"{model.card.name if model.path is None else model.path.stem}.{precision}"
        raise MissingPackageError(
            f"{model.path or model.card.name}: ONNX Runtime runs this model from a graph. Put {graph_name}.json and "
            f"{graph_name}.onnx beside the model, if `vitripick train` or `vitripick models` wrote them where it was "
            f"trained; or install torch, which makes the graph: {INSTALL_TORCH}."
        )
    try:
        import_torch("a graph of this model")
        from vitripick.models.engines.export import GraphExportError, make_graph
        from vitripick.models.weights import weights_of
    except EngineLoadError as error:
        return f"no graph could be made, since {error}"
    try:
        return make_graph(weights_of(model), precision)
    except GraphExportError as error:
        if precision == "int8":
            raise
        return str(error)
    except EngineLoadError as error:
        return f"no graph could be made, since {error}"
    except OSError as error:
        return f"no graph can be kept in {graphs.cache_folder()} ({error.strerror}); set {graphs.CACHE_VARIABLE}."


def _on_torch(
    model: Model, precision: PrecisionName, device: str, threads: int, *, jobs: int = 1, note: str = "", what: str = ""
) -> EngineModel:
    """Return the model in torch; `what` names in an error what needs torch, if it is not a missing engine."""
    if precision == "int8":
        raise UsageError(
            f"{parameter('precision', 'int8')}: torch runs networks in fp32 only (fp16 on a GPU); leave out "
            f"{parameter('engine', 'torch')} or {parameter('device')}."
        )
    torch = import_torch(what or "picking without ONNX Runtime and OpenVINO")
    from vitripick.models.run import for_inference
    from vitripick.models.weights import weights_of

    # While a GPU works, the cores read and prepare micrographs, each in its own thread.
    torch.set_num_threads(max(1, threads) if device == "cpu" else 1)
    detector: Any = for_inference(weights_of(model).detector, device)  # type: ignore[type-var]
    version = f"torch {torch.__version__}"
    if device == "cpu":
        return EngineModel(detector, model.card, model.sha256, model.path, f"{version}, fp32", note)
    from vitripick.models.engines.batching import BatchedNetwork

    half = precision == "auto"
    network = BatchedNetwork(detector, batch=max(1, min(_BATCH, jobs // 2)), half=half)
    about = f"{version}, {'fp16' if half else 'fp32'} on {device}"
    return EngineModel(network, model.card, model.sha256, model.path, about, note)


def available_cores() -> int:
    """Return the cores this process may use: its affinity, and no more than OMP_NUM_THREADS where that is set."""
    cores = usable_cores()
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(asked)) if asked.isdecimal() and int(asked) else cores


def has_int8_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether int8 is faster on this processor, as far as that can be known."""
    if platform.system() != "Linux":
        return False
    try:
        first = cpuinfo.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return False
    return bool(_INT8_INSTRUCTIONS & set(first.split()))
