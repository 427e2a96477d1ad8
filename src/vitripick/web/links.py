"""Make the links that open the page, and hand them to the user so that no one else can read them."""

from __future__ import annotations

import getpass
import ipaddress
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from vitripick.atomic import temporary_name
from vitripick.errors import parameter
from vitripick.web.public_url import PublicUrl
from vitripick.web.security import is_loopback

LINK_FILE = ".link"


class Links:
    """Hands the user one link after the other; each opens the page once.

    On a terminal, the first link is printed, and another one whenever the user presses Enter. Where stderr is a file or
    a pipe, other people may read it: then the link is written to a file that only its owner can read.

    Parameters
    ----------
    out
        The folder of that file; None makes a private one elsewhere.
    host, port
        Where the server listens.
    say
        Prints a line for the user.
    public
        Where browsers find the page through a proxy.
    on_terminal
        Whether only the user sees what `say` prints; None finds out.
    """

    def __init__(
        self,
        out: Path | None,
        host: str,
        port: int,
        say: Callable[[str], None],
        *,
        public: PublicUrl | None = None,
        on_terminal: bool | None = None,
    ) -> None:
        self._public = public
        self._host, self._port, self._say = host, port, say
        self._on_terminal = sys.stderr.isatty() if on_terminal is None else on_terminal
        self._folder = out
        self._token = ""

    def first(self, token: str) -> None:
        """Hand over the first link, and say how to open the page on another computer."""
        self._token = token
        if self._on_terminal:
            self._say(f"vitripick label: {self.link(token)}")
        else:
            self._say(f"vitripick label: the link is in {self._write()}, which only you can read.")
        if self._public is not None:
            self._say("Ctrl-C here ends the server; everything is saved as you work.")
        elif is_loopback(self._host):
            here, local = _in_url(_address(self._host)), "127.0.0.1"
            self._say("To open it from your own computer, first type in a terminal there:")
            self._say(f"  ssh -N -L {self._port}:{here}:{self._port} {_user()}@{reachable_name()}")
            instead = "" if here == local else f", with {local} in place of {here}"
            self._say(
                f"Then open the link above{instead}. Ctrl-C here ends the server; everything is saved as you work."
            )
        else:
            self._say("WARNING: other machines can reach this address, and the connection is not encrypted.")
            option = parameter("host")
            self._say(f"Without {option} only this machine can reach it, and ssh -L brings the page to your computer.")
        if self._on_terminal and sys.stdin is not None and sys.stdin.isatty():
            threading.Thread(target=self._wait_for_enter, daemon=True).start()

    def used(self, token: str) -> None:
        """Take the next token, because a browser has used the one before."""
        self._token = token
        if self._on_terminal:
            self._say("A browser has opened the page. Press Enter for a link for another one.")
            return
        try:
            self._say(f"A browser has opened the page. The link for another one is in {self._write()}.")
        except OSError as error:  # an error must not end the page that was just opened
            self._say(f"The link for another browser cannot be written: {error.strerror}.")

    def close(self) -> None:
        """Remove the file, because its link opens nothing any more."""
        if self._folder is not None and not self._on_terminal:
            (self._folder / LINK_FILE).unlink(missing_ok=True)

    def link(self, token: str) -> str:
        """Return the link with this token."""
        if self._public is not None:
            return self._public.link(token)
        shown = reachable_name() if self._host in ("0.0.0.0", "::") else _address(self._host)
        return f"http://{_in_url(shown)}:{self._port}/?token={token}"

    def _write(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="vitripick-label-"))
        path = self._folder / LINK_FILE
        beside = path.with_name(temporary_name("link"))
        beside.unlink(missing_ok=True)
        # O_EXCL takes neither a link nor a file that another user has put there.
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self.link(self._token) + "\n")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        return path

    def _wait_for_enter(self) -> None:
        while True:
            try:
                line = sys.stdin.readline()
            except OSError:  # the command is in the background, where it may not read from the terminal
                time.sleep(1)
                continue
            except ValueError:  # stdin was closed
                return
            if not line:
                return
            self._say(f"The link for another browser: {self.link(self._token)}")


def reachable_name() -> str:
    """Return the name of this machine for others, or its address where the name only means "this machine"."""
    for name in (socket.getfqdn(), socket.gethostname()):
        if name and not name.startswith(("localhost", "ip6-")) and not name.endswith(".arpa") and not is_loopback(name):
            return name
    # The user's own ssh came to this address. A batch job inherits the variable of another machine.
    came_to = os.environ.get("SSH_CONNECTION", "").split()[2:3]
    if came_to and _is_here(came_to[0]):
        return came_to[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a UDP socket sends nothing here, but learns its own address
            return str(probe.getsockname()[0])
        except OSError:
            return "THIS_MACHINE"


def _is_here(address: str) -> bool:
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except (OSError, ValueError):
        return False
    return True


def _address(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return "USER"
