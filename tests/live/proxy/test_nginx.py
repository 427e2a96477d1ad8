"""The page behind nginx: https, a path before ours that the proxy hands on or takes away, as Open OnDemand has both."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from vitripick.formats import read_picks, write_mrc

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 64m;
  server {{
    listen 127.0.0.1:{front} ssl;
    ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem;
    location /node/here/{port}/ {{
      proxy_pass http://127.0.0.1:{port}{stripped};
      proxy_set_header Host $http_host;
    }}
  }}
}}
"""


def free_ports(n):
    import socket

    probes = [socket.socket() for _ in range(n)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.mark.parametrize("stripped", ["", "/"], ids=["the proxy hands the path on", "the proxy takes the path away"])
def test_a_label_is_made_and_saved_through_the_proxy(chromium, tmp_path, stripped):
    write_mrc(tmp_path / "mics" / "a.mrc", np.random.default_rng(0).standard_normal((90, 120)).astype(np.float32))
    front, port = free_ports(2)
    certificate = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem", "-subj", "/CN=localhost"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *certificate]
    subprocess.run(make, check=True, capture_output=True)
    text = CONFIGURATION.format(folder=tmp_path, front=front, port=port, stripped=stripped)
    (tmp_path / "nginx.conf").write_text(text)
    nginx = subprocess.Popen(["nginx", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)])
    url = f"https://localhost:{front}/node/here/{{port}}/"
    label = [sys.executable, "-m", "vitripick.cli.app", "label", tmp_path / "mics", "--out", tmp_path / "out"]
    server = subprocess.Popen([*map(str, label), "--port", str(port), "--url", url], stderr=subprocess.DEVNULL)
    try:
        link = wait_for_link(tmp_path / "out" / ".link")
        assert link.startswith(f"https://localhost:{front}/node/here/{port}/?token=")
        page = chromium.new_page(ignore_https_errors=True)
        page.goto(link)
        wait_until(page, "window.vitripick?.currentPicture()")
        box = page.locator("#overlay").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.evaluate("vitripick.flush()")
        page.reload()
        wait_until(page, "window.vitripick?.sheet()?.labels.size === 1")
        page.close()
        assert len(read_picks(tmp_path / "out" / "labels" / "a.csv")) == 1
    finally:
        for process in (server, nginx):
            process.terminate()
            process.wait(20)


def wait_for_link(path: Path):
    end = time.monotonic() + 60
    while not path.is_file():
        assert time.monotonic() < end, "the server did not start"
        time.sleep(0.1)
    return path.read_text().strip()


def wait_until(page, expression):
    end = time.monotonic() + 30
    while not page.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)
