"""Limit connections without a session: the time for a request's head, and their number.

Everybody on a shared machine can connect to the server. Somebody who opens connections and sends half a request on
each would otherwise use up the open files of the process, and then the user's own page gets no answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, ClassVar, cast

log = logging.getLogger("vitripick")

HEAD_SECONDS = 10.0
# A browser opens six connections, and shows its session with the first request on each.
MAX_STRANGERS = 64
# The event loop takes this many connections in one go, before any of them can be closed.
BACKLOG = 64
_SAY_AGAIN_SECONDS = 60.0

Address = tuple[Any, ...]


class Connections:
    """Holds the open connections of one server.

    Parameters
    ----------
    head_seconds
        A connection without a whole request for so long is closed.
    max_strangers
        Of more connections without a session than this, the oldest is closed.
    """

    def __init__(self, *, head_seconds: float = HEAD_SECONDS, max_strangers: int = MAX_STRANGERS) -> None:
        self.head_seconds, self.max_strangers = head_seconds, max_strangers
        self._all: dict[Address, _Connection] = {}
        self._strangers: dict[Address, _Connection] = {}  # the oldest first

    def begun(self, client: Address | None, *, known: bool) -> None:
        """Note that the head of a request has arrived; `known` says whether it has a session."""
        connection = self._all.get(tuple(client or ()))
        if connection is not None:
            connection.stop_clock()
            connection.busy = True
            if known:
                self._strangers.pop(connection.client, None)

    def answered(self, client: Address | None) -> None:
        """Note that a request was answered, so that the next bytes begin another one."""
        connection = self._all.get(tuple(client or ()))
        if connection is not None:
            connection.busy = False

    def opened(self, connection: _Connection) -> None:
        """Note a new connection, which counts as one without a session, and close the oldest if there are too many."""
        self._all[connection.client] = self._strangers[connection.client] = connection
        if len(self._strangers) > self.max_strangers:
            oldest = next(iter(self._strangers.values()))
            del self._strangers[oldest.client]
            oldest.drop()

    def closed(self, connection: _Connection) -> None:
        """Forget a connection."""
        for those in (self._all, self._strangers):
            if those.get(connection.client) is connection:
                del those[connection.client]

    def protocol(self) -> type[asyncio.Protocol]:
        """Return uvicorn's protocol with these bounds."""
        from uvicorn.protocols.http.auto import AutoHTTPProtocol

        return cast(
            "type[asyncio.Protocol]", type("Bounded", (_Connection, AutoHTTPProtocol), {"connections_of": self})
        )


class _Connection(asyncio.Protocol):
    """Counts and times one connection, before uvicorn's protocol sees what happens on it."""

    connections_of: ClassVar[Connections]
    client: Address = ()
    busy = False
    _peer: asyncio.Transport
    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._peer = cast("asyncio.Transport", transport)
        super().connection_made(transport)
        self.client = tuple((transport.get_extra_info("peername") or ())[:2])
        self.connections_of.opened(self)
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        if not self.busy:
            self._start_clock()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_clock()
        self.connections_of.closed(self)
        super().connection_lost(exc)

    def _start_clock(self) -> None:
        if self._clock is None:
            loop = asyncio.get_running_loop()
            self._clock = loop.call_later(self.connections_of.head_seconds, self.drop)

    def stop_clock(self) -> None:
        """Let the request take as long as it needs."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def drop(self) -> None:
        """Close the connection at once."""
        self._peer.abort()


def say_once(loop: asyncio.AbstractEventLoop) -> None:
    """Report each trouble of the event loop in one line, once a minute: with a traceback each, they fill the disk."""
    said: dict[str, float] = {}

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        what = f"{context.get('message')}: {context.get('exception')}"
        now = time.monotonic()
        if now - said.get(what, -_SAY_AGAIN_SECONDS) >= _SAY_AGAIN_SECONDS:
            if len(said) > 100:
                said.clear()
            said[what] = now
            log.warning("the page's server: %s", what)

    loop.set_exception_handler(report)
