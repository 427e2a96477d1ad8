"""Pick one micrograph; then many: loops around the first."""

from vitripick.picking.blobs import pick_blobs
from vitripick.picking.devices import choose_devices
from vitripick.picking.distributions import write_distributions
from vitripick.picking.many import PickSettings, Record, RunSummary, pick_many, read_record
from vitripick.picking.one import pick, resolve_diameter_px
from vitripick.picking.self_test import self_test

__all__ = [
    "PickSettings",
    "Record",
    "RunSummary",
    "choose_devices",
    "pick",
    "pick_blobs",
    "pick_many",
    "read_record",
    "resolve_diameter_px",
    "self_test",
    "write_distributions",
]
