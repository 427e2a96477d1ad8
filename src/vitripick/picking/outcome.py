"""What became of one micrograph of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitripick.formats import MicrographFile
from vitripick.formats.names import printable_name
from vitripick.picking.record import Record


@dataclass(frozen=True)
class Outcome:
    """What became of one micrograph: a record, or a failure; `skipped` if it was done before."""

    file: MicrographFile
    stem: str
    record: Record | None = None
    failure: dict[str, Any] | None = None
    skipped: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, one line a micrograph; the keys are part of the command line's promise."""
        told: dict[str, Any] = {
            "micrograph": printable_name(self.file.name),
            "path": printable_name(str(self.file.path)),
            "stem": printable_name(self.stem),
        }
        if self.record is None:
            error = "" if self.failure is None else self.failure["error"]
            return {**told, "status": "failed", "error": error}
        return {
            **told,
            "status": "skipped" if self.skipped else "done",
            "n_picks": self.record.n_picks,
            "n_stored": self.record.n_stored,
            "pixel_size": self.record.pixel_size,
            "shape": list(self.record.shape),
            "seconds": self.record.seconds,
            "warnings": list(self.record.warnings),
            "quality": None if self.record.quality is None else self.record.quality.to_dict(),
        }
