"""Start munged, slurmctld and slurmd for a test: one node, ports on loopback only, files in one folder.

The daemons are children of this process, and end with `stop`, by their process ids.
"""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("sbatch", "slurmctld", "slurmd", "munged")
# Debian's daemons lie where the path of a user may not lead.
os.environ["PATH"] += f"{os.pathsep}/usr/sbin{os.pathsep}/sbin"
_SECONDS_TO_START = 60.0

_CONFIGURATION = """\
ClusterName=vitripick
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
EnforcePartLimits=ALL
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=10
SchedulerParameters=sched_interval=2,batch_sched_delay=0
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=60 State=UP
"""


class Slurm:
    """Is one small Slurm, whose commands find it through `environment`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the three daemons, and wait until the node is idle.

        Raises
        ------
        RuntimeError
            If one of them ends, or the node is not idle in time; the message holds what they logged.
        """
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        controller_port, node_port = free_ports(2)
        (self.folder / "slurm.conf").write_text(
            _CONFIGURATION.format(
                host=socket.gethostname().split(".")[0],
                user=getpass.getuser(),
                folder=self.folder,
                cpus=os.cpu_count(),
                memory_mb=memory * 9 // 10,
                controller_port=controller_port,
                node_port=node_port,
            )
        )
        places = {"key-file": key} | {f"{n}-file": self.folder / f"munge.{n}" for n in ("pid", "log", "seed")}
        options = [f"--{option}={place}" for option, place in places.items()]
        # The folders above a test's own are closed to other users, which munged refuses unless it is forced.
        self._run("munged", "--foreground", "--force", f"--socket={self.folder / 'munge.socket'}", *options)
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._run("slurmctld", "-D")
        self._run("slurmd", "-D", "-N", "localhost")
        self._wait(lambda: self.command("sinfo", "--noheader", "--format=%T") == "idle\n", "the node")

    def stop(self) -> None:
        """Cancel what is left of jobs, and end the daemons."""
        if len(self._processes) == 3:
            self.clear()
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def clear(self) -> None:
        """Cancel all jobs, and wait until they have ended."""
        self.command("scancel", "--user", getpass.getuser())
        deadline = time.monotonic() + 20
        while self.jobs() and time.monotonic() < deadline:
            time.sleep(0.2)

    def command(self, *command: str) -> str:
        """Run a command of Slurm, and return what it printed on stdout."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout

    def jobs(self) -> list[str]:
        """Return the numbers of all jobs that wait or run."""
        return self.command("squeue", "--noheader", "--array", "--format=%i").split()

    def _run(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("wb") as log:
            self._processes.append(subprocess.Popen(command, env=self.environment, stdout=log, stderr=log))

    def _wait(self, is_ready, what: str) -> None:
        deadline = time.monotonic() + _SECONDS_TO_START
        while not is_ready():
            ended = [process.args[0] for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                logged = "\n".join(path.read_text()[-2000:] for path in sorted(self.folder.glob("*.out")))
                raise RuntimeError(f"{what} did not come up (ended: {ended}):\n{logged}")
            time.sleep(0.2)


def free_ports(n: int) -> list[int]:
    """Return ports of loopback that no process uses now."""
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
