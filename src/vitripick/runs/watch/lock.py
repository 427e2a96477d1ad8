"""Let only one watcher into a folder, by a lock file with a heartbeat that works on network file systems too.

`open(O_EXCL)` and `flock` have failed on NFS, but a hard link either appears or does not. A lock is stale when its
process is gone from this machine, or when its heartbeat has stopped. The file server's clock decides that, so that
machines with different clocks agree.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

from vitripick.atomic import host_name, is_alive, temporary_name
from vitripick.errors import UsageError, parameter
from vitripick.json_toml import read_json_object
from vitripick.run_layout import LOCK

_BEAT_SECONDS = 10.0
# That is six missed beats, because a busy file server may lose some.
_STALE_SECONDS = 60.0


class FolderLock:
    """Holds `FOLDER/watch.lock` while its block runs.

    Parameters
    ----------
    folder
        The folder to lock; it must exist.
    beat_seconds, stale_seconds
        Time between two heartbeats, and time without one after which the lock of another machine is taken over.

    Raises
    ------
    UsageError
        On entering, if another process holds the lock; the message names that process.
    """

    def __init__(
        self, folder: Path, *, beat_seconds: float = _BEAT_SECONDS, stale_seconds: float = _STALE_SECONDS
    ) -> None:
        self._path = folder / LOCK
        self._token = uuid.uuid4().hex
        self._beat_seconds = beat_seconds
        self._stale_seconds = stale_seconds
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self.lost = False

    def __enter__(self) -> FolderLock:
        own = self._path.with_name(temporary_name(self._token))
        content = {"host": host_name(), "pid": os.getpid(), "token": self._token}
        try:
            own.write_text(json.dumps(content) + "\n", encoding="utf-8")
            if not _linked(own, self._path):
                self._take_over(own)
        finally:
            own.unlink(missing_ok=True)
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        if self._is_ours():
            self._path.unlink(missing_ok=True)

    def _take_over(self, own: Path) -> None:
        holder = _holder(self._path)
        now = own.stat().st_mtime  # the file server's clock
        if holder is not None and not _is_stale(self._path, holder, now, self._stale_seconds):
            raise UsageError(_held(self._path, holder))
        # Two processes may find it stale, and the slower one may meet the new lock of the faster one. So it is renamed
        # and read again, not removed.
        aside = self._path.with_name(temporary_name(f"{self._token}.stale"))
        try:
            self._path.rename(aside)
        except FileNotFoundError:
            pass
        else:
            moved = _holder(aside)
            if moved != holder:
                _linked(aside, self._path)  # this lock is in use, so it is put back
                aside.unlink(missing_ok=True)
                raise UsageError(_held(self._path, moved))
            aside.unlink(missing_ok=True)
        if not _linked(own, self._path):
            raise UsageError(_held(self._path, _holder(self._path)))

    def _beat(self) -> None:
        while not self._done.wait(self._beat_seconds):
            try:
                if not self._is_ours():
                    self.lost = True
                    return
                os.utime(self._path)
            except OSError:
                continue  # the file server may be away; the next beat tries again

    def _is_ours(self) -> bool:
        holder = _holder(self._path)
        return holder is not None and holder.get("token") == self._token


def refuse_if_watched(folder: Path) -> None:
    """Raise `UsageError` while a watcher of this machine is at work in `folder`."""
    path = folder / LOCK
    holder = _holder(path)
    if holder is None or holder.get("host") != host_name() or holder.get("pid") == os.getpid():
        return
    # This machine's clock may differ from the file server's, so ten times as long must pass.
    if not _is_stale(path, holder, time.time(), 10 * _STALE_SECONDS):
        raise UsageError(_held(path, holder))


def _linked(source: Path, target: Path) -> bool:
    """Link `target` to `source`, and return whether that worked; False if something else was there."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK):
            # NFS may lose the answer although it made the link, so the number of links decides.
            return source.stat().st_nlink == 2
        # The file system has no hard links, so O_EXCL is the best choice left.
        try:
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(handle, "wb") as file:
            file.write(source.read_bytes())
    return True


def _holder(path: Path) -> dict[str, Any] | None:
    """Return who holds the lock, `{"host", "pid", "token"}`; None if there is no lock, or the file holds none."""
    try:
        holder = read_json_object(path)
    except (FileNotFoundError, ValueError):
        return None
    pid = holder.get("pid")
    # Numbers of processes are positive, and kill() takes 0 and negative numbers for whole groups.
    if isinstance(pid, bool) or not isinstance(pid, int) or not 0 < pid < 2**31:
        return None
    return holder if isinstance(holder.get("host"), str) else None


def _is_stale(path: Path, holder: dict[str, Any], now: float, stale_seconds: float) -> bool:
    pid = holder["pid"]
    # After a container restarts, a process can get the number of an earlier one, so such a lock is stale.
    if holder.get("host") == host_name() and (pid == os.getpid() or not is_alive(pid)):
        return True
    try:
        return now - path.stat().st_mtime > stale_seconds
    except FileNotFoundError:
        return True


def _held(path: Path, holder: dict[str, Any] | None) -> str:
    process = "another process" if holder is None else f"process {holder.get('pid')} on {holder.get('host')}"
    return f"{path}: {process} already writes into this folder; stop it, or give another {parameter('out')}."
