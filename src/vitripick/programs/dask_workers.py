"""Hand micrographs to Dask's workers, and keep what a worker loads for them; used for particles and for filaments."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from vitripick.errors import InputError
from vitripick.formats import MicrographFile
from vitripick.programs.batch_jobs import Watch

if TYPE_CHECKING:
    from distributed import Client, KilledWorker

_SECONDS_BETWEEN_LOOKS = 1.0


class Share(Protocol):
    """Says what every kind of work on a worker must know: the model as the caller sees it, and the caller's folder."""

    @property
    def model(self) -> str:
        """Return the name or path of the model."""

    @property
    def sha256(self) -> str:
        """Return the hash of the caller's model."""

    @property
    def folder(self) -> str:
        """Return the folder that the caller works in."""


S = TypeVar("S", bound=Share)
T = TypeVar("T")


class OncePerShare(Generic[S, T]):
    """Keeps what a worker process loads for its first micrograph, until work of another kind arrives."""

    def __init__(self, load: Callable[[S], T]) -> None:
        self._load = load
        self._kept: dict[S, T] = {}
        self._loading = threading.Lock()

    def of(self, share: S) -> T:
        """Return what is loaded for a share of work, in the caller's folder."""
        # Paths are written as they were typed, so a worker must work in the same folder as the caller.
        if os.getcwd() != share.folder:
            os.chdir(share.folder)
        with self._loading:
            if share not in self._kept:
                loaded = self._load(share)
                self._kept.clear()
                self._kept[share] = loaded
            return self._kept[share]


def refuse_another_model(sha256: str, share: Share) -> None:
    """Raise `InputError` if the model that a worker finds is not the caller's."""
    if sha256 != share.sha256:
        raise InputError(
            f"{share.model}: this worker finds another model under this name than the caller. Give a path that all "
            "machines share."
        )


def as_they_end(futures: Sequence[Any], watch: Watch) -> Iterator[Any]:
    """Yield each future when it ends, and let the watch look every second meanwhile."""
    ended: SimpleQueue[Any] = SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    for _ in futures:
        while True:
            watch.look()
            with suppress(Empty):
                future = ended.get(timeout=_SECONDS_BETWEEN_LOOKS)
                break
        yield future


def each_on_workers(
    client: Client,
    watch: Watch,
    work: Callable[[S, MicrographFile, str], T],
    share: S,
    files: Sequence[MicrographFile],
    stems: dict[str, str],
    give_up: Callable[[MicrographFile, KilledWorker], T],
) -> Iterator[tuple[MicrographFile, T]]:
    """Yield each micrograph with what `work` made of it on a worker, as it becomes known.

    If every worker that had a micrograph died, most likely because it needs more memory than they have, `give_up` says
    what becomes of it. Any other error ends the work and is raised.
    """
    from distributed import KilledWorker

    # Dask would return the remembered results of an earlier run, so pure=False makes it look at the disk again.
    futures = {client.submit(work, share, file, stems[file.name], pure=False): file for file in files}
    for future in as_they_end(list(futures), watch):
        error = future.exception()
        if error is None:
            yield futures[future], future.result()
        elif isinstance(error, KilledWorker):
            yield futures[future], give_up(futures[future], error)
        else:
            client.cancel([f for f in futures if not f.done()])
            raise error
        future.release()
