"""Read compressed `.cs` files (CSDAT), which cryosparc-tools writes with `format=2`, through cryosparc-tools itself.

The format is not documented. Its own reader trusts the file, and a damaged file can crash the process (version 5.0.3:
31 of 300 files with some bytes changed). So the reader runs in a separate process.
"""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitripick.errors import FormatError

# The byte before it differs between versions: \x94 until cryosparc-tools 4, \x95 since 5.
_MAGIC = b"CSDAT"
# The file is read from stdin, so that a path never becomes part of a program.
_PROGRAM = """
import sys
sys.path[:1] = []  # the folder of the call, whose files may have the names of modules
import io, resource
import numpy as np
from cryosparc.dataset import Dataset
data = sys.stdin.buffer.read()
limit = 4 * 2**30 + 300 * len(data)
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
try:
    columns = {name: np.asarray(column) for name, column in Dataset.load(io.BytesIO(data)).cols().items()}
except Exception as error:
    sys.exit(str(error.__cause__ or error))
for name, column in columns.items():
    if column.dtype.kind == "O":
        columns[name] = np.char.encode(np.asarray(column.tolist(), "U"), "utf-8")
rows = np.zeros(len(columns["uid"]), [(name, one.dtype, one.shape[1:]) for name, one in columns.items()])
for name, column in columns.items():
    rows[name] = column
np.save(sys.stdout.buffer, rows, allow_pickle=False)
"""


def is_csdat(data: bytes) -> bool:
    """Return whether the bytes of a file begin as those of a compressed `.cs` do."""
    return data[1 : 1 + len(_MAGIC)] == _MAGIC


def read_csdat(path: Path, data: bytes) -> npt.NDArray[Any]:
    """Return the table of a compressed `.cs` file; text comes as UTF-8 bytes.

    Parameters
    ----------
    path
        The file, for messages.
    data
        Its bytes.

    Raises
    ------
    FormatError
        If cryosparc-tools is not installed, or cannot read the file.
    """
    if importlib.util.find_spec("cryosparc") is None:
        raise FormatError(
            f"{path}: this is a compressed .cs file (CSDAT), which is read with cryosparc-tools: "
            "pip install 'vitripick[cryosparc]', or save it again in the NumPy format, as picking jobs do."
        )
    done = subprocess.run([sys.executable, "-c", _PROGRAM], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1].strip()[:120].rstrip(".") if lines else "its reader crashed, so the file is damaged"
        raise FormatError(f"{path}: cryosparc-tools cannot read this compressed .cs file: {reason}.")
    rows: npt.NDArray[Any] = np.load(io.BytesIO(done.stdout), allow_pickle=False, max_header_size=1_000_000)
    return rows
