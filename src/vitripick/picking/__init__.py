"""Turn one micrograph into its picks, its junk map and its quality; no run folder is needed here."""

from vitripick.picking.blobs import pick_blobs
from vitripick.picking.devices import choose_devices
from vitripick.picking.one import Look, look, pick, resolve_diameter_px
from vitripick.picking.quality import Quality, assess
from vitripick.picking.self_test import self_test

__all__ = [
    "Look",
    "Quality",
    "assess",
    "choose_devices",
    "look",
    "pick",
    "pick_blobs",
    "resolve_diameter_px",
    "self_test",
]
