"""Submit jobs to a batch system through dask-jobqueue, and ask it for their states."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_SECONDS_TO_ANSWER = 30.0

States = Callable[[], "Mapping[str, str] | None"]


@dataclass(frozen=True)
class BatchSystem:
    """Holds what differs from one batch system to the other.

    Attributes
    ----------
    name
        Its name for messages.
    cluster
        Its class in dask-jobqueue.
    states
        Returns the state of each of the user's jobs in the queue, by number. It returns None if the queue does not
        answer, or if we do not know how to ask.
    """

    name: str
    cluster: str
    states: States


def slurm_states() -> dict[str, str] | None:
    """Return what `squeue` says about the user's jobs, such as `pending (Resources)`."""
    told = _printed_by("squeue", "-h", "-u", str(os.getuid()), "-o", "%i|%T|%r")
    if told is None:
        return None
    rows = [line.strip().split("|") for line in told.splitlines() if line.count("|") == 2]
    return {number: state.lower() + ("" if why == "None" else f" ({why})") for number, state, why in rows}


def sge_states() -> dict[str, str] | None:
    """Return what `qstat` says about the user's jobs, such as `qw`."""
    told = _printed_by("qstat")
    if told is None:
        return None
    rows = [line.split() for line in told.splitlines()]
    return {row[0]: row[4] for row in rows if len(row) > 4 and row[0].isdigit()}


def _not_known() -> None:
    """Return that the states are not known, because the answers of these programs were not available here."""


BATCH_SYSTEMS = {
    "slurm": BatchSystem("Slurm", "SLURMCluster", slurm_states),
    "pbs": BatchSystem("PBS", "PBSCluster", _not_known),
    "sge": BatchSystem("SGE", "SGECluster", sge_states),
    "lsf": BatchSystem("LSF", "LSFCluster", _not_known),
}


def _printed_by(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS_TO_ANSWER, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


@dataclass(frozen=True)
class Report:
    """Says what became of one submission: the job's number, or why it was refused."""

    worker: str
    number: str | None = None
    refused: str = ""


def job_class(base: Any, report: Callable[[Report], None]) -> Any:
    """Return a subclass of a job of dask-jobqueue that reports each submission, and raises nothing if it is refused.

    Parameters
    ----------
    base
        The class of jobs of a batch system, such as `dask_jobqueue.slurm.SLURMJob`.
    report
        Called in Dask's thread with each `Report`.
    """

    from distributed.core import Status

    class ReportingJob(base):  # type: ignore[misc,valid-type]
        async def start(self) -> None:
            try:
                await super().start()
            # dask-jobqueue raises a ValueError if the answer holds no number.
            except (_Refused, ValueError, OSError) as error:
                report(Report(str(self.name), refused=_in_one_line(str(error))))
                # Dask expects a job that runs, and would otherwise write a traceback and stop in the middle.
                self.status = Status.running
            else:
                report(Report(str(self.name), str(self.job_id)))

        async def _submit_job(self, script_filename: str) -> str:
            # dask-jobqueue's own call for LSF throws away what bsub says on stderr, so the call is made here.
            command = shlex.split(str(self.submit_command))
            with open(script_filename, "rb") as script:
                by_stdin = bool(getattr(self, "use_stdin", False))
                process = await asyncio.create_subprocess_exec(
                    *command,
                    *([] if by_stdin else [script_filename]),
                    stdin=script if by_stdin else asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )
                out, err = (text.decode(errors="replace") for text in await process.communicate())
            if process.returncode != 0:
                raise _Refused(err.strip() or out.strip() or f"exit code {process.returncode}, without a message")
            return out

    ReportingJob.__name__ = base.__name__
    return ReportingJob


class _Refused(Exception):
    """Says that the batch system refused a job; the text is that of the batch system."""


def _in_one_line(text: str) -> str:
    return "; ".join(line.strip().rstrip(".") for line in text.splitlines() if line.strip())[:1000]
