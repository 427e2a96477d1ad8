"""Move files between the browser and the project: exports as one archive, and picks that were dropped on the page."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from vitripick.atomic import write_bytes_atomically
from vitripick.errors import FormatError, NotFoundError, UsageError, VitripickError
from vitripick.web.exchange import base_name
from vitripick.web.picksets import PickSet, PickSets
from vitripick.web.project import Project

_IN_MEMORY = 32 * 1024 * 1024
_CHUNK = 1024 * 1024
_NAMED = 20
_BATCH = re.compile(r"\d{8}-\d{6}")


class _Archive(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


def zip_of_export(project: Project, name: str) -> Iterator[bytes]:
    """Return an export as one zip file, in pieces; large ones are made on the disk for temporary files.

    Raises
    ------
    NotFoundError
        If there is no export of this name.
    """
    folder = project.out / "exports" / name
    if not re.fullmatch(r"\d{3,9}", name) or folder.is_symlink() or not folder.is_dir():
        raise NotFoundError("there is no such export.")
    archive = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - _pieces closes it
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                packed.write(path, Path(f"vitripick-export-{name}") / path.relative_to(folder))
    archive.seek(0)
    return _pieces(archive)


def _pieces(archive: _Archive) -> Iterator[bytes]:
    try:
        while piece := archive.read(_CHUNK):
            yield piece
    finally:
        archive.close()


class DroppedPicks:
    """Sets of picks whose files a browser sent; they are kept in `picks/` of the project."""

    def __init__(self, project: Project, pick_sets: PickSets) -> None:
        self._project, self._pick_sets = project, pick_sets
        self._folder = project.out / "picks"
        if self._folder.is_dir():
            for folder in sorted(self._folder.iterdir()):
                if _BATCH.fullmatch(folder.name) and folder.is_dir() and any(folder.iterdir()):
                    self._put(folder)

    def add(self, batch: str, name: str, data: bytes) -> dict[str, Any]:
        """Add a file to the set `batch`, and say which micrographs it has picks for.

        Raises
        ------
        UsageError
            If the page is read-only, or the name cannot be used.
        FormatError
            If the file cannot be read, or names no micrograph of this project.
        """
        self._project.refuse_if_read_only()
        if not _BATCH.fullmatch(batch):
            raise UsageError("this request names no set of picks.")
        folder = self._folder / batch
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / base_name(name)
        if path.exists():
            raise UsageError(f"{path.name}: two files of this name were dropped together; rename one.")
        write_bytes_atomically(path, data)
        try:
            # Read on its own first: a set is one format, and a bad file must not spoil those before it.
            alone = type(self._pick_sets)(self._project, self._pick_sets.sheets)
            alone.put(PickSet(path.name, path.name, path))
            found = alone.micrographs(path.name)
            if not found:
                raise FormatError(f"{path.name}: none of its micrographs is in this project.")
            entries = [entry for entry in self._project.entries.values() if entry.id in found]
            counts = [(entry.file.name, alone.n_found(path.name, entry)) for entry in entries]
            pick_set = self._put(folder)
            self._pick_sets.micrographs(pick_set)
        except (VitripickError, OSError) as error:
            path.unlink(missing_ok=True)
            if any(folder.iterdir()):
                self._put(folder)
            else:
                self._pick_sets.drop(batch)
                folder.rmdir()
            if isinstance(error, VitripickError):
                raise type(error)(str(error).replace(f"{folder}/", "")) from error
            raise
        return {
            "pick_set": pick_set,
            "n_micrographs": len(found),
            "n_picks": sum(n for _, n in counts),
            "matched": counts[:_NAMED],
        }

    def _put(self, folder: Path) -> str:
        names = sorted(path.name for path in folder.iterdir())
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        self._pick_sets.put(PickSet(folder.name, f"{names[0]}{more}", folder))
        return folder.name
