"""Attacks on the page's server, each with what is expected: `python tests/web/attacks.py` prints the table.

Routes are those of the program itself, so a new one is attacked without a change here.
"""

import io
import itertools
import json
import os
import pickle
import re
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vitripick.web.app import make_app
from vitripick.web.connections import Connections
from vitripick.web.security import Door
from vitripick.web.session import open_session

PLACEHOLDERS = {
    "name:path": "main.js", "id": "000000000000", "column:int": "0", "row:int": "0", "set": "given", "run": "001",
    "name": "001",
}  # fmt: skip
FOREIGN_HOSTS = (
    "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "[::2]", "0x7f000001",
    "127.1", "10.0.0.1", "127.0.0.1@evil.example", "", "evil.example, 127.0.0.1", "[", "[::1",
)  # fmt: skip
MALFORMED_TOKENS = ("", "%00", "%ff%fe", "a" * 5000, "../..", "'%20OR%201=1", "\u00e5".encode().hex())
TRAVERSALS = (
    "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd", "/static/main.js%00",
    "/api/micrographs/..%2f..%2fetc%2fpasswd/image", "/api/micrographs/%2e%2e/image", "/api/micrographs/mic0.mrc",
    "/api/micrographs/" + "f" * 4000, "/api/micrographs/ID/tiles/-1/0", "/api/micrographs/ID/tiles/99999999999/0",
    "/api/micrographs/ID/tiles/1e9/0", "/api/micrographs/ID/image?low=nan", "/api/micrographs/ID/image?low=1e400",
    "/api/micrographs/ID/image?high=-5", "/api/picks/..%2f..", "/api/picks/..%2f../curve", "/api/exports/..",
    "/api/exports/..%2f..%2fproject.json", "/api/runs/..%2f../curves", "/api/montage?places=ID,1",
    "/api/montage?side=1e9&places=ID,1,1", "/api/status?since=" + "9" * 40,
)  # fmt: skip
BODIES = (
    b"[" * 100_000, b'{"a":' * 50_000, b'{"revision": NaN}', b'{"revision": 1e999}', b'{"revision": -1}', b"\xff\xfe{}",
    b'{"revision": 0, "add": [[1, "\xed\xa0\x80", 2]]}', b'{"revision": 0, "add": [[1, 1e9, 2]]}', b"null",
    b"[]", b'"x"',
    b'{"revision": 0, "add": [[1.5, 1, 2]]}', b'{"revision": 0, "add": [[99999999999999999999, 1, 2]]}',
    b'{"revision": 0, "add_areas": [[1, [[0, 0], [1, 1]]]]}', b'{"revision": 0, "unknown": 1}',
    b'{"revision": 0, "id": "<x>"}',
    b'{"flag": "__proto__"}', b'{"view": {"__proto__": {"a": 1}}}', b'{"threshold": 2}', b'{"box_size_px": 0}',
    b'{"pixel_size": -1}', b'{"pick_set": "../../etc"}', b'{"start": "run:../../x"}', b'{"model": "/etc/passwd"}',
    b'{"formats": ["../../x"]}', b'{"which": "all", "micrographs": ["../x"]}', b"\x00" * 1000, b"{" + b" " * 1_000_000,
)  # fmt: skip


class Run:
    """Whoever unpickles this leaves a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@dataclass
class Row:
    """One line of the table."""

    attack: str
    n: int
    expected: str
    seen: str
    fine: bool


def hostile_files(trap):
    """Name and content of each file that is imported."""
    pickled = pickle.dumps(Run(trap))
    array = io.BytesIO()
    np.save(array, np.array([Run(trap)], dtype=object), allow_pickle=True)
    head = b"\x93NUMPY\x01\x00v\x00{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (10**9,), }"
    return {
        "a.cs": pickled, "b.cs": array.getvalue(), "c.cs": head, "d.json": b"[" * 100_000, "e.json": b'{"a": NaN',
        "f.star": b"data_\nloop_\n_rlnCoordinateX #1\n" + b"1\n" * 5, "g.star": b"\x00" * 100,
        "h.box": b"1 2 3 4\n" * 3 + b"x y",
        "i.csv": b"x,y,width,height\n1e999,2,3,4\n", "j.csv": b"=cmd|' /C calc'!A0,1\n",
        "k.txt": b"image_name\tx_coord\n../../x\t1\n",
        "../../l.csv": b"x,y\n1,2\n", "m": b"", "n.xyz": b"hello",
        "o.cbox": b"data_global\n" * 1000, "p.mrc": b"\x00" * 2000,
    }  # fmt: skip


def attack(server, out, *, guesses=2000, connections=1200):
    """Yield a row for each kind of attack on a server with an open session."""
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".link"}
    an_id = server.ids()["mic0.mrc"]
    routes = [(method, path.replace("000000000000", an_id)) for method, path in all_routes()]

    found = [server.raw(method, path, b"{}", as_page=False) for method, path in routes]
    leaked = sum(b"mic0" in body for _, _, body in found)
    yield counted(
        "no session, every route",
        [status for status, _, _ in found],
        {401},
        more=f"{leaked} names leaked",
        fine=not leaked,
    )

    statuses = [server.raw("GET", f"/?token={'g' * 20}{i:012d}", as_page=False)[0] for i in range(guesses)]
    statuses += [server.raw("GET", f"/?token={token}", as_page=False)[0] for token in MALFORMED_TOKENS]
    yield counted("guessed and malformed tokens", statuses, {401})
    status, headers, _ = server.raw("GET", f"/?token={server.token}", as_page=False)
    yield counted("token used twice", [status], {401}, fine="set-cookie" not in headers)
    alone = [
        server.raw(method, path, b"{}", {"X-Vitripick-Key": "x" * 32})[0] for method, path in routes if "/api/" in path
    ]
    yield counted("the cookie alone, as servers of other ports see it", alone, {401})

    statuses = [server.raw("GET", "/api/project", headers={"Host": host})[0] for host in FOREIGN_HOSTS]
    yield counted("other Host headers (rebinding)", statuses, {400, 421})

    writing = [path for method, path in routes if method == "POST"]
    origins = ("https://evil.example", "null", "http://127.0.0.1", "http://localhost:1", "file://", "")
    sets = [{"Origin": origin} for origin in origins]
    sets += [{"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "none")]
    kinds = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonp")
    sets += [{"Content-Type": kind} for kind in kinds]
    statuses = [server.raw("POST", path, b"{}", headers)[0] for path in writing for headers in sets]
    yield counted("requests that another page can send: writing routes x headers", statuses, {403, 415})

    statuses = [
        server.raw(method, path)[0] for method in ("PUT", "DELETE", "PATCH") for path in ("/", "/api/project", *writing)
    ]
    yield counted("other methods", statuses, range(400, 500))
    statuses = [server.raw("GET", path)[0] for path in writing]
    yield counted("GET where something would be written", statuses, range(400, 500))

    found = [server.raw("GET", path.replace("ID", an_id)) for path in TRAVERSALS]
    leaked = sum(str(out.parent).encode() in body or b"root:" in body for _, _, body in found)
    yield counted(
        "paths that climb, odd ids, tiles and filters",
        [s for s, _, _ in found],
        {200, *range(400, 500)},
        fine=not leaked,
        more=f"{leaked} paths leaked",
    )

    found = [
        server.raw("POST", path, body)
        for path in writing
        if "stop" not in path and "import" not in path
        for body in BODIES
        if not harmless(path, body)
    ]
    yield counted("deep, huge and wrong bodies: writing routes x bodies", [s for s, _, _ in found], range(400, 500))

    with tempfile.TemporaryDirectory() as folder:
        trap = Path(folder) / "trap"
        found = [
            server.raw(
                "POST",
                "/api/import?name=" + name.replace("/", "%2F"),
                data,
                {"Content-Type": "application/octet-stream"},
            )
            for name, data in hostile_files(trap).items()
        ]
        leaked = sum(tempfile.gettempdir().encode() in body for _, _, body in found)
        yield counted(
            "imports of hostile files",
            [s for s, _, _ in found],
            range(400, 500),
            fine=not trap.exists() and not leaked,
            more=f"{int(trap.exists())} ran, {leaked} paths leaked",
        )

    yield counted("60 MB without a session", [large_body(server)], {401})

    found = [
        server.raw("GET", path)[1]
        for path in ("/", "/static/main.js", "/api/project", f"/api/micrographs/{an_id}/image", "/nothing")
    ]
    wanted = (
        "content-security-policy",
        "x-content-type-options",
        "x-frame-options",
        "referrer-policy",
        "cache-control",
    )
    lacking = sum(name not in {key.lower() for key in headers} for headers in found for name in wanted)
    unsafe = sum("unsafe" in headers.get("content-security-policy", "") for headers in found)
    yield Row(
        "headers of 5 kinds of answers", 5, "all", f"{lacking} lacking, {unsafe} unsafe", not lacking and not unsafe
    )

    process = Path(f"/proc/{server.process.pid}")
    visible = b"".join((process / name).read_bytes() for name in ("cmdline", "environ"))
    secrets = [part.encode() for part in (server.token, server.key, server.cookie.partition("=")[2])]
    n = sum(secret in visible for secret in secrets)
    yield Row("secrets in command line and environment", 3, "none", f"{n}", n == 0)

    opened = []
    for _ in range(connections):
        one = socket.create_connection((server.host, server.port), timeout=20)
        one.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        opened.append(one)
    alive = server.get("/api/status")[0]
    for one in opened:
        one.close()
    yield counted("half-open connections; then a request of the page", [alive] * connections, {200})

    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".link"}
    n = sum(before.get(path) != after.get(path) for path in {*before, *after})
    yield Row("files of the project that all this changed", len(after), "none", str(n), n == 0)


def harmless(path, body):
    """Whether a route takes this body for what it says: routes without settings ignore none, but `{}`."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(given, dict) and path.endswith("/settings") and list(given) == ["flag"]


def counted(attack, statuses, expected, *, fine=True, more=""):
    """Return the row of requests that were answered with these status codes."""
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    seen = ", ".join(f"{n} x {status}" for status, n in counts.items()) + (f"; {more}" if more else "")
    wanted = (
        " or ".join(str(s) for s in sorted(expected))
        if len(expected) < 5
        else "200 or 4xx"
        if 200 in expected
        else "4xx"
    )
    return Row(attack, len(statuses), wanted, seen, fine and set(statuses) <= set(expected))


def all_routes():
    """Return method and path of every route that the program has."""
    with tempfile.TemporaryDirectory() as folder:
        from vitripick.formats import write_mrc

        write_mrc(Path(folder) / "a.mrc", np.zeros((40, 40), np.float32))
        session = open_session([folder], Path(folder) / "out")
        app = make_app(session, door=Door("x"), host="127.0.0.1", connections=Connections())
        session.jobs.close()
    fill = lambda found: PLACEHOLDERS[found[1]]  # noqa: E731
    return [
        (method, re.sub(r"\{([^}]*)\}", fill, route.path))
        for route in app.routes
        for method in sorted(route.methods - {"HEAD"})
    ]


def large_body(server):
    """Announce 60 MB and begin to send them without a session; return the status."""
    with socket.create_connection((server.host, server.port), timeout=20) as one:
        one.sendall(b"POST /api/import?name=a.csv HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 62914560\r\n\r\n")
        try:
            for _ in itertools.repeat(None, 8):
                one.sendall(b"x" * 65536)
        except OSError:
            pass
        return int(one.recv(100).split()[1])


def main():
    """Print the table, and end with 1 if something was not as expected."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from web.conftest import make_micrographs, running

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        with running(make_micrographs(folder / "mics"), "--out", folder / "out") as server:
            rows = list(attack(server, folder / "out"))
    print("| attack | n | expected | seen | |\n|---|---:|---|---|---|")
    for row in rows:
        print(f"| {row.attack} | {row.n:,} | {row.expected} | {row.seen} | {'as expected' if row.fine else 'NOT SO'} |")
    sys.exit(not all(row.fine for row in rows))


if __name__ == "__main__":
    main()
