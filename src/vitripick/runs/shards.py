"""Take a share of a run, from `--shard 3/16` or from the variables of a cluster's array job."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from vitripick.errors import UsageError, parameter

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Is share `index` of `count`, counted from 1."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def of(self, items: Sequence[T]) -> list[T]:
        """Return every `count`-th of `items`; all shards together have each item once."""
        return list(items[self.index - 1 :: self.count])


def parse_shard(shard: str, environment: Mapping[str, str] | None = None) -> Shard:
    """Return the `Shard` that `3/16`, `auto` or `auto/16` names.

    `auto` reads this task's place and the number of tasks from the variables of an array job (Slurm, SGE, LSF).
    `auto/N` reads only the task's number, and the tasks must be numbered from 1 to N. PBS needs that, because it does
    not give a task the number of tasks.

    Raises
    ------
    UsageError
        If the text is none of these, or there is no array job.
    """
    environment = os.environ if environment is None else environment
    match = re.fullmatch(r"(auto|\d+)(?:/(\d+))?", shard.strip())
    if match is None or (match[2] is None and match[1] != "auto"):
        raise UsageError(
            f"{parameter('shard', shard, quoted=True)}: give 3/16 for the third of sixteen, or auto in an array job."
        )
    if match[1] != "auto":
        return _checked(int(match[1]), int(match[2]), shard)
    if match[2] is None:
        return _from_array(environment)
    return _checked(_task_number(environment), int(match[2]), shard)


def _checked(index: int, count: int, text: str) -> Shard:
    if not 1 <= index <= count:
        raise UsageError(
            f"{parameter('shard', text)}: shards are counted from 1; {index} of {count} is not one of them."
        )
    return Shard(index, count)


def _from_array(environment: Mapping[str, str]) -> Shard:
    # Slurm gives the number of tasks, so a list like 1,5,9 is recognised; only a range can be shared.
    if "SLURM_ARRAY_TASK_ID" in environment:
        low, high, step, task = (
            _number(environment, f"SLURM_ARRAY_TASK_{name}") for name in ("MIN", "MAX", "STEP", "ID")
        )
        count = _number(environment, "SLURM_ARRAY_TASK_COUNT")
        return _in_range(task, low, high, step, count)
    # Outside of an array, SGE sets the number to "undefined".
    if environment.get("SGE_TASK_ID", "undefined") != "undefined":
        low, high, step, task = (_number(environment, f"SGE_TASK_{n}") for n in ("FIRST", "LAST", "STEPSIZE", "ID"))
        return _in_range(task, low, high, step)
    # Outside of an array, LSF sets the index to 0.
    if environment.get("LSB_JOBINDEX", "0") != "0":
        task, high = _number(environment, "LSB_JOBINDEX"), _number(environment, "LSB_JOBINDEX_END")
        step = _number(environment, "LSB_JOBINDEX_STEP") if environment.get("LSB_JOBINDEX_STEP") else 1
        return _in_range(task, 1, high, step)
    if "PBS_ARRAY_INDEX" in environment or "PBS_ARRAYID" in environment:
        raise UsageError(
            f"{parameter('shard', 'auto')}: PBS does not give a task the number of tasks; number the tasks from 1 "
            f"(-J 1-16) and give {parameter('shard', 'auto/16')}."
        )
    raise UsageError(
        f"{parameter('shard', 'auto')}: this is not an array job of Slurm, SGE or LSF (none of SLURM_ARRAY_TASK_ID, "
        f"SGE_TASK_ID, LSB_JOBINDEX is set); give {parameter('shard', '3/16')}."
    )


def _in_range(task: int, low: int, high: int, step: int, count: int | None = None) -> Shard:
    step = max(step, 1)
    n_tasks = (high - low) // step + 1
    if (count is not None and count != n_tasks) or (task - low) % step or not low <= task <= high:
        raise UsageError(
            f"{parameter('shard', 'auto')}: task {task} of an array from {low} to {high} in steps of {step} that "
            f"has {count or n_tasks} tasks: it is not one plain range. Give {parameter('shard', 'auto/N')} with tasks "
            "from 1 to N."
        )
    return Shard((task - low) // step + 1, n_tasks)


def _task_number(environment: Mapping[str, str]) -> int:
    for name, outside in (
        ("SLURM_ARRAY_TASK_ID", ""),
        ("PBS_ARRAY_INDEX", ""),
        ("PBS_ARRAYID", ""),
        ("SGE_TASK_ID", "undefined"),
        ("LSB_JOBINDEX", "0"),
    ):
        if environment.get(name, outside) != outside:
            return _number(environment, name)
    raise UsageError(
        f"{parameter('shard', 'auto/N')}: this is not an array job of Slurm, PBS, SGE or LSF; give "
        f"{parameter('shard', '3/16')}."
    )


def _number(environment: Mapping[str, str], name: str) -> int:
    value = environment.get(name, "")
    if not value.isdecimal():
        raise UsageError(
            f"{parameter('shard', 'auto')}: {name} should be a number, but it is {value!r}; give "
            f"{parameter('shard', '3/16')}."
        )
    return int(value)
