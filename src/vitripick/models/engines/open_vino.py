"""Run a network with OpenVINO, the fastest engine on CPUs (extra `[fast]`)."""

from __future__ import annotations

import contextlib
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.models.detections import Batch, Decoding
from vitripick.models.loading import BROKEN, cannot_load, import_engine

# A network that is compiled for one shape of images is up to twice as fast as one for any shape, and takes half a
# second to compile. In a run with more shapes than this, the others use the network for any shape.
_N_SHAPES = 4
# One thread alone makes the first inference of a process, because two threads at once in OpenVINO's Python layer
# (2026.4) often block each other. Probably it sets up tables there: one thread holds their lock and the other one
# Python's lock.
_first = threading.Lock()
_was_first = threading.Event()
_importing = threading.Lock()


def import_openvino() -> Any:
    """Return the module, and prevent it from sending statistics.

    On import OpenVINO reports its use to a server, by forking a process from a thread. The user has not agreed to that,
    and if other threads are already at work, it can hang. Without its telemetry package it uses a stub. Errors are
    those of `import_engine`.
    """
    converter = "openvino.tools.ovc"
    with _importing:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        if "openvino" in sys.modules or converter in sys.modules:
            return import_engine("openvino")
        # The converter for models of other programs takes as long to load as the rest, and picking needs none. Another
        # user of this process may want it, so it is hidden for this import only.
        sys.modules[converter] = None  # type: ignore[assignment]
        try:
            return import_engine("openvino")
        finally:
            del sys.modules[converter]


class OpenVinoNetwork:
    """Holds a network that OpenVINO runs on the CPU.

    Parameters
    ----------
    path
        Path of the ONNX graph.
    decoding
        How its maps are read.
    streams
        Number of calls of `run` that may run at the same time, from as many threads.
    threads
        Threads for all of them together.
    """

    def __init__(self, path: Path, decoding: Decoding, *, streams: int, threads: int) -> None:
        openvino = import_openvino()
        self.decoding = decoding
        self.version = f"openvino {str(getattr(openvino, '__version__', 'unknown')).split('-')[0]}"
        try:
            self._core: Any = openvino.Core()
            # Its part for CPUs is a separate library, which is loaded only when it is needed.
            self._core.get_property("CPU", "FULL_DEVICE_NAME")
        except BROKEN as error:
            raise cannot_load("openvino", error) from error
        self._path = path
        self._options = {
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": str(threads),
            # By default it would use bfloat16 on processors that have it, which is not fp32.
            "INFERENCE_PRECISION_HINT": "f32",
            # Pinned threads of several processes, such as the shards of one node, would all sit on the first cores.
            "ENABLE_CPU_PINNING": "NO",
        }
        self._compiled: dict[tuple[int, ...] | None, Future[Any]] = {}
        self._compilers = ThreadPoolExecutor(2, thread_name_prefix="compile")
        self._lock = threading.Lock()
        self._own = threading.local()

    def run(self, images: Batch) -> Batch:
        """Turn prepared images (n, 1, h, w) into raw maps."""
        shape, compiled = self._for_shape(images.shape)
        requests: dict[tuple[int, ...] | None, Any] = self._own.__dict__.setdefault("requests", {})
        if shape not in requests:
            requests[shape] = compiled.result().create_infer_request()
        request = requests[shape]
        _infer(request, np.ascontiguousarray(images))
        # The result is copied, because the request's memory is used again.
        raw: Batch = np.array(request.get_output_tensor(0).data)
        return raw

    def expect(self, shape: tuple[int, ...]) -> None:
        """Begin to compile the network for images of this shape in another thread, without waiting for it.

        A run knows the shape of its images before it has read the first one, and compiling takes as long as reading.
        """
        self._for_shape(shape)

    def _for_shape(self, images: tuple[int, ...]) -> tuple[tuple[int, ...] | None, Future[Any]]:
        """Return the network for images of a shape; the first one that asks has it compiled."""
        with self._lock:
            known = images in self._compiled
            shape = images if known or len(self._compiled) < _N_SHAPES else None
            if shape not in self._compiled:
                self._compiled[shape] = self._compilers.submit(self._compile, shape)
            return shape, self._compiled[shape]

    def _compile(self, shape: tuple[int, ...] | None) -> Any:
        model = self._core.read_model(str(self._path))
        if shape is not None:
            model.reshape(list(shape))
        return self._core.compile_model(model, "CPU", self._options)


def _infer(request: Any, images: Batch) -> None:
    with contextlib.nullcontext() if _was_first.is_set() else _first:
        request.infer([images])
    _was_first.set()
