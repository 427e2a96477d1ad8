"""Servers that start in a hundredth of a second and fail at a chosen moment; runs as a program of its own.

It imports the server once, and forks for each line on its standard input, a JSON list: folder of micrographs, project
folder, file for what the server says, file of faults. The answer on standard output is the number of the process.

The file of faults can be changed while the server runs: `die at, torn, full`, three whole numbers of 4 bytes. The
server kills itself at its next step number `die at`, where each flush, rename and removal of a file is a step; the last
`torn` bytes of the file are then missing. `full` is a place in `FULL`: names with that in them find no room.
"""

import contextlib
import errno
import json
import mmap
import os
import pathlib
import signal
import struct
import sys
import traceback

FULL = ("", ".csv", "project.json", ".jsonl", ".json")
FAULTS = struct.Struct("iii")


class Faults:
    """Lets this process fail as the file says."""

    def __init__(self, path):
        with open(path, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), FAULTS.size)
        self.fsync, self.replace, self.unlink = os.fsync, pathlib.Path.replace, pathlib.Path.unlink

    def step(self, name, descriptor=None):
        die_at, torn, full = FAULTS.unpack(self.shared)
        if full and FULL[full] in name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        if not die_at:
            return
        FAULTS.pack_into(self.shared, 0, die_at - 1, torn, full)
        if die_at == 1:
            if descriptor is not None and torn:
                with contextlib.suppress(OSError):  # it may be open for reading only
                    os.ftruncate(descriptor, max(0, os.fstat(descriptor).st_size - torn))
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self):
        def fsync(descriptor):
            self.step(os.readlink(f"/proc/self/fd/{descriptor}"), descriptor)
            self.fsync(descriptor)

        def replace(path, target):
            self.step(str(target))
            return self.replace(path, target)

        def unlink(path, missing_ok=False):
            if not path.name.startswith(".vitripick-tmp"):
                self.step("")
            self.unlink(path, missing_ok=missing_ok)

        os.fsync, pathlib.Path.replace, pathlib.Path.unlink = fsync, replace, unlink


def run(micrographs, out, said, faults):
    """Serve, in a process of its own."""
    from vitripick.web.serve import serve
    from vitripick.web.session import open_session

    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 2)
    os.dup2(descriptor, 1)
    say = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    session = open_session([micrographs], pathlib.Path(out), box_size_px=None, say=say)
    # The page asks for a description of the machine, which takes a process and seconds and is not tested here.
    session.jobs.describe_machine = lambda: None
    Faults(faults).install()
    serve(session, host="127.0.0.1", port=0, say=say)


def main():
    """Fork a server for each line."""
    import vitripick.web.serve
    import vitripick.web.session  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            code = 1
            try:
                run(*json.loads(line))
                code = 0
            finally:
                if code:
                    traceback.print_exc()
                os._exit(code)
        print(child, flush=True)


if __name__ == "__main__":
    main()
