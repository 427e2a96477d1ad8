"""Judge picks by labels (precision, recall, F1, AUC and more): picks and labels in, an `Evaluation` out."""

from vitripick.evaluation.bootstrap import bootstrap_intervals
from vitripick.evaluation.chance import random_places
from vitripick.evaluation.evaluate import best_threshold, evaluate
from vitripick.evaluation.frame import FrameHint, Seen, check_frame, seen_by_picks
from vitripick.evaluation.metrics import (
    Curve,
    Judged,
    area_under_curve,
    calibration_error,
    count_duplicates,
    judge,
    precision_recall_curve,
)
from vitripick.evaluation.result import LOWER_BOUND, CriterionResult, Evaluation, MicrographRow, Score

__all__ = [
    "LOWER_BOUND",
    "CriterionResult",
    "Curve",
    "Evaluation",
    "FrameHint",
    "Judged",
    "MicrographRow",
    "Score",
    "Seen",
    "area_under_curve",
    "best_threshold",
    "bootstrap_intervals",
    "calibration_error",
    "check_frame",
    "count_duplicates",
    "evaluate",
    "judge",
    "precision_recall_curve",
    "random_places",
    "seen_by_picks",
]
