"""A real server in a process of its own, spoken to over real sockets; and pages of it."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from vitripick.formats import write_mrc

_LINK = re.compile(r"http://([\w.:]+|\[[\w:]+\]):(\d+)/\?token=(\S+)")
_LINK_FILE = re.compile(r"link(?: for another one)? is in (.*?)(?:, which only you can read)?\.$")


def free_port():
    """A port that no process listens at, for a server whose link does not say its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`vitripick label` at work; `behind`: the address of a proxy, which its links name."""

    def __init__(self, *arguments, behind=None):
        self.behind = behind
        port = () if "--port" in arguments else ("--port", str(free_port() if behind is not None else 0))
        command = [sys.executable, "-m", "vitripick.cli.app", "label", *map(str, arguments), *port]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.said = []
        if behind is not None:
            self.token = self._link_line().partition("?token=")[2]
            self.host, self.port, self.link = "127.0.0.1", int(port[1]), f"{behind}/?token={self.token}"
            return
        shown, port, self.token = self._link()
        self.host = shown.strip("[]")
        self.port = int(port)
        self.link = f"http://{shown}:{self.port}/?token={self.token}"
        self.cookie = self.key = ""

    def _link(self):
        return _LINK.search(self._link_line()).groups()

    def _link_line(self):
        for line in self.process.stderr:
            self.said.append(line)
            if found := _LINK_FILE.search(line.rstrip("\n")):
                return Path(found[1]).read_text().strip()
        raise AssertionError("the server did not start: " + "".join(self.said))

    @property
    def session(self):
        """The headers of an open page."""
        return {"Cookie": self.cookie, "X-Vitripick-Key": self.key}

    def next_link(self):
        """The link that is printed when one was used."""
        host, port, token = self._link()
        return f"http://{host}:{port}/?token={token}"

    @property
    def origin(self):
        return self.link.partition("/?")[0]

    def raw(self, method, path, body=None, headers=None, *, as_page=True):
        """Status, headers and body; with `as_page` the headers a browser with a session would send."""
        own = {**self.session, "Origin": self.origin, "Content-Type": "application/json"} if as_page else {}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        connection.request(method, path, body, {**own, **(headers or {})})
        response = connection.getresponse()
        data = response.read()
        connection.close()
        return response.status, dict(response.getheaders()), data

    def enter(self):
        status, headers, _ = self.raw("GET", f"/?token={self.token}", as_page=False)
        assert status == 303
        self.cookie = headers["set-cookie"].partition(";")[0]
        self.key = headers["location"].partition("#key=")[2]
        return self

    def get(self, path):
        status, _, data = self.raw("GET", path)
        return status, json.loads(data)

    def post(self, path, body=None):
        status, _, data = self.raw("POST", path, json.dumps(body if body is not None else {}))
        return status, json.loads(data)

    def send_file(self, name, data):
        path = "/api/import?name=" + urllib.parse.quote(name)
        status, _, answer = self.raw("POST", path, data, {"Content-Type": "application/octet-stream"})
        return status, json.loads(answer)

    def ids(self):
        """Micrograph name to id."""
        return {row[1]: row[0] for row in self.get("/api/project")[1]["micrographs"]}

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        if not self.process.stderr.closed:
            self.process.stderr.close()


@pytest.fixture
def serve():
    """Start servers that end with the test."""
    started = []

    def start(*arguments, enter=True, behind=None):
        server = Server(*arguments, behind=behind)
        started.append(server)
        return server.enter() if enter else server

    yield start
    for server in started:
        server.stop()


@contextmanager
def running(*arguments):
    server = Server(*arguments)
    try:
        yield server.enter()
    finally:
        server.stop()


def make_micrographs(folder, n=2, shape=(90, 120)):
    rng = np.random.default_rng(0)
    for i in range(n):
        write_mrc(folder / f"mic{i}.mrc", rng.standard_normal(shape).astype(np.float32), pixel_size=2.0)
    return folder


@pytest.fixture(scope="session")
def new_micrographs():
    """(folder, n, shape) -> a folder of MRC files of noise, mic0.mrc and so on."""
    return make_micrographs


@pytest.fixture(scope="session")
def running_server():
    """A server as a context, for fixtures that outlive a test."""
    return running


@pytest.fixture
def micrographs(tmp_path):
    return make_micrographs(tmp_path / "mics")


@pytest.fixture
def browse(chromium, serve):
    """Open the page of a server; errors of the page fail the test."""
    problems = []
    contexts = []

    def open_page(*arguments, server=None, width=1280, height=800, expect_errors=False):
        server = server or serve(*arguments, enter=False)
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme="light")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        if not expect_errors:
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.goto(server.link)
        settle(page)
        return page, server

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def settle(page):
    """Wait until a micrograph is shown and everything is saved."""
    wait_until(page, "window.vitripick?.currentPicture() && vitripick.sheet()?.id === vitripick.currentPicture().id")
    page.evaluate("vitripick.flush()")


def wait_until(page, expression, seconds=60.0):
    """Playwright's own waiting needs eval in the page, which its policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < end, f"still not after {seconds} s: {expression}"
        page.wait_for_timeout(30)


class Hand:
    """What a user does with a page: points at places of the micrograph."""

    def __init__(self, page):
        self.page = page

    def place(self, x, y):
        """Where a micrograph pixel is on the screen."""
        box = self.page.locator("#overlay").bounding_box()
        sx, sy = self.page.evaluate("([x, y]) => vitripick.viewport.toScreen(x, y)", [x, y])
        return box["x"] + sx, box["y"] + sy

    def click(self, x, y, **options):
        self.page.mouse.click(*self.place(x, y), **options)

    def drag(self, start, end):
        self.page.mouse.move(*self.place(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.place(*end), steps=4)
        self.page.mouse.up()

    def sets(self, selector, value, event="input"):
        """Give a control a value, in one step: between two, the page may draw the control again, with its old value."""
        script = "(control, [value, event]) => { control.value = value; control.dispatchEvent(new Event(event)); }"
        self.page.locator(selector).evaluate(script, [str(value), event])

    def saved(self):
        settle(self.page)

    def until(self, expression, seconds=60.0):
        wait_until(self.page, expression, seconds)

    def reads(self, selector, words):
        """Wait until these words stand somewhere, and fail if they never do."""
        self.until(f"document.querySelector({json.dumps(selector)}).textContent.includes({json.dumps(words)})")

    def labels(self):
        """[[x, y], ...] on the screen, in order of their numbers."""
        return self.page.evaluate("[...vitripick.sheet().labels.values()]")


@pytest.fixture
def hand():
    return Hand
