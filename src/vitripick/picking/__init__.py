"""Pick one micrograph; then many: loops around the first."""

from vitripick.picking.blobs import pick_blobs
from vitripick.picking.devices import choose_devices
from vitripick.picking.distributions import write_distributions
from vitripick.picking.many import RunSummary, pick_many
from vitripick.picking.one import Look, look, pick, resolve_diameter_px
from vitripick.picking.quality import Quality, assess
from vitripick.picking.record import Record, read_record
from vitripick.picking.self_test import self_test
from vitripick.picking.shards import Shard, parse_shard
from vitripick.picking.step import FolderPicker, Outcome, PickSettings
from vitripick.picking.survey import Survey, survey_micrographs

__all__ = [
    "FolderPicker",
    "Look",
    "Outcome",
    "PickSettings",
    "Quality",
    "Record",
    "RunSummary",
    "Shard",
    "Survey",
    "assess",
    "choose_devices",
    "look",
    "parse_shard",
    "pick",
    "pick_blobs",
    "pick_many",
    "read_record",
    "resolve_diameter_px",
    "self_test",
    "survey_micrographs",
    "write_distributions",
]
