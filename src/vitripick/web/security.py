"""Keep strangers out of the server: other users share the machine, and the user's browser visits other pages.

- A token opens the page once and becomes a cookie, which scripts cannot read and other sites cannot send.
- Browsers send a cookie to every port of a host, so the server of another user on this machine may see it. So requests
  for data must also have a key in a header. The page gets it in the fragment of its address, which no server sees, and
  keeps it where the browser shows it to no other port.
- The Host header must name this machine, so a page of another name that resolves to 127.0.0.1 gets nothing.
- A request that changes something must come from this page (Origin), and be JSON or an imported file. Behind a proxy
  that the user names, the page has the origin of the proxy, too.
- Bodies that are too long are cut off before they are read.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vitripick.web.connections import Connections
from vitripick.web.project import read_only_answer
from vitripick.web.public_url import PublicUrl

MAX_BODY_BYTES = 8 << 20
MAX_IMPORT_BYTES = 64 << 20
IMPORT_PATH = "/api/import"
KEY_HEADER = "x-vitripick-key"

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NO_ENTRY = """<!doctype html><meta charset="utf-8"><title>vitripick</title>
<h1>Open the link of vitripick label</h1>
<p>This page opens with the link in the terminal where <code>vitripick label</code> runs, or in the file that it names
there. Each link works once. Press Enter in the terminal for the next one. If the server was started again, use its new
link: nothing is lost.</p>
"""


class BodyTooLargeError(Exception):
    """Says that a request has more bytes than it may have."""


class Door:
    """Keeps the tokens and cookies of one server.

    Parameters
    ----------
    cookie_name
        A name of this server only, because browsers share cookies between the ports of a host.
    on_entry
        Called with the next token, when one was used.
    """

    def __init__(self, cookie_name: str, on_entry: Callable[[str], None] = lambda token: None) -> None:
        self.cookie_name = cookie_name
        self.token = secrets.token_urlsafe(24)
        # One key for all windows, because a browser has one cookie for all of them.
        self.key = secrets.token_urlsafe(24)
        self._sessions: set[str] = set()
        self._on_entry = on_entry

    def enter(self, token: str) -> str | None:
        """Return the cookie of a new session, or None for a wrong token; a token opens one session only."""
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return None
        session = secrets.token_urlsafe(24)
        self._sessions.add(session)
        self.token = secrets.token_urlsafe(24)
        self._on_entry(self.token)
        return session

    def has_key(self, headers: Headers) -> bool:
        """Return whether the request comes from a page that was opened at this server."""
        return secrets.compare_digest(headers.get(KEY_HEADER, "").encode(), self.key.encode())

    def knows(self, headers: Headers) -> bool:
        """Return whether the request has the cookie of a session of this server."""
        for part in headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == self.cookie_name and value in self._sessions:
                return True
        return False


class Guard:
    """Lets a request through only if the rules above allow it, as ASGI middleware."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        door: Door,
        host: str,
        connections: Connections,
        read_only: bool = False,
        public: PublicUrl | None = None,
    ) -> None:
        self.app, self.door, self.read_only, self.connections = app, door, read_only, connections
        self.public = public
        self.loopback_only = is_loopback(host)
        self.names = frozenset({host, "localhost", socket.gethostname(), socket.getfqdn()})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        if self.public is not None:
            scope = self.public.inner(scope)
        known = self.door.knows(Headers(scope=scope))
        self.connections.begun(scope.get("client"), known=known and self.door.has_key(Headers(scope=scope)))
        try:
            await self._answer(scope, receive, send, known=known)
        finally:
            self.connections.answered(scope.get("client"))

    async def _answer(self, scope: Scope, receive: Receive, send: Send, *, known: bool) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope, known=known)
        if refusal is not None:
            await refusal(scope, receive, send_guarded)
            return
        limit = MAX_IMPORT_BYTES if scope["path"] == IMPORT_PATH else MAX_BODY_BYTES
        n_bytes = 0

        async def receive_limited() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > limit:
                raise BodyTooLargeError
            return message

        try:
            await self.app(scope, receive_limited, send_guarded)
        except BodyTooLargeError:
            await refused(413, f"more than {limit >> 20} MB at once.")(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, *, known: bool) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own(host_name(host)):
            return refused(421, "this is not the address of this page.")
        if scope["path"] == "/" and scope["method"] == "GET" and b"token=" in scope["query_string"]:
            return self._enter(scope)
        is_data = scope["path"].startswith("/api/")
        if not known or (is_data and not self.door.has_key(headers)):
            return refused(401, "open the link of vitripick label.") if is_data else HTMLResponse(_NO_ENTRY, 401)
        if scope["method"] in ("GET", "HEAD"):
            return None
        own = {f"http://{host}"} if self.public is None else {f"http://{host}", self.public.origin}
        if headers.get("origin") not in own or headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return refused(403, "only this page itself may change something.")
        wanted = "application/octet-stream" if scope["path"] == IMPORT_PATH else "application/json"
        if headers.get("content-type", "").partition(";")[0].strip() != wanted:
            return refused(415, f"send {wanted}.")
        if self.read_only:
            return refused(403, read_only_answer())
        limit = MAX_IMPORT_BYTES if scope["path"] == IMPORT_PATH else MAX_BODY_BYTES
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            return refused(413, f"more than {limit >> 20} MB at once.")
        return None

    def _enter(self, scope: Scope) -> Response:
        token = scope["query_string"].decode("latin-1").partition("token=")[2].partition("&")[0]
        session = self.door.enter(token)
        if session is None:
            # A user with a session may follow an old link, or reload.
            known = self.door.knows(Headers(scope=scope))
            return RedirectResponse("./", 303) if known else HTMLResponse(_NO_ENTRY, 401)
        # Where the browser is, a proxy may have put a path before ours.
        response = RedirectResponse(f"./#key={self.door.key}", 303)
        path, secure = ("/", False) if self.public is None else (self.public.path, self.public.is_encrypted)
        response.set_cookie(self.door.cookie_name, session, httponly=True, samesite="strict", path=path, secure=secure)
        return response

    def _is_own(self, name: str) -> bool:
        if self.public is not None and name == self.public.host:
            return True
        # A page of another site cannot fake a bare address: the browser sends the address that it connects to.
        return is_loopback(name) if self.loopback_only else name in self.names or _is_address(name)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens at `host`."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def host_name(host: str) -> str:
    """Return the host of a Host header, without port and brackets, in lower case."""
    if host.startswith("["):
        name, closed, _ = host[1:].partition("]")
        return name.lower() if closed else ""
    return host.rpartition(":")[0].lower() if host.count(":") == 1 else host.lower()


def refused(status: int, message: str) -> Response:
    """Return an error as a response, in the one form that all errors have."""
    return JSONResponse({"error": message}, status)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
