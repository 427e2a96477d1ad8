"""Open files of the project to change them: never through a link, and by one server at a time."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any, Literal

from vitripick.errors import UsageError, parameter


def try_lock(path: Path) -> Any | None:
    """Return an open file that is locked until it is closed, or None if another process has it locked."""
    file = open_own(path, "ab")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows
        return file
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            file.close()
            return None
        return file  # a disk without locks: nothing can be known
    return file


class ProjectLock:
    """Allows one server for a project folder, because two would overwrite each other's edits.

    The file names the host and the process. The operating system frees the lock when the process ends in any way.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / ".lock"
        self._file: Any = None

    def take(self) -> None:
        """Take the lock, or raise `UsageError` if another server has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open_own(self._path, "a+")
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise UsageError(
                    f"{self._path}: this disk cannot say whether another server has the project open "
                    f"({error.strerror}); give another {parameter('out')}, or {parameter('read_only', True)}."
                ) from error
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            raise UsageError(
                f"{self._path.parent}: {holder} has this project open; stop that one, or open it here with "
                f"{parameter('read_only', True)}."
            ) from None
        self._file.truncate(0)
        self._file.write(f"vitripick label on {socket.gethostname()}, process {os.getpid()}\n")
        self._file.flush()


def open_own(path: Path, mode: Literal["a+", "ab", "r+b"]) -> Any:
    """Open a file of the project to change it, or raise `UsageError` if it is a link.

    Other people may write to a shared folder. A link that they put there would make us change a file elsewhere.
    """

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)

    try:
        if "b" in mode:
            return open(path, mode, buffering=0, opener=opener)
        return open(path, mode, encoding="utf-8", opener=opener)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise UsageError(f"{path}: this is a link, and vitripick writes its own file here; remove the link.") from error
