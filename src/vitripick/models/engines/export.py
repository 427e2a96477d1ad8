"""Make a graph of a model: exported by torch, quantised by ONNX Runtime, compared with torch before it is kept."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import nn

from vitripick.errors import InputError, UsageError, VitripickError, parameter
from vitripick.geometry import Image
from vitripick.models.bundle import TorchModel
from vitripick.models.detections import Detections, Network, decode
from vitripick.models.engines.calibration import calibration_images
from vitripick.models.engines.graph import Graph, GraphInfo, GraphPrecision, beside, keep_graph
from vitripick.models.engines.onnx_runtime import OnnxRuntimeNetwork
from vitripick.models.filament_bundle import FilamentModel
from vitripick.models.loading import INSTALL_TORCH, EngineLoadError, import_engine, is_installed
from vitripick.models.run import for_inference

log = logging.getLogger("vitripick")

_OPSET = 17
# Half of them would calibrate as well as unseen real ones (docs/benchmarks/speed.md); these take ten seconds.
_N_CALIBRATION, _N_COMPARED = 24, 6
# Seeds of the images to compare on; calibration has those from 0.
_COMPARED_FROM = 1000
# A graph must agree with torch within these limits: the mean difference of confidences where either sees something, and
# the share of detections of one that the other has, too.
_LARGEST_DIFFERENCE = {"fp32": 0.001, "int8": 0.05}
_SMALLEST_SHARED = {"fp32": 0.999, "int8": 0.98}
# A detection of one copy counts as shared if the other has one this near, in cells, with at least the lower
# confidence: one that lies on a threshold is not a disagreement.
_CELLS, _SURE, _LESS_SURE = 1.25, 0.3, 0.2


class GraphExportError(VitripickError):
    """Says that this model cannot run on another engine here; torch still runs it."""

    exit_code = 5


def make_graph(model: TorchModel | FilamentModel, precision: GraphPrecision, *, place: Path | None = None) -> Graph:
    """Export the model, quantise it if asked, compare the graph with torch, and store it.

    Parameters
    ----------
    model
        From `load_weights`; its hash names the graph.
    precision
        `"int8"` takes ten seconds longer.
    place
        Store it as this JSON instead of in the cache.

    Raises
    ------
    UsageError
        If `onnx` is missing.
    GraphExportError
        If torch cannot export this network, or the graph does not agree with it.
    OSError
        If it cannot be written.
    """
    detector: Any = for_inference(model.detector)  # type: ignore[type-var]
    decoding = detector.decoding
    images = calibration_images(
        model.card.preparation, n=_N_COMPARED, pad_to=decoding.pad_to, first_seed=_COMPARED_FROM
    )
    with tempfile.TemporaryDirectory(prefix="vitripick-export-") as folder:
        path = Path(folder) / "fp32.onnx"
        _export(detector, images[0], path)
        if precision == "int8":
            calibration = calibration_images(model.card.preparation, n=_N_CALIBRATION, pad_to=decoding.pad_to)
            path = _quantise(path, calibration, Path(folder))
        found = agreement(detector, OnnxRuntimeNetwork(path, decoding, threads=1), images)
        if found["difference"] > _LARGEST_DIFFERENCE[precision] or found["shared"] < _SMALLEST_SHARED[precision]:
            raise GraphExportError(
                f"model {model.card.name!r} in {precision} does not agree with torch (detections in common "
                f"{found['shared']:.3f}, confidences differ by {found['difference']:.3f}); give "
                f"{parameter('precision', 'fp32')} or {parameter('engine', 'torch')}."
            )
        info = GraphInfo(
            model_sha256=model.sha256,
            precision=precision,
            decoding=decoding,
            file="",
            file_sha256="",
            agreement={key: round(value, 5) for key, value in found.items()},
            made_with=_versions(),
        )
        return keep_graph(path.read_bytes(), info, place)


def write_graph(model: TorchModel | FilamentModel) -> Graph:
    """Make the fp32 graph beside the bundle, with which the model picks where torch is not installed.

    Parameters
    ----------
    model
        A model that was saved.

    Raises
    ------
    InputError
        If it was never saved.
    GraphExportError, OSError
        As in `make_graph`.
    """
    if model.path is None:
        raise InputError(f"model {model.card.name!r} was never saved, so there is no place for its graph.")
    return make_graph(model, "fp32", place=beside(model.path, "fp32"))


def write_graph_or_warn(model: TorchModel | FilamentModel) -> Graph | None:
    """Make the graph beside a new bundle, as `write_graph` does; if that fails, a warning says why, and None is
    returned.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    try:
        return write_graph(model)
    except (GraphExportError, EngineLoadError) as error:
        log.warning("%s has no graph beside it, so picking with it needs torch: %s", model.path, error)
        return None


def agreement(one: Network, other: Network, images: Sequence[Image]) -> dict[str, float]:
    """Return how similar two copies of a network are: the share of `n` detections that are `shared`, and the mean
    `difference` of confidences."""
    n_shared, n_all, differences = 0, 0, []
    for image in images:
        a, b = one.run(image[None, None]), other.run(image[None, None])
        channel = one.decoding.confidence_channel
        p, q = (1 / (1 + np.exp(-raw[:, channel].astype(np.float64))) for raw in (a, b))
        seen = np.maximum(p, q) > 0.05
        differences.append(float(np.abs(p - q)[seen].mean()) if seen.any() else 0.0)
        for mine, others in ((a, b), (b, a)):
            found = decode(mine, one.decoding, floor=_SURE)[0]
            n_all += len(found)
            n_shared += _n_near(found, decode(others, one.decoding, floor=_LESS_SURE)[0], _CELLS * one.decoding.stride)
    return {"shared": n_shared / n_all if n_all else 1.0, "difference": float(np.mean(differences)), "n": n_all}


def _n_near(found: Detections, others: Detections, within_px: float) -> int:
    if not len(found) or not len(others):
        return 0
    distance, _ = cKDTree(np.column_stack([others.x, others.y])).query(np.column_stack([found.x, found.y]))
    return int((distance <= within_px).sum())


def _export(detector: nn.Module, image: Image, path: Path) -> None:
    if not is_installed("onnx"):
        raise GraphExportError(f"a graph for a faster engine needs onnx, which is not installed: {INSTALL_TORCH}")
    names = {"images": {0: "n", 2: "h", 3: "w"}, "raw": {0: "n", 2: "rows", 3: "columns"}}
    example = torch.from_numpy(image[None, None])
    plain: nn.Module = detector.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    try:
        with _quiet(), torch.inference_mode():
            # torch's older exporter takes one second instead of fifteen, and needs no further package.
            torch.onnx.export(
                plain,
                (example,),
                str(path),
                input_names=["images"],
                output_names=["raw"],
                dynamic_axes=names,
                opset_version=_OPSET,
                dynamo=False,
            )
    except (
        RuntimeError,
        TypeError,
        ValueError,
        ImportError,
    ) as error:  # torch raises these if it cannot export a network
        raise GraphExportError(f"torch cannot export this network ({str(error).splitlines()[0]}).") from error


def _quantise(path: Path, images: Sequence[Image], folder: Path) -> Path:
    """Quantise weights to int8 by channel, activations to uint8 in ranges seen on `images`: what VNNI multiplies."""
    try:
        import onnx
    except ImportError as error:
        raise UsageError(f"{parameter('precision', 'int8')} for this model needs onnx: {INSTALL_TORCH}.") from error
    with _quiet():
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        class Reader(CalibrationDataReader):  # type: ignore[misc]
            def __init__(self) -> None:
                self._images = iter(images)

            def get_next(self) -> dict[str, Any] | None:
                image = next(self._images, None)
                return None if image is None else {"images": image[None, None]}

        ready, quantised = folder / "ready.onnx", folder / "int8.onnx"
        quant_pre_process(str(path), str(ready), skip_symbolic_shape=True)
        # The last layer is not quantised: its few maps have different ranges and would share one scale of 256 steps.
        last = [node.name for node in onnx.load(str(ready)).graph.node if "raw" in node.output]
        quantize_static(
            str(ready),
            str(quantised),
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_exclude=last,
        )
    return quantised


def _versions() -> dict[str, str]:
    onnxruntime = import_engine("onnxruntime")
    return {"torch": str(torch.__version__), "onnxruntime": str(onnxruntime.__version__)}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings about the exporter's age and absent packages, which do not help to pick particles."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
