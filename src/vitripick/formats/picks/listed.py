"""Follow RELION's tables of coordinate files (`autopick.star`, `manualpick.star`) to the files that they list."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

from vitripick.errors import FormatError, InputError
from vitripick.formats.names.pairing import pair_labels
from vitripick.formats.passed_by import PassedBy, collect_passed_by
from vitripick.formats.picks.table import format_of_file
from vitripick.geometry import Boxes
from vitripick.text import listed as in_words

log = logging.getLogger("vitripick")


def read_listed_files(table: Path, rows: Sequence[tuple[str, str]]) -> list[Boxes]:
    """Return the micrographs whose coordinate files a RELION table lists; missing files are warned about."""
    found = {(micrograph, listed): find_listed(table, listed) for micrograph, listed in rows}
    missing = [f"{listed} for {micrograph}" for (micrograph, listed), path in found.items() if path is None]
    if missing and len(missing) == len(found):
        raise InputError(
            f"{table}: none of the {len(missing)} coordinate files that it lists is here or in a folder above the "
            f"table, first {missing[0]}; run in the RELION project's folder."
        )
    if missing:
        log.warning(
            "%s: %d of %d coordinate files are not there, and their micrographs are left out: %s",
            table,
            len(missing),
            len(found),
            in_words(missing, most=5),
        )
        collect_passed_by(
            [
                PassedBy(listed, f"{table} lists it, but it is not there")
                for (_, listed), path in found.items()
                if not path
            ]
        )
    parts = [_read_listed(table, name, listed, path) for (name, listed), path in found.items() if path is not None]
    return parts or [Boxes.empty()]


def _read_listed(table: Path, micrograph: str, listed: str, path: Path) -> Boxes:
    """Return the one micrograph of a file that a RELION table lists, under the table's name."""
    entry = format_of_file(path)
    if entry.read is None or (entry.list_files is not None and entry.list_files(path) is not None):
        raise FormatError(f"{table}: it lists {listed}, which holds no coordinates.")
    parts = entry.read(path)
    if len(parts) > 1:
        parts = list(pair_labels([micrograph], parts).pairs.values())
        if not parts:
            raise FormatError(f"{path}: {table} lists this file for {micrograph}, which is not in it.")
    return dataclasses.replace(parts[0], micrograph=micrograph)


def find_listed(table: Path, listed: str) -> Path | None:
    """Return the path of a listed file, seen from the working folder, the table's folder or one above; None if it is in
    none."""
    for base in (Path(), *table.absolute().parents):
        if (base / listed).is_file():
            return base / listed
    return None
