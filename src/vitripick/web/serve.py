"""Start the server, print its link, and stop it on Ctrl-C."""

from __future__ import annotations

import getpass
import socket
import sys
from collections.abc import Callable

from vitripick.errors import UsageError, parameter
from vitripick.web.app import make_app
from vitripick.web.security import Door, is_loopback
from vitripick.web.session import Session

DEFAULT_PORT = 8417


def serve(session: Session, *, host: str, port: int | None, say: Callable[[str], None]) -> None:
    """Serve one project until interrupted.

    Parameters
    ----------
    session
        The open project.
    host
        The address to listen at. Other machines can reach any address but the loopback.
    port
        None: `DEFAULT_PORT`, or any free port if that one is taken.
    say
        Prints a line for the user.

    Raises
    ------
    UsageError
        If the server cannot listen at this address.
    """
    import uvicorn

    listening = _listen(host, port)
    actual = listening.getsockname()[1]
    shown = "127.0.0.1" if is_loopback(host) else (socket.getfqdn() if host in ("0.0.0.0", "::") else host)

    def link(token: str) -> str:
        return f"http://{shown}:{actual}/?token={token}"

    def next_link(token: str) -> None:
        say(f"A browser has opened the page. The link for another one: {link(token)}")

    door = Door(f"vitripick_{actual}", next_link)
    say(f"vitripick label: {link(door.token)}")
    if is_loopback(host):
        say("To open it from your own computer, first type in a terminal there:")
        say(f"  ssh -N -L {actual}:127.0.0.1:{actual} {getpass.getuser()}@{socket.getfqdn()}")
        say("Then open the link above. Ctrl-C here ends the server; everything is saved as you work.")
    else:
        say("WARNING: other machines can reach this address, and the connection is not encrypted.")
        say(f"Without {parameter('host')} only this machine can reach it, and ssh -L brings the page to your computer.")
    config = uvicorn.Config(
        make_app(session, door=door, host=host),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=2,
    )
    try:
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        session.jobs.close()


def _listen(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for attempt in (DEFAULT_PORT, 0) if port is None else (port,):
        # asyncio sets TCP_NODELAY only where the socket names its protocol. Without it each answer waits 40 ms.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, attempt))
            listening.listen(128)
            return listening
        except OSError as error:
            listening.close()
            if port is not None or attempt == 0:
                raise UsageError(
                    f"cannot listen at {host}, port {attempt}: {error.strerror}; give another {parameter('port')} "
                    f"or {parameter('host')}."
                ) from error
    raise AssertionError("unreachable")


def say(message: str) -> None:
    """Print a line on stderr, because stdout is for results."""
    print(message, file=sys.stderr, flush=True)
