"""Keep picks in a run folder that survives a crash, and write all files that are made from them."""

from vitripick.runs.convert import convert_picks
from vitripick.runs.distributions import write_distributions
from vitripick.runs.many import pick_many
from vitripick.runs.record import Outcome, Record, read_record
from vitripick.runs.run import Listener, Machine, Run
from vitripick.runs.shards import Shard, parse_shard
from vitripick.runs.step import FolderPicker
from vitripick.runs.summary import RunSummary
from vitripick.runs.survey import Survey, survey_micrographs
from vitripick.settings.pick import PickSettings

__all__ = [
    "FolderPicker",
    "Listener",
    "Machine",
    "Outcome",
    "PickSettings",
    "Record",
    "Run",
    "RunSummary",
    "Shard",
    "Survey",
    "convert_picks",
    "parse_shard",
    "pick_many",
    "read_record",
    "survey_micrographs",
    "write_distributions",
]
