"""The node is shared with others, and the browser visits other pages: each rule has its test."""

import http.client
import json

import pytest

from made import snapshot
from vitripick.web.security import MAX_BODY_BYTES, host_name


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
    assert headers["location"] == "/"


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
    headers = {"Cookie": server.cookie, "Origin": server.origin, "Content-Type": "application/json"}
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
    [("localhost:80", "localhost"), ("[::1]:80", "::1"), ("127.0.0.1", "127.0.0.1"), ("Example.org:1", "example.org")],
)
def test_the_name_in_a_host_header(header, name):
    assert host_name(header) == name
