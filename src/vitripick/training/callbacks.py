"""Report the progress of a training to its caller, who can also stop it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vitripick.training.checkpoint import Row


def _ignore(*news: object) -> None:
    pass


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Callbacks:
    """Holds the functions that a training calls. With several processes only the first one calls them, except
    `on_field`.

    Attributes
    ----------
    on_stage
        The next stage in words: what is read, then what is trained on, and how long.
    on_step
        (step, steps, loss) after each step.
    on_epoch
        The newest row of the curves after each validation.
    on_field
        (done, wanted) while simulated fields are made.
    should_stop
        Asked after each step; True ends the run with `Stopped`, and the same call goes on from that step.
    """

    on_step: Callable[[int, int, float], None] = _ignore
    on_stage: Callable[[str], None] = _ignore
    on_epoch: Callable[[Row], None] = _ignore
    on_field: Callable[[int, int], None] = _ignore
    should_stop: Callable[[], bool] = _never
