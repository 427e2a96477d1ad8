"""Write a file so that no program ever sees half of it: under a temporary name beside it, flushed, then renamed."""

from __future__ import annotations

import errno
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitripick.encoding import check_output_name
from vitripick.errors import UsageError, parameter, path_problem

# The name says that the file is not a result, and which process writes it. So files of a killed process can be
# distinguished from those that a living one is writing.
_PREFIX = ".vitripick-tmp"
_NAME = re.compile(rf"^{re.escape(_PREFIX)}\.(?P<host>[^.]*)\.(?P<pid>\d+)\.")
# We cannot see whether a process on another machine lives, so we wait this long. No file takes an hour to write.
_ABANDONED_AFTER_SECONDS = 3600.0
_STARTED = time.time()
# File systems without hard links answer with one of these.
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK}
# The umask can only be read by setting it. Files that other threads make meanwhile would get it, so we read it once,
# on import.
_UMASK = os.umask(0o077)
os.umask(_UMASK)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path with the same suffix, and rename it to `path` if the block ends well; else remove it.

    The folder of `path` is made if it is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(prefix=temporary_name(""), suffix=path.suffix, dir=path.parent)
    except OSError as error:
        error.filename = str(path)  # the user does not know the temporary name
        raise
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        # mkstemp makes the file private; a result should be as readable as any other file of the user.
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    except OSError as error:
        if error.filename == str(temporary):
            error.filename = str(path)  # the user does not know the temporary name
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(folder: str | Path, *, option: str = "out") -> None:
    """Refuse a folder that cannot be made, or in which nothing can be written, before hours of work; leave no trace.

    Parameters
    ----------
    folder
        The folder that results will be written to; it need not exist.
    option
        The parameter that names it, for the message.

    Raises
    ------
    UsageError
        If a file is in the way, writing is not allowed, the disk is read-only, or no file could hold the name.
    OSError
        If the disk is full, or too many files are open.
    """
    check_output_name(folder, option=option)
    folder = Path(folder)
    there = next(one for one in (folder, *folder.parents) if os.path.lexists(one) or one == one.parent)
    try:
        if there == folder:
            with tempfile.TemporaryFile(dir=folder):
                return
        # Other processes may try the same folder at once, so the trial has a name of its own.
        os.rmdir(tempfile.mkdtemp(prefix=temporary_name(""), dir=there))
    except OSError as error:
        reason = path_problem(OSError(error.errno, "", str(there)))
        if reason is None:
            raise
        if isinstance(error, FileNotFoundError):
            reason = f"{folder}: no folder can be made here"
        raise UsageError(f"{reason}; give another {parameter(option)}.") from error


def check_file(path: str | Path, *, option: str = "out") -> None:
    """Refuse a file that cannot be written, before hours of work; errors as of `check_folder`."""
    check_output_name(path, option=option)
    if Path(path).is_dir():
        raise UsageError(f"{path}: this is a folder where a file should be; give another {parameter(option)}.")
    check_folder(Path(path).parent, option=option)


def temporary_name(ending: str) -> str:
    """Return a file name that `remove_leftovers` recognises as one of this process."""
    return f"{_PREFIX}.{host_name()}.{os.getpid()}.{ending}"


def write_bytes_atomically(path: str | Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text_atomically(path: str | Path, text: str) -> None:
    """Write `text` (UTF-8, LF line ends) to `path`, whole or not at all."""
    write_bytes_atomically(path, text.encode("utf-8"))


def write_text_once(path: str | Path, text: str) -> bool:
    """Write `text` to `path` unless there is such a file, so that the first of several processes wins.

    Returns
    -------
    bool
        Whether this process wrote it.
    """
    path = Path(path)
    beside = path.with_name(temporary_name(f"once{path.suffix}"))
    try:
        write_text_atomically(beside, text)
        # A rename would replace a file that is there; a link does not.
        os.link(beside, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            return False
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return True


def remove_leftovers(folder: str | Path) -> int:
    """Remove the unfinished files of killed processes below `folder`, and return the number of files removed.

    Files of living processes on this machine stay. Files of other machines stay for an hour.
    """
    n_removed = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if _is_abandoned(path):
                path.unlink(missing_ok=True)
                n_removed += 1
    return n_removed


def host_name() -> str:
    """Return the name of this machine as one word without dots."""
    return re.sub(r"[^\w-]", "-", socket.gethostname().split(".")[0]) or "localhost"


def is_alive(pid: int) -> bool:
    """Return whether a process of this number runs on this machine; a zombie (state Z) does not run."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return True  # this system has no /proc
    return state[:1] != ["Z"]


def _is_abandoned(path: Path) -> bool:
    match = _NAME.match(path.name)
    if match is None:
        return False
    try:
        written = path.stat().st_mtime
    except FileNotFoundError:
        return False
    if match["host"] == host_name():
        pid = int(match["pid"])
        # In a restarted container every process is number 1 again, so a file older than this process is not ours.
        if not is_alive(pid) or (pid == os.getpid() and written < _STARTED):
            return True
    return time.time() - written > _ABANDONED_AFTER_SECONDS
