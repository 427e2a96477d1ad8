"""The site of the documentation: it builds without a warning, and works from a folder without a server."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent
LEADS_TO = {"a": "href", "link": "href", "img": "src", "script": "src"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site as `make docs` does; a warning is an error."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "tools/site"]
    command += ["-d", str(out / "doctrees"), ".", str(out / "html")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return out / "html"


class Page(HTMLParser):
    """Holds the places of a page that a link can lead to, and where its own links lead."""

    def __init__(self, path):
        super().__init__()
        self.places, self.links = set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.places |= {named[key] for key in ("id", "name") if named.get(key)}
        if named.get(LEADS_TO.get(tag)):
            self.links.append((tag, named[LEADS_TO[tag]]))


def test_every_link_of_the_site_leads_somewhere(site):
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 30
    lost = []
    for path, page in pages.items():
        for _, link in page.links:
            url = urlsplit(link)
            if url.scheme:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            known = pages.get(target)
            if not target.exists() or (known and url.fragment and unquote(url.fragment) not in known.places):
                lost.append(f"{path.relative_to(site)}: {link}")
    assert lost == []


def test_the_site_loads_nothing_from_elsewhere(site):
    pages = {path: Page(path) for path in site.rglob("*.html")}
    loaded = {link for page in pages.values() for tag, link in page.links if tag != "a"}
    assert [link for link in loaded if urlsplit(link).scheme or link.startswith("//")] == []
    sheets = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"url\(['\"]?(?:https?:)?//", sheets) == []


def test_the_menu_has_every_page_of_the_documentation(site):
    text = (site / "docs" / "index.html").read_text(encoding="utf-8")
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert [page for page in pages - {"index.html"} if f'href="{page}"' not in text] == []


def test_search_finds_an_option_and_the_colours_change_without_a_server(site):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(color_scheme="light")
        page.goto((site / "index.html").as_uri())
        page.wait_for_url("**/docs/index.html")
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
        page.fill("input[name=q]", "minimum_distance")
        page.press("input[name=q]", "Enter")
        page.wait_for_selector("#search-results li a")
        assert page.locator("#search-results li a", has_text="Options").count() >= 1
        browser.close()
