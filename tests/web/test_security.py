"""The node is shared with others, and the browser visits other pages: each rule has its test."""

import asyncio
import http.client
import json
import os
import signal
import socket
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvicorn

from made import snapshot
from vitripick.errors import UsageError
from vitripick.web.connections import Connections, say_once
from vitripick.web.links import Links, reachable_name
from vitripick.web.public_url import PublicUrl
from vitripick.web.requests import EditRequest
from vitripick.web.security import MAX_BODY_BYTES, host_name
from vitripick.web.session import open_session


@pytest.fixture(scope="module")
def server(tmp_path_factory, new_micrographs, running_server):
    folder = tmp_path_factory.mktemp("security")
    with running_server(new_micrographs(folder / "mics"), "--out", folder / "out") as server:
        yield server


@pytest.fixture(scope="module")
def an_id(server):
    return server.ids()["mic0.mrc"]


def test_without_a_session_nothing_is_told(server):
    for path in ("/api/project", "/", "/static/main.js", "/api/micrographs/000000000000/image"):
        status, _, body = server.raw("GET", path, as_page=False)
        assert status == 401
        assert b"mic0" not in body


def test_a_wrong_token_does_not_open(server):
    status, headers, _ = server.raw("GET", "/?token=" + "x" * 32, as_page=False)
    assert status == 401
    assert "set-cookie" not in headers


def test_a_token_opens_once(server):
    status, headers, _ = server.raw("GET", f"/?token={server.token}", as_page=False)
    assert status == 401
    assert "set-cookie" not in headers


def test_the_cookie_is_for_this_page_only(serve, tmp_path, micrographs):
    server = serve(micrographs, "--out", tmp_path / "out", enter=False)
    _, headers, _ = server.raw("GET", f"/?token={server.token}", as_page=False)
    cookie = headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert headers["location"].startswith("./#key=")


def test_the_cookie_alone_which_other_ports_see_opens_no_data(server, an_id):
    for key in ("", "x" * 32):
        headers = {"X-Vitripick-Key": key}
        for path in ("/api/project", f"/api/micrographs/{an_id}/image"):
            status, _, body = server.raw("GET", path, headers=headers)
            assert status == 401
            assert b"mic0" not in body
        assert server.raw("POST", "/api/settings", '{"threshold": 0.9}', headers)[0] == 401
    assert server.raw("GET", "/", headers={"X-Vitripick-Key": ""})[0] == 200
    assert server.get("/api/project")[1]["settings"]["threshold"] != 0.9


def test_a_page_without_the_key_gets_it_from_a_window_that_has_it_and_else_says_what_to_open(
    browse, hand, micrographs, tmp_path
):
    page, server = browse(micrographs, "--out", tmp_path / "out", expect_errors=True)
    assert "key" not in page.url
    page.reload()
    hand(page).saved()
    other = page.context.new_page()
    other.goto(server.origin)
    hand(other).until("window.vitripick?.sheet()")
    for one in (page, other):
        one.close()
    last = page.context.new_page()
    last.goto(server.origin)
    last.wait_for_selector("#banner:has-text('open the link')")
    assert "mic0" not in last.inner_text("body")


def test_half_open_connections_of_others_do_not_keep_the_page_from_its_answers(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out")
    half = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    opened = []
    for _ in range(300):
        one = socket.create_connection((server.host, server.port), timeout=60)
        one.sendall(half)
        opened.append(one)
    assert server.get("/api/status")[0] == 200
    open_files = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    for one in opened:
        one.close()
    assert open_files < 120


def test_a_head_that_does_not_end_is_not_waited_for():
    async def hello(scope, receive, send):
        connections.begun(scope["client"], known=True)
        await asyncio.sleep(0.5)  # an answer may take longer than a head
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"hi"})
        connections.answered(scope["client"])

    connections = Connections(head_seconds=0.2)
    config = uvicorn.Config(hello, http=connections.protocol(), log_level="warning", lifespan="off", port=0)

    async def try_it():
        server = uvicorn.Server(config)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        head = b"GET / HTTP/1.1\r\nHost: a\r\n"
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(head + b"\r\n")
        answer = await reader.readuntil(b"hi")
        writer.write(head)  # the second request never ends
        try:
            rest = await asyncio.wait_for(reader.read(), 10)
        except ConnectionResetError:
            rest = b""
        server.should_exit = True
        await serving
        return answer, rest

    # A browser of other tests may have an event loop in this thread.
    with ThreadPoolExecutor(1) as thread:
        answer, rest = thread.submit(lambda: asyncio.run(try_it())).result()
    assert b"200" in answer
    assert rest == b""


def test_trouble_of_the_event_loop_is_said_once(caplog):
    loop = asyncio.new_event_loop()
    say_once(loop)
    for _ in range(50):
        loop.call_exception_handler({"message": "out of files", "exception": OSError(24, "Too many open files")})
    loop.close()
    assert len(caplog.records) == 1


def test_no_link_that_still_works_is_in_a_log(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out")
    used, link = server.token, server.next_link()
    assert link not in "".join(server.said)
    assert used not in "".join(server.said)
    file = tmp_path / "out/.link"
    assert file.read_text() == f"{link}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(20) == 0  # Ctrl-C is the ordinary end
    assert not file.exists()


def test_a_closed_terminal_keeps_nobody_out(serve, micrographs, tmp_path):
    server = serve(micrographs, "--out", tmp_path / "out", enter=False)
    server.process.stderr.close()
    for _ in range(2):
        server.enter()
        assert server.get("/api/status")[0] == 200
        server.token = (tmp_path / "out/.link").read_text().strip().partition("token=")[2]


def on_terminal(micrographs, tmp_path, host):
    said = []
    session = open_session([micrographs], tmp_path / host.replace(":", "_"))
    links = Links(session.project.out, host, 8417, said.append, on_terminal=True)
    links.first("TOKEN")
    return said, links


@pytest.mark.parametrize(
    ("host", "link", "forward"),
    [
        ("127.0.0.1", "http://127.0.0.1:8417/", "8417:127.0.0.1:8417"),
        ("localhost", "http://127.0.0.1:8417/", "8417:127.0.0.1:8417"),
        ("127.0.0.5", "http://127.0.0.5:8417/", "8417:127.0.0.5:8417"),
        ("::1", "http://[::1]:8417/", "8417:[::1]:8417"),
    ],
)
def test_a_link_names_the_address_that_the_server_listens_at(micrographs, tmp_path, host, link, forward):
    said, links = on_terminal(micrographs, tmp_path, host)
    assert f"{link}?token=TOKEN" in said[0]
    assert f"-L {forward} " in "".join(said)
    links.used("NEXT")
    assert "NEXT" not in "".join(said)


@pytest.mark.parametrize("host", ["127.0.0.5", "::1"])
def test_the_page_opens_at_every_address_of_this_machine(serve, micrographs, tmp_path, host):
    server = serve(micrographs, "--out", tmp_path / "out", "--host", host)
    assert server.get("/api/status")[0] == 200
    assert server.post("/api/settings", {"threshold": 0.5})[0] == 200


def test_the_ssh_line_names_a_host_that_others_can_reach(monkeypatch):
    monkeypatch.setattr(socket, "getfqdn", lambda: "localhost")
    monkeypatch.setattr(socket, "gethostname", lambda: "node7")
    assert reachable_name() == "node7"
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost.localdomain")
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 51000 127.0.0.9 22")
    assert reachable_name() == "127.0.0.9"


@pytest.mark.parametrize("name", [".lock", "history/mic0.jsonl"])
def test_a_link_in_a_shared_project_changes_no_file_elsewhere(micrographs, tmp_path, name):
    precious = tmp_path / "precious"
    precious.write_text("" if name != ".lock" else "mine\n")
    before = precious.read_text()
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.symlink_to(precious)
    with pytest.raises(UsageError, match="this is a link"):  # noqa: PT012
        session = open_session([micrographs], tmp_path / "out")
        entry = next(iter(session.project.entries.values()))
        session.sheets.edit(entry, EditRequest(revision=0, add=[(1, 5, 5)]))
    assert precious.read_text() == before


def test_a_name_cannot_hide_its_ending(browse, hand, tmp_path, new_micrographs):
    """U+202E turns the direction of what follows: `gpj.mrc` would be read as `crm.jpg`."""
    folder = new_micrographs(tmp_path / "mics", n=1)
    (folder / "mic0.mrc").rename(folder / "a\u202egpj\u2066b.mrc")
    page, _ = browse(folder, "--out", tmp_path / "out")
    text = page.inner_text("body") + page.evaluate("document.title")
    assert "a□gpj□b" in text
    assert not {"\u202e", "\u2066"} & set(text)


def test_another_name_for_this_address_gets_nothing(server):
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1.evil.example", ""):
        status, _, body = server.raw("GET", "/api/project", headers={"Host": host})
        assert status == 421
        assert b"mic0" not in body


def test_a_tunnel_from_another_port_is_let_in(server):
    assert server.raw("GET", "/api/project", headers={"Host": "localhost:9999"})[0] == 200


def test_another_page_cannot_write(server, an_id):
    body = json.dumps({"flag": "complete"})
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": f"http://127.0.0.1:{server.port + 1}"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        assert server.raw("POST", f"/api/micrographs/{an_id}/flag", body, headers)[0] == 403
    rows = server.get("/api/project")[1]["micrographs"]
    assert all(row[3] is None for row in rows)


def test_a_form_of_another_page_cannot_write(server, an_id):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        status, _, _ = server.raw("POST", f"/api/micrographs/{an_id}/flag", "{}", {"Content-Type": kind})
        assert status == 415


@pytest.mark.parametrize(
    "path",
    [
        "/api/micrographs/..%2f..%2fetc%2fpasswd",
        "/api/micrographs/../../etc/passwd/image",
        "/api/micrographs/%2e%2e%2fmic0.mrc/image",
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/api/picks/..%2f..%2f/000000000000",
        "/api/runs/..%2f..%2f/curves",
    ],
)
def test_an_id_is_never_a_path(server, path):
    status, _, body = server.raw("GET", path)
    assert status in (400, 404)
    assert b"root:" not in body
    assert b"Starlette" not in body


def test_a_path_for_a_set_of_picks_is_refused(server):
    assert server.post("/api/settings", {"pick_set": "../../secret"})[0] == 422
    assert server.post("/api/pick", {"model": "run:../../secret"})[0] == 422


def test_a_body_that_is_too_large_is_refused_unread(server, an_id):
    status, _, _ = server.raw(
        "POST", f"/api/micrographs/{an_id}/edit", b"{}", {"Content-Length": str(MAX_BODY_BYTES + 1)}
    )
    assert status == 413


def test_a_body_without_a_length_is_cut_off(server, an_id):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    headers = {**server.session, "Origin": server.origin, "Content-Type": "application/json"}
    chunks = (b" " * (1 << 20) for _ in range((MAX_BODY_BYTES >> 20) + 2))
    try:
        connection.request("POST", f"/api/micrographs/{an_id}/edit", chunks, headers, encode_chunked=True)
        status = connection.getresponse().status
    except ConnectionError:
        status = 413
    assert status == 413


def test_too_many_labels_at_once_are_refused(server, an_id):
    rows = [[i, 1, 1] for i in range(100_001)]
    assert server.post(f"/api/micrographs/{an_id}/edit", {"revision": 0, "add": rows})[0] == 422


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(server, an_id, number):
    body = f'{{"revision": 0, "add": [[1, {number}, 5]]}}'
    assert server.raw("POST", f"/api/micrographs/{an_id}/edit", body)[0] == 422
    assert server.get(f"/api/micrographs/{an_id}")[1]["labels"] == []
    assert server.raw("GET", f"/api/micrographs/{an_id}/image?low={number}")[0] == 400


def test_unknown_keys_and_deep_nests_are_refused(server, an_id):
    assert server.post(f"/api/micrographs/{an_id}/edit", {"revision": 0, "path": "/etc/passwd"})[0] == 422
    assert server.raw("POST", f"/api/micrographs/{an_id}/edit", "[" * 100_000)[0] == 422


def test_scripts_come_from_this_page_only(server):
    _, headers, _ = server.raw("GET", "/")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in policy


def test_a_read_only_page_changes_nothing(serve, tmp_path, micrographs):
    out = tmp_path / "out"
    serve(micrographs, "--out", out).stop()
    before = snapshot(out, leave_out=())
    server = serve(micrographs, "--out", out, "--read-only")
    an_id = server.ids()["mic0.mrc"]
    assert server.get(f"/api/micrographs/{an_id}")[0] == 200
    for path in (f"micrographs/{an_id}/flag", f"micrographs/{an_id}/edit", "settings", "train", "export", "stop"):
        assert server.post(f"/api/{path}")[0] == 403
    assert server.send_file("a.csv", b"x,y\n1,1\n")[0] == 403
    assert snapshot(out, leave_out=()) == before


def test_a_script_in_a_file_name_stays_text(browse, tmp_path, new_micrographs):
    evil = '<img src=x onerror="window.hacked=1">'
    folder = new_micrographs(tmp_path / "mics", n=1)
    (folder / "mic0.mrc").rename(folder / f"{evil}.mrc")
    page, _ = browse(folder, "--out", tmp_path / "out")
    for tab in ("picks", "particles", "train", "files"):
        page.click(f"#tab-{tab}")
    page.wait_for_timeout(400)
    assert evil in page.inner_text("#micrograph-name")
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img").count() == 0


def test_it_listens_on_this_machine_only_unless_told(server):
    assert server.host == "127.0.0.1"


def test_a_warning_goes_with_an_open_address(micrographs, tmp_path):
    from vitripick.web.serve import serve as run_server
    from vitripick.web.session import open_session

    said = []

    class StopHere(Exception):
        pass

    def say(text):
        said.append(text)
        if "WARNING" in text:
            raise StopHere

    session = open_session([micrographs], tmp_path / "out")
    with pytest.raises(StopHere):
        run_server(session, host="0.0.0.0", port=0, say=say)
    assert "WARNING" in said[-1]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost:80", "localhost"),
        ("[::1]:80", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("Example.org:1", "example.org"),
        ("[::1", ""),
    ],
)
def test_the_name_in_a_host_header(header, name):
    assert host_name(header) == name


@pytest.mark.parametrize("front", ["", "/user/me/proxy/8417"])
def test_behind_a_proxy_that_was_named_its_origin_counts_as_our_own(serve, micrographs, tmp_path, front):
    """Whether the proxy takes the front part of the path away, or hands it on."""
    url = "https://hub.example.org/user/me/proxy/8417"
    link = ("--url", url)
    server = serve(micrographs, "--out", tmp_path / "out", *link, enter=False, behind=url)
    status, headers, _ = server.raw("GET", f"{front}/?token={server.token}", None, PROXIED, as_page=False)
    assert status == 303
    assert headers["location"].startswith("./#key=")
    assert "Path=/user/me/proxy/8417/;" in headers["set-cookie"]
    assert "Secure" in headers["set-cookie"]
    own = {
        **PROXIED,
        "Cookie": headers["set-cookie"].partition(";")[0],
        "X-Vitripick-Key": headers["location"].partition("#key=")[2],
        "Content-Type": "application/json",
    }
    assert server.raw("GET", f"{front}/api/project", None, own, as_page=False)[0] == 200
    change = json.dumps({"threshold": 0.5})
    for origin, expected in (("https://hub.example.org", 200), ("https://evil.example.org", 403)):
        answer = server.raw("POST", f"{front}/api/settings", change, {**own, "Origin": origin}, as_page=False)
        assert answer[0] == expected


PROXIED = {"Host": "hub.example.org"}


def test_without_a_named_proxy_its_host_gets_nothing(server):
    assert server.raw("GET", "/", None, PROXIED, as_page=False)[0] == 421


@pytest.mark.parametrize(
    "text", ["hub.example.org/x", "ftp://hub/x", "https:///x", "https://hub/x?y=1", "https://me:pw@hub/"]
)
def test_an_address_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="give the address at which the browser finds the page"):
        PublicUrl.read(text, port=8417)


def test_the_port_stands_in_the_address_where_it_is_asked_for():
    public = PublicUrl.read("https://hub.example.org/me/proxy/{port}", port=4711)
    assert public.link("t") == "https://hub.example.org/me/proxy/4711/?token=t"
