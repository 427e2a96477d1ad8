"""Run a network with ONNX Runtime, which is light, starts fast, and is always installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitripick.models.detections import Batch, Decoding
from vitripick.models.loading import cannot_load, import_engine


class OnnxRuntimeNetwork:
    """Holds a network that ONNX Runtime runs on the CPU.

    Parameters
    ----------
    path
        Path of the ONNX graph.
    decoding
        How its maps are read.
    threads
        Threads for each call of `run`; calls from several threads run at the same time.
    """

    def __init__(self, path: Path, decoding: Decoding, *, threads: int) -> None:
        onnxruntime = import_engine("onnxruntime")
        try:
            options = onnxruntime.SessionOptions()
        except AttributeError as error:  # a removed package may leave an empty folder of this name
            raise cannot_load("onnxruntime", error) from error
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait would take cores from the threads that read and write.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self.decoding = decoding
        self.version = f"onnxruntime {onnxruntime.__version__}"
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, images: Batch) -> Batch:
        """Turn prepared images (n, 1, h, w) into raw maps."""
        raw: Batch = self._session.run(None, {"images": images})[0]
        return raw
