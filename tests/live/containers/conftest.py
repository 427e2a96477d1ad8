"""A bare Debian as an image; the tests are skipped where `install.sh` was not run."""

import os
import subprocess

import pytest

from live.programs import lack, need_program
from live.python.environments import ROOT, wheel

DEBIAN = ROOT / ".live" / "containers" / "bookworm"
IMAGE = "docker.io/library/debian:bookworm-slim"
# Packages come over the network: with the certificates that this machine trusts.
CERTIFICATES = ("-v", "/etc/ssl/certs:/etc/ssl/certs:ro")


class Buildah:
    """buildah with images and containers in a folder of its own, in a chroot instead of a daemon's container."""

    def __init__(self, folder):
        self.start = ["buildah", "--root", folder / "root", "--runroot", folder / "run", "--storage-driver", "vfs"]

    def __call__(self, *arguments):
        env = os.environ | {"BUILDAH_ISOLATION": "chroot"}
        command = [*self.start, *map(str, arguments)]
        ran = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert ran.returncode == 0, ran.stdout[-4000:]
        return ran.stdout.strip()


@pytest.fixture(scope="session")
def buildah(tmp_path_factory):
    """Return a function that runs buildah, which has the image `debian:bookworm-slim` made of packages of Debian."""
    need_program("containers", "buildah", how="tests/live/containers/install.sh installs it")
    if not DEBIAN.with_name("bookworm.made").exists() or wheel() is None:
        lack("containers", "there is no bare Debian or no wheel; tests/live/containers/install.sh makes them")
    call = Buildah(tmp_path_factory.mktemp("buildah"))
    bare = call("from", "scratch").splitlines()[-1]
    call("copy", "--quiet", bare, DEBIAN, "/")
    call("commit", "--quiet", "--rm", bare, IMAGE)
    return call
