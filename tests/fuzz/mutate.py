"""Give damaged files to every reader: `python tests/fuzz/mutate.py --seconds 300 --seed 0`, or `make fuzz`.

Each reader gets small sound files, changed at random: bytes turned over, numbers made extreme, lines doubled, ends cut
off. A reader may return something or raise one of our errors. Anything else, more than two seconds for a file, or
more than one GiB of memory is a finding; the file is then kept, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import faulthandler
import gzip
import io
import json
import logging
import os
import random
import re
import resource
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vitripick.errors import VitripickError

SECONDS_A_FILE, BYTES_A_FILE = 2.0, 1 << 30
# A reader that does not return at all ends the process after this time, with a traceback of where it was.
_HANGS, _FILES_A_WATCH = 60.0, 100
_shown = sys.__stderr__
_VALUES: list[Any] = [
    *(None, True, 0, -1, 1e308, 10**20, -1e-320, "", "nan", "x", "\0", "a/../b", "\u2028", [], {}, [[]], [0], {"x": 1}),
    *([1, 2], [0, 0], [1e9, 1e9], [-1, 5], 2**31, 2**63, 0.5, 5),
]
_TOKENS = [
    *(b"nan", b"inf", b"-1", b"0", b"1e308", b"1e999", b"9" * 400, b"9" * 5000, b"", b"null", b"[" * 2000, b"{}"),
    *(b"\r", b"\r\n", b"\n\n", b"\t", b"\xe2\x80\xa8", b"\0", b",", b'"', b"_rlnCoordinateX", b"loop_", b"?", b"\xff"),
]
_WORDS = [0, 1, 2, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1]


@dataclass(frozen=True)
class Reader:
    """A reader, the file it gets, and how that file is changed.

    Attributes
    ----------
    name
        What the line of the report calls it.
    path
        A sound file; a changed one is written over it, because some readers look at what lies beside it.
    read
        Called with the path.
    change
        Returns a changed copy of the bytes.
    """

    name: str
    path: Path
    read: Callable[[Path], object]
    change: Callable[[bytes, random.Random], bytes]


@dataclass
class Tally:
    """What came of a reader's files."""

    n: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    """Turn bytes over, put extreme words in, cut, repeat."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not changed:
            break
        # Headers say the most, so half of the changes go there.
        at = rng.randrange(min(len(changed), 256) if rng.random() < 0.5 else len(changed))
        what = rng.random()
        if what < 0.4:
            changed[at] = rng.randrange(256)
        elif what < 0.7:
            changed[at : at + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(_WORDS))
        elif what < 0.8:
            del changed[at:]
        elif what < 0.9:
            changed[at:at] = changed[at : at + rng.randrange(1, 64)]
        else:
            changed[at:at] = rng.choice(_TOKENS)
    return bytes(changed)


def change_text(data: bytes, rng: random.Random) -> bytes:
    """Put extreme numbers and odd tokens in, repeat, leave out and join lines; sometimes as `change_bytes`."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        what = rng.random()
        lines = data.split(b"\n")
        i = rng.randrange(len(lines))
        if what < 0.5:
            words = list(re.finditer(rb"[-+.\w]+", data))
            if words:
                word = rng.choice(words)
                data = data[: word.start()] + rng.choice(_TOKENS) + data[word.end() :]
        elif what < 0.6:
            data = b"\n".join([*lines[:i], *lines[i + 1 :]])
        elif what < 0.7:
            data = b"\n".join([*lines[: i + 1], *lines[i:]])
        elif what < 0.75:
            data = data.replace(b"\n", rng.choice((b"\r", b"\r\n", b"\xe2\x80\xa8", b"")))
        elif what < 0.8:
            data = data[: rng.randrange(len(data) + 1)]
        else:
            data = change_bytes(data, rng)
    return data


def change_json(data: bytes, rng: random.Random) -> bytes:
    """Put another value in the place of one; sometimes as `change_text`."""
    if rng.random() < 0.3:
        return change_text(data, rng)
    value = json.loads(data)
    for _ in range(rng.choice((1, 1, 2))):
        places = [(value, key) for key in _keys(value)]
        for holder, key in places:
            places += [(holder[key], inner) for inner in _keys(holder[key])]
        if places:
            holder, key = rng.choice(places)
            if rng.random() < 0.15:
                del holder[key]
            else:
                holder[key] = json.loads(json.dumps(rng.choice(_VALUES)))
    return json.dumps(value).encode()


def _keys(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []


def change_lines_of_json(data: bytes, rng: random.Random) -> bytes:
    """Change one line of a file with a JSON object on each."""
    lines = data.splitlines()
    i = rng.randrange(len(lines))
    lines[i] = change_json(lines[i], rng)
    return b"\n".join(lines) + b"\n"


def change_npz(data: bytes, rng: random.Random) -> bytes:
    """Change the arrays inside; sometimes as `change_bytes`."""
    if rng.random() < 0.3:
        return change_bytes(data, rng)
    with np.load(io.BytesIO(data)) as file:
        arrays = {key: file[key] for key in file.files}
    key = rng.choice(list(arrays))
    what = rng.random()
    if what < 0.2:
        del arrays[key]
    elif what < 0.5:
        kinds = (np.float32("nan"), np.array([]), np.array("text"), np.float64(1e308), np.int64(-1), np.zeros((2, 2)))
        arrays[key] = np.asarray(rng.choice(kinds))
    elif what < 0.8:
        flat = arrays[key].ravel()
        if flat.size and flat.dtype.kind == "f":
            flat[rng.randrange(flat.size)] = rng.choice((np.nan, np.inf, 0, -1, 1e30))
        arrays[key] = flat.reshape(arrays[key].shape)
    else:
        arrays[key] = arrays[key].ravel()[: rng.randrange(arrays[key].size + 1)]
    changed = io.BytesIO()
    np.savez(changed, **arrays)
    return changed.getvalue()


def change_inside_gzip(data: bytes, rng: random.Random) -> bytes:
    """Change what is packed; sometimes the packing."""
    return change_bytes(data, rng) if rng.random() < 0.3 else gzip.compress(change_bytes(gzip.decompress(data), rng), 1)


def change_card(data: bytes, rng: random.Random) -> bytes:
    """Change the card in the head of a model bundle; sometimes the bytes of the head."""
    (n,) = struct.unpack_from("<Q", data)
    if rng.random() < 0.2:
        return change_bytes(data[: n + 8], rng) + data[n + 8 :]
    head = json.loads(data[8 : 8 + n])
    card = change_json(head["__metadata__"]["vitripick"].encode(), rng)
    head["__metadata__"]["vitripick"] = card.decode("utf-8", errors="replace")
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + n :]


def try_reader(reader: Reader, n: int, seed: int, *, until: float = float("inf"), keep: Path | None = None) -> Tally:
    """Give a reader `n` changed files, or as many as fit until a time of `time.monotonic()`."""
    sound, tally = reader.path.read_bytes(), Tally()
    reader.read(reader.path)  # the sound file must be read, or the rest says nothing
    before = _peak_bytes()
    rng = random.Random(f"{seed} {reader.name}")
    try:
        while tally.n < n and time.monotonic() < until:
            if tally.n % _FILES_A_WATCH == 0:  # starting the watch costs more than reading a small file
                faulthandler.dump_traceback_later(_HANGS, exit=True, file=_shown)
            changed = reader.change(sound, rng)
            reader.path.write_bytes(changed)
            problem = _try_one(reader, tally)
            if _peak_bytes() - before > BYTES_A_FILE:
                problem, before = "more than 1 GiB", _peak_bytes()
            if problem is not None:
                tally.findings.append(problem)
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    name = re.sub(r"\W+", "-", reader.name)
                    (keep / f"{name}.{tally.n}{''.join(reader.path.suffixes)}").write_bytes(changed)
    finally:
        faulthandler.cancel_dump_traceback_later()
        reader.path.write_bytes(sound)
    return tally


def _try_one(reader: Reader, tally: Tally) -> str | None:
    """Read the file once, and return what was wrong about that; None if nothing was."""
    tally.n += 1
    started = time.perf_counter()
    problem = None
    try:
        reader.read(reader.path)
        tally.errors["read"] += 1
    except VitripickError as error:
        tally.errors[type(error).__name__] += 1
    except Exception as error:  # noqa: BLE001  # finding these is what all of this is for
        tally.errors[type(error).__name__] += 1
        problem = f"{type(error).__name__}: {error}"[:200]
    seconds = time.perf_counter() - started
    tally.seconds += seconds
    tally.slowest = max(tally.slowest, seconds)
    return f"{seconds:.1f} s" if problem is None and seconds > SECONDS_A_FILE else problem


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def line_of(reader: Reader, tally: Tally) -> str:
    """Return the line of the report: files, seconds, the slowest file in ms, what they ended with."""
    ends = ", ".join(f"{name} {count}" for name, count in tally.errors.most_common())
    slowest = f"slowest {1000 * tally.slowest:.0f} ms"
    return f"{reader.name:24} {tally.n:7d} files {tally.seconds:7.1f} s  {slowest:16} {ends}"


def main() -> int:
    """Try every reader, print a line for each, and return 1 if there was a finding."""
    from fuzz.readers import all_readers

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0, help="time for all readers together")
    parser.add_argument("--files", type=int, default=10**9, help="most files for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only readers with this in their name")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="where files of findings go")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    # libpng and libjpeg write on stderr by themselves; the traceback of a hang must still be seen.
    global _shown
    _shown = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.stderr = _shown
    total, n_findings, started = 0, 0, time.monotonic()
    # A file that is written over again and again is slow on a disk, and fast in memory.
    in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
        readers = [reader for reader in all_readers(Path(folder)) if options.only in reader.name]
        for i, reader in enumerate(readers):
            left = options.seconds - (time.monotonic() - started)
            until = time.monotonic() + left / (len(readers) - i)
            tally = try_reader(reader, options.files, options.seed, until=until, keep=options.keep)
            print(line_of(reader, tally), flush=True)
            for finding, count in Counter(tally.findings).most_common(5):
                print(f"    FOUND {count} times: {finding}", flush=True)
            total, n_findings = total + tally.n, n_findings + len(tally.findings)
    peak = _peak_bytes() / 2**20
    print(f"{total} files, {len(readers)} readers, {n_findings} findings, {peak:.0f} MiB at most, seed {options.seed}")
    return 1 if n_findings else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(main())
