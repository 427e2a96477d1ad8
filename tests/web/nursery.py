"""Servers for random histories: a program that forks them in a moment; each can be killed."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from vitripick.formats import write_mrc


class Nursery:
    """The program that forks servers, and a folder of micrographs for all histories."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="histories-"))
        rng = np.random.default_rng(0)
        for i in range(2):
            image = rng.standard_normal((90, 120)).astype(np.float32)
            write_mrc(self.folder / "mics" / f"mic{i}.mrc", image, pixel_size=2.0)
        command = [sys.executable, str(Path(__file__).with_name("killable.py"))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.n = 0

    def start(self, out):
        """Return the process of a new server, and its link."""
        said, faults = out / "said", out / "faults"
        said.unlink(missing_ok=True)
        self.process.stdin.write(json.dumps([str(self.folder / "mics"), str(out / "p"), str(said), str(faults)]) + "\n")
        self.process.stdin.flush()
        pid = int(self.process.stdout.readline())
        end = time.monotonic() + 60
        while not said.is_file() or "the link is in" not in said.read_text():
            assert time.monotonic() < end, said.read_text()
            assert os.path.exists(f"/proc/{pid}"), said.read_text()
            time.sleep(0.002)
        return pid, (out / "p" / ".link").read_text().strip()

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()
        shutil.rmtree(self.folder)
