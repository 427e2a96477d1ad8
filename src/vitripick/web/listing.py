"""What the page shows of a project and of a micrograph, without pixels."""

from __future__ import annotations

from typing import Any

from vitripick.errors import MicrographError
from vitripick.web.project import Entry, Project
from vitripick.web.sheet import Sheet


def listed(entry: Entry) -> list[Any]:
    """Return one row of the page's list."""
    return [entry.id, entry.file.name, entry.n_labels, entry.flag, int(entry.seen), entry.error]


def project_json(project: Project) -> dict[str, Any]:
    """Return the project's part of what the page needs at its start."""
    return {
        "out": project.out.name,
        "read_only": project.read_only,
        "settings": project.settings.model_dump(),
        "micrographs": [listed(entry) for entry in project.entries.values()],
    }


def sheet_json(project: Project, entry: Entry, sheet: Sheet) -> dict[str, Any]:
    """Return what the page shows of one micrograph, without its pixels."""
    try:
        header = project.header(entry)
        known: dict[str, Any] = {"shape": header.shape, "pixel_size": project.pixel_size(entry)}
    except MicrographError:
        known = {"shape": None, "pixel_size": None}
    return {
        "id": entry.id,
        "name": entry.file.name,
        "flag": entry.flag,
        "error": entry.error,
        "box_size_px": project.box_size_px(entry),
        "next_number": sheet.next_number(),
        **known,
        **sheet.to_json(),
    }
