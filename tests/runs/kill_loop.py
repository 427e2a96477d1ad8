"""Run by test_processes.py: 50 watchers, one after the other, each killed at a random moment; then one in peace.

A process of its own, because it forks: importing torch 50 times would take minutes. Torch is then
the one engine that is ready at once.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

from vitripick.models import load_model
from vitripick.runs import FolderPicker, PickSettings
from vitripick.runs.watch.watcher import Watcher
from vitripick.settings.watch import WatchSettings

N_KILLS = 50


def main(model_path, arriving, watched, out):
    model = load_model(model_path)
    rng = random.Random(0)
    queue = sorted(Path(arriving).glob("*.mrc"))
    n_cut_short = n_half_written = n_behind = 0
    longest = 0.35
    for round_ in range(N_KILLS):
        for path in queue[2 * round_ : 2 * round_ + 2]:
            shutil.copy(path, watched)
        child = os.fork()
        if child == 0:
            watch(model, watched, out, None)
        time.sleep(rng.uniform(0.0, longest))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        n_cut_short += os.WIFSIGNALED(status)
        for path in Path(out).rglob("*"):
            # Whatever a glob or a reader would take for a result must be whole at every moment.
            if path.is_file() and not path.name.startswith(".") and path.suffix in (".star", ".cbox", ".json", ".jpg"):
                ending = {".star": b"\n\n", ".cbox": b"\n\n", ".json": b"}\n", ".jpg": b"\xff\xd9"}[path.suffix]
                assert path.read_bytes().endswith(ending), path
        n_half_written += len(list(Path(out).rglob(".vitripick-tmp*")))
        n_done = len(list(Path(out, "micrographs").rglob("[!.]*.json")))
        # So long that a part of the work gets done, on a machine of any speed.
        n_left = 2 * (round_ + 1) - n_done
        n_behind += n_left > 0
        longest *= 0.85 if n_left == 0 else 1.2 if n_left > 6 else 1.0
    told = {"killed": n_cut_short, "done": n_done, "behind": n_behind, "half_written": n_half_written}
    print(json.dumps(told), flush=True)
    watch(model, watched, out, 0.3)


def watch(model, watched, out, idle):
    settings = WatchSettings(
        settle_seconds=0.02,
        poll_seconds=0.02,
        join_seconds=0,
        status_seconds=0,
        idle_timeout_seconds=idle,
    )
    picker = FolderPicker(out, model, PickSettings(formats=("star", "particles-star"), thumbnails=True, engine="torch"))
    Watcher(watched, picker, settings).run()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
