"""Debian's Chromium, driven by Playwright, and pages of other origins to open in it."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, sync_playwright


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Lend a browser; where none is installed the test is skipped, and says so."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium here: `apt-get install chromium` installs it; pages cannot be tested without")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Site:
    """A site that serves one page, whatever is asked for."""

    origin: str
    html: str = ""


@contextmanager
def running_site() -> Iterator[Site]:
    """Serve a page on a free port, which makes it an origin of its own, until the context is left."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        site = Site(f"http://127.0.0.1:{server.server_port}")
        server.RequestHandlerClass = _serving(lambda: site.html)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="site")
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join(10)


def _serving(html: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(html().encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the test's output clean."""

    return Page
