"""Show where the time of a run goes, for each stage; files from the disk and from memory are counted separately."""

from __future__ import annotations

import ctypes
import mmap
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vitripick.cores import usable_cores
from vitripick.errors import parameter
from vitripick.models.engines.choose import has_int8_instructions
from vitripick.runs.record import Record
from vitripick.text import count

STAGES = ("read", "prepare", "network", "decode", "write", "other")
_PLACES = ("from memory", "partly from memory", "from disk", "from where is unknown")
# A stage that takes more than this share of a micrograph's time is mentioned.
_MUCH = 0.5
_N_PIECES, _PIECE_PAGES = 32, 16


def cached_share(path: Path) -> float | None:
    """Return the share of a file that lies in the system's file cache, 0-1; None if unknown, as outside of Linux.

    In a large file only pieces at equal steps are looked at, because asking for each of its pages takes 2 ms.
    """
    if sys.platform != "linux":
        return None
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            n_pages = -(-len(mapped) // mmap.PAGESIZE)
            whole = np.frombuffer(mapped, np.uint8)
            start, mincore = whole.ctypes.data, ctypes.CDLL(None).mincore
            del whole  # the map cannot be closed while an array uses it
            n_pieces = min(_N_PIECES, -(-n_pages // _PIECE_PAGES))
            firsts = np.linspace(0, max(0, n_pages - _PIECE_PAGES), n_pieces).astype(int).tolist()
            pages = np.zeros((n_pieces, min(_PIECE_PAGES, n_pages)), np.uint8)
            for first, seen in zip(firsts, pages, strict=True):
                at = ctypes.c_void_p(start + first * mmap.PAGESIZE)
                if mincore(at, ctypes.c_size_t(len(seen) * mmap.PAGESIZE), ctypes.c_void_p(seen.ctypes.data)):
                    return None
    except (OSError, ValueError, AttributeError):  # an empty file; a system without mincore
        return None
    return float((pages & 1).mean())


class Profile:
    """Collects the times of micrographs as they are done."""

    def __init__(self) -> None:
        self._records: list[Record] = []

    def add(self, record: Record) -> None:
        """Count a micrograph that was picked; one that was done before has no times and is not counted."""
        if record.timings:
            self._records.append(record)

    def advice(self) -> list[str]:
        """Return what would make the run faster, as `advice` does."""
        return advice(self._records, cores=usable_cores())

    def table(self) -> str:
        """Return a table of median and longest milliseconds of each stage, for files from memory and from disk."""
        lines = []
        for place in _PLACES:
            here = [record for record in self._records if _place(record.cached) == place]
            if not here:
                continue
            lines.append(f"{count('micrograph', len(here))} {place}: ms, median (longest)")
            columns = {stage: [_milliseconds(record, stage) for record in here] for stage in STAGES}
            columns["in all"] = [1000 * record.seconds for record in here]
            lines += [f"  {name:<8}{statistics.median(ms):8.1f}  ({max(ms):.1f})" for name, ms in columns.items()]
        return "\n".join(lines)


def advice(records: Sequence[Record], *, cores: int | None = None) -> list[str]:
    """Return sentences on what would make a run of these micrographs faster; none where nothing stands out.

    Parameters
    ----------
    records
        Those that have times.
    cores
        Cores that the run may use, if that is known.
    """
    timed = [record for record in records if record.timings and record.seconds > 0]
    if not timed:
        return []
    whole = sum(record.seconds for record in timed)

    def share(stage: str, of: Sequence[Record]) -> float:
        return sum(record.timings.get(stage, 0.0) for record in of) / sum(record.seconds for record in of)

    lines = []
    from_disk = [record for record in timed if _place(record.cached) == _PLACES[2]]
    if len(from_disk) > len(timed) / 2 and share("read", from_disk) > _MUCH:
        n_bytes = sum(int(record.made_from.get("size_bytes", 0)) for record in from_disk)
        rate = n_bytes / 1e6 / max(1e-9, sum(record.timings.get("read", 0.0) for record in from_disk))
        lines.append(
            f"reading takes {share('read', from_disk):.0%} of a micrograph's time, at {rate:.0f} MB a second for each "
            "of the micrographs at once: the disk is the limit. Micrographs on a local disk, or more of them at once "
            f"({parameter('jobs')}), help most."
        )
    if share("write", timed) > _MUCH:
        lines.append(
            f"writing takes {share('write', timed):.0%} of a micrograph's time: leave out pictures that no one looks "
            f"at ({parameter('overlays')}, {parameter('thumbnails')}), or choose another disk for {parameter('out')}."
        )
    if share("network", timed) > _MUCH:
        lines += _about_engine(timed[-1].engine, share("network", timed))
    if cores == 1 and whole > 1:
        lines.append("one core does all the work; each further core picks another micrograph at the same time.")
    return lines


def _about_engine(engine: str, share: float) -> list[str]:
    start = f"the network takes {share:.0%} of a micrograph's time, on {engine}"
    if engine.endswith("int8") and engine.startswith("onnxruntime"):
        return [f"{start}; OpenVINO is faster: pip install 'vitripick[fast]'."]
    if engine.endswith("fp32") and not has_int8_instructions():
        return [
            f"{start}; a processor with VNNI or AMX would run it in int8, three to four times as fast, "
            "and a GPU would be even faster."
        ]
    if engine.endswith("fp32"):
        return [
            f"{start}; this processor would run it in int8, three to four times as fast; for a model of your own "
            f"ask for it: {parameter('precision', 'int8')}."
        ]
    return []


def _place(cached: float | None) -> str:
    if cached is None:
        return _PLACES[3]
    return _PLACES[0] if cached > 0.9 else _PLACES[2] if cached < 0.1 else _PLACES[1]


def _milliseconds(record: Record, stage: str) -> float:
    if stage == "other":
        return 1000 * max(0.0, record.seconds - sum(record.timings.values()))
    return 1000 * record.timings.get(stage, 0.0)
