"""The README's page, in a real browser, from another origin: who may rate, which call, and for how long."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.engine.factory import pool
from tests.service.chromium import Site, running_chromium, running_site
from tests.service.conftest import Serve
from tests.service.running import CHAT, HELLO, Served

README = (Path(__file__).parents[2] / "README.md").read_text()
TOKEN = "x-optimizer-feedback-token"  # noqa: S105, a header
ASK = """async ([url, headers, body]) => {
    const answer = await fetch(url, {method: "POST", headers, body: JSON.stringify(body)});
    return {status: answer.status, body: await answer.json(), headers: Object.fromEntries(answer.headers)};
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(30_000)
    yield page
    page.close()


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture
def served(serve: Serve, site: Site) -> Served:
    """A service that lets this site's pages in."""
    return serve(_letting_in(site.origin))


def _letting_in(origin: str, more: str = "") -> str:
    return pool("objective: quality", f"service: {{cors_origins: ['{origin}']{more}}}")


def _example() -> str:
    found = re.search(r"```html\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


def _shown(page: Page, site: Site, served: Served, token: str) -> Page:
    """Open the README's page as a site would serve it: with its service's address and the reply's token."""
    example = _example()
    assert example.count("http://127.0.0.1:8080") == example.count("{{ feedback_token }}") == 1
    url = served.url.removesuffix("/v1")
    site.html = example.replace("http://127.0.0.1:8080", url).replace("{{ feedback_token }}", token)
    page.goto(site.origin)
    return page


def _ask(page: Page, served: Served, path: str, headers: dict[str, str], body: object) -> dict[str, Any]:
    url = served.url.removesuffix("/v1") + path
    answer: dict[str, Any] = page.evaluate(ASK, [url, {"content-type": "application/json", **headers}, body])
    return answer


def _rating(served: Served, call_id: str) -> list[float | None]:
    served.optimizer.flush()
    return [each.value for each in served.optimizer.call(call_id).feedback]


def test_the_example_is_ten_lines() -> None:
    assert len(_example().strip().splitlines()) <= 10


@pytest.mark.parametrize(("thumb", "value"), [("👍", 1.0), ("👎", 0.0)])
def test_a_thumb_on_an_allowed_site_is_in_the_ledger(
    page: Page, site: Site, served: Served, thumb: str, value: float
) -> None:
    answer = served.chat()
    _shown(page, site, served, answer.headers[TOKEN]).get_by_text(thumb).click()
    expect(page.locator("output")).to_have_text("Thank you!")
    assert _rating(served, answer.headers["x-optimizer-call-id"]) == [value]


def test_a_second_thumb_takes_the_place_of_the_first(page: Page, site: Site, served: Served) -> None:
    answer = served.chat()
    _shown(page, site, served, answer.headers[TOKEN]).get_by_text("👍").click()
    expect(page.locator("output")).to_have_text("Thank you!")
    with page.expect_response("**/v1/feedback"):
        page.get_by_text("👎").click()
    assert _rating(served, answer.headers["x-optimizer-call-id"])[-1] == 0.0


def test_a_site_that_is_not_allowed_is_blocked(page: Page, site: Site, serve: Serve) -> None:
    served = serve(_letting_in("https://app.example.com"))
    answer = served.chat()
    _shown(page, site, served, answer.headers[TOKEN]).get_by_text("👍").click()
    expect(page.locator("output")).to_have_text("Not sent: Failed to fetch")
    assert _rating(served, answer.headers["x-optimizer-call-id"]) == []


def test_without_any_setting_no_site_is_let_in(page: Page, site: Site, serve: Serve) -> None:
    served = serve()
    _shown(page, site, served, served.chat().headers[TOKEN]).get_by_text("👍").click()
    expect(page.locator("output")).to_have_text("Not sent: Failed to fetch")


def test_a_token_rates_no_other_call(page: Page, site: Site, served: Served) -> None:
    token = served.chat().headers[TOKEN]
    other = served.chat().headers["x-optimizer-call-id"]
    _shown(page, site, served, token)
    answer = _ask(page, served, "/v1/feedback", {TOKEN: token}, {"call_id": other, "value": 1})
    assert (answer["status"], answer["body"]["error"]["code"]) == (403, "insufficient_permissions")
    assert _rating(served, other) == []


def test_an_expired_token_is_refused_and_the_page_says_so(page: Page, site: Site, serve: Serve) -> None:
    served = serve(_letting_in(site.origin, ", feedback_token_ttl: 1ms"))
    answer = served.chat()
    _shown(page, site, served, answer.headers[TOKEN]).get_by_text("👍").click()
    expect(page.locator("output")).to_have_text("Not taken: the feedback token is wrong or has expired")
    assert _rating(served, answer.headers["x-optimizer-call-id"]) == []


def test_a_changed_token_is_refused(page: Page, site: Site, served: Served) -> None:
    _shown(page, site, served, served.chat().headers[TOKEN][:-4] + "AAAA").get_by_text("👍").click()
    expect(page.locator("output")).to_have_text("Not taken: the feedback token is wrong or has expired")


def test_a_page_can_read_the_headers_of_a_reply(page: Page, site: Site, served: Served) -> None:
    _shown(page, site, served, "")
    answer = _ask(page, served, CHAT, {"x-optimizer-use-case": "chat"}, {"model": "auto", "messages": HELLO})
    assert answer["status"] == 200
    assert answer["headers"]["x-optimizer-call-id"] == served.last.selection.call_id
    assert {TOKEN, "x-optimizer-model", "x-optimizer-propensity"} <= set(answer["headers"])
