"""Run torch on batches of several micrographs: images of several threads go through a GPU together.

A GPU is fast on batches and slow on single images, and it is idle while a copy waits. A thread that finds a free lane
takes all waiting images, runs them as one batch, and gives the other threads their maps. Two batches run at the same
time: one is copied while the network works on the other.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vitripick.models.detections import Batch, Decoding
from vitripick.models.detector import Detector

_LANES = 2
# Larger batches bring nothing more on a GPU, and an image of 2048² needs 0.6 GB.
_MOST_PIXELS = 8 << 20


@dataclass(eq=False)
class _Request:
    """Holds one image, (1, h, w), whose maps a thread waits for."""

    image: Batch
    maps: Batch | None = None
    error: Exception | None = None


class BatchedNetwork:
    """Runs a detector on a device, with images of several threads in one batch.

    Parameters
    ----------
    detector
        As `for_inference` gives it, on the device.
    batch
        Images of each batch. All batches have this size, filled up where fewer images wait, because a GPU may round
        differently in a batch of another size; so picks do not depend on which micrographs happen to wait together.
    half
        Multiply in float16. Maps that are not finite then are made again in float32.
    """

    def __init__(self, detector: Detector, *, batch: int = 1, half: bool = False) -> None:
        self.decoding: Decoding = detector.decoding
        self._detector, self._batch = detector, batch
        self._half = copy.deepcopy(detector).half() if half else None
        self._device = next(detector.parameters()).device
        self._turn = threading.Condition()
        self._waiting: list[_Request] = []
        self._lanes = [_Lane(self._device) for _ in range(_LANES)]

    def run(self, images: Batch) -> Batch:
        """Turn prepared images (n, 1, h, w) into raw maps, from any thread."""
        requests = [_Request(np.ascontiguousarray(image, np.float32)) for image in images]
        with self._turn:
            self._waiting += requests
        maps = []
        for request in requests:
            self._finish(request)
            if request.error is not None:
                raise request.error
            maps.append(request.maps)
        return np.stack(maps)  # type: ignore[arg-type]

    def _finish(self, request: _Request) -> None:
        """Wait until a request is done; during this time, run waiting images if a lane is free."""
        while True:
            with self._turn:
                self._turn.wait_for(lambda: _is_done(request) or (self._lanes and self._waiting))
                if _is_done(request):
                    return
                lane, batch = self._lanes.pop(), self._take()
            try:
                self._run(lane, batch)
            except (RuntimeError, MemoryError) as error:  # torch's own errors; each thread raises it
                for one in batch:
                    one.error = error
            finally:
                with self._turn:
                    for one in batch:
                        if not _is_done(one):  # another error is raised in this thread
                            one.error = RuntimeError("another micrograph of the same batch failed")
                    self._lanes.append(lane)
                    self._turn.notify_all()

    def _take(self) -> list[_Request]:
        """Return the images that go through the network next: all of one shape."""
        shape = self._waiting[0].image.shape
        most = self._size(shape)
        taken = [one for one in self._waiting if one.image.shape == shape][:most]
        self._waiting = [one for one in self._waiting if all(one is not other for other in taken)]
        return taken

    def _size(self, shape: Sequence[int]) -> int:
        return max(1, min(self._batch, _MOST_PIXELS // (shape[-1] * shape[-2])))

    @torch.inference_mode()
    def _run(self, lane: _Lane, batch: list[_Request]) -> None:
        shape = batch[0].image.shape
        images = lane.host("in", (self._size(shape), *shape))
        for place, request in zip(images.numpy(), batch, strict=False):
            place[:] = request.image
        with lane.at_work():
            on_device = images.to(self._device, non_blocking=True).contiguous(memory_format=torch.channels_last)
            if self._half is not None:
                maps = self._maps(lane, self._half, on_device.half())
            if self._half is None or not np.isfinite(maps[: len(batch)]).all():
                maps = self._maps(lane, self._detector, on_device)
        for request, own in zip(batch, maps, strict=False):
            request.maps = own.copy()  # the lane's memory is used again

    def _maps(self, lane: _Lane, detector: Detector, images: Tensor) -> Batch:
        raw: Tensor = detector(images)
        out = lane.host("out", tuple(raw.shape))
        out.copy_(raw, non_blocking=True)
        lane.wait()
        result: Batch = out.numpy()
        return result


class _Lane:
    """Holds one batch at a time: memory that the device reads and writes by itself, and the order of what happens."""

    def __init__(self, device: torch.device) -> None:
        self._is_cuda = device.type == "cuda"
        self._stream: Any = torch.cuda.Stream(device) if self._is_cuda else None  # type: ignore[no-untyped-call]
        self._memory: dict[str, Tensor] = {}

    def host(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return memory of this shape; pinned beside a GPU, so that copies run by themselves."""
        if name not in self._memory or self._memory[name].shape != shape:
            self._memory[name] = torch.zeros(shape, pin_memory=self._is_cuda)
        return self._memory[name]

    def at_work(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context in which the device works in this lane's order."""
        return torch.cuda.stream(self._stream) if self._is_cuda else contextlib.nullcontext()

    def wait(self) -> None:
        """Wait for the work of this lane; Python's lock is free during this time."""
        if self._is_cuda:
            self._stream.synchronize()


def _is_done(request: _Request) -> bool:
    return request.maps is not None or request.error is not None
