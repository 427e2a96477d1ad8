"""Know the address of the page behind a reverse proxy, such as JupyterHub, Open OnDemand or nginx.

Some proxies pass on the whole path, others remove the front part; both lead to the same page.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import Scope

from vitripick.errors import UsageError, parameter


@dataclass(frozen=True)
class PublicUrl:
    """Holds an address as the browser shows it.

    Attributes
    ----------
    origin
        Scheme, host and port, as in an Origin header.
    path
        The front part of every path, from "/" to "/".
    """

    origin: str
    path: str

    @classmethod
    def read(cls, text: str, *, port: int) -> PublicUrl:
        """Return the address of a text such as `https://hub.example.org/user/me/proxy/{port}/`.

        Parameters
        ----------
        text
            An http or https address; `{port}` stands for the port that the server listens at.
        port
            That port.

        Raises
        ------
        UsageError
            If it is not such an address.
        """
        parts = urlsplit(text.replace("{port}", str(port)))
        wrong = not parts.hostname or parts.scheme not in ("http", "https") or parts.query or parts.fragment
        if wrong or parts.username is not None:
            raise UsageError(
                f"{parameter('url', text)}: give the address at which the browser finds the page, such as "
                "https://hub.example.org/user/me/proxy/{port}/."
            )
        path = "/" + parts.path.strip("/")
        return cls(f"{parts.scheme}://{parts.netloc.lower()}", path if path == "/" else f"{path}/")

    @property
    def host(self) -> str:
        """Return the host without its port."""
        return urlsplit(self.origin).hostname or ""

    @property
    def is_encrypted(self) -> bool:
        """Return whether the browser comes by https."""
        return self.origin.startswith("https:")

    def link(self, token: str) -> str:
        """Return the address that opens the page with this token."""
        return f"{self.origin}{self.path}?token={token}"

    def inner(self, scope: Scope) -> Scope:
        """Return the request without the front part of its path, if the proxy has left it there."""
        path: str = scope["path"]
        if self.path == "/" or not path.startswith(self.path):
            return scope
        return {**scope, "path": "/" + path[len(self.path) :], "raw_path": None}
