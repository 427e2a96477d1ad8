"""Start the server, hand over its link, and stop it on Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from vitripick.errors import UsageError, parameter
from vitripick.web.app import make_app
from vitripick.web.connections import BACKLOG, Connections, say_once
from vitripick.web.links import Links
from vitripick.web.public_url import PublicUrl
from vitripick.web.security import Door
from vitripick.web.session import Session

DEFAULT_PORT = 8417


def serve(session: Session, *, host: str, port: int | None, say: Callable[[str], None], url: str | None = None) -> None:
    """Serve one project until Ctrl-C, which is the ordinary end.

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
    url
        The address at which browsers find the page behind a reverse proxy; `{port}` in it is the port.

    Raises
    ------
    UsageError
        If the server cannot listen at this address, or `url` is not an address.
    """
    import uvicorn

    listening = _listen(host, port)
    actual = listening.getsockname()[1]
    public = None if url is None else PublicUrl.read(url, port=actual)
    links = Links(None if session.project.read_only else session.project.out, host, actual, say, public=public)
    door = Door(f"vitripick_{actual}", links.used)
    connections = Connections()
    config = uvicorn.Config(
        make_app(session, door=door, host=host, connections=connections, public=public),
        http=connections.protocol(),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        backlog=BACKLOG,
        timeout_graceful_shutdown=2,
    )
    if hasattr(signal, "SIGTTIN"):
        # A command in the background that reads from the terminal would be stopped by this signal.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    try:
        links.first(door.token)
        asyncio.run(_until_stopped(uvicorn.Server(config), listening))
    except KeyboardInterrupt:
        session.sheets.finish()
        say("The server has ended. Everything is saved; the same command goes on.")
    finally:
        links.close()
        session.jobs.close()


async def _until_stopped(server: Any, listening: socket.socket) -> None:
    say_once(asyncio.get_running_loop())
    await server.serve(sockets=[listening])


def _listen(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for attempt in (DEFAULT_PORT, 0) if port is None else (port,):
        # asyncio sets TCP_NODELAY only where the socket names its protocol. Without it each answer waits 40 ms.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, attempt))
            listening.listen(BACKLOG)
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
    """Print a line on stderr, because stdout is for results; a closed terminal does not stop the server."""
    try:
        print(message, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return
