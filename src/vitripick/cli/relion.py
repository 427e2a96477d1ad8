"""`vitripick relion`: picking as an External job of RELION."""

from __future__ import annotations

import signal
from types import FrameType

import typer

# RELION passes the labels that the user typed; the library says which of them it knows.
CONTEXT_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}


def relion(context: typer.Context) -> int:
    """Run as an External job of RELION; its GUI gives --o, --in_mics, --j and the labels (docs/relion.md).

    Labels: {relion_labels}. To try it by hand, in the project's folder:

    \b
    vitripick relion --o External/job999/ --j 4 \\
        --in_mics CtfFind/job003/micrographs_ctf.star --diameter_angstrom 130
    """
    from vitripick.programs.relion import run_relion_job

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # A queue may end the job at its time limit. Then the marker must be written, or RELION shows the job as running for
    # ever.
    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        summary = run_relion_job(context.args, tell=lambda line: print(line, flush=True))
    finally:
        signal.signal(signal.SIGTERM, before)
    if summary is None:
        return 130
    return 4 if summary.failures else 0
