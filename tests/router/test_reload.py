"""Settings that change while calls are made: what is under way ends as it began, what comes next goes by them."""

import asyncio
from pathlib import Path

import pytest

from optimizer.errors import AllCandidatesFailed
from optimizer.router import Router
from optimizer.simulation.fake_gateway import FakeServer, Trouble
from tests.engine.factory import CHEAP, DEAR, POOL, pool
from tests.router.calls import HELLO, only, run
from tests.router.conftest import Opened

ONE_DOOR = {"OPENROUTER_API_KEY": "", "OPENROUTER_BASE_URL": ""}
MAIL = [{"role": "user", "content": "Write to ann@example.org, please."}]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "optimizer.yaml"


def test_a_call_under_way_ends_by_the_settings_it_began_with(opened: Opened, fake: FakeServer, config: Path) -> None:
    """It is asked again as often as it was to be, though meanwhile nothing is to be asked again, of another pool."""
    only(fake, DEAR, troubles=(Trouble(fault="unavailable", until_call=3),))
    opt = opened(pool("objective: quality", f"routing: {{retries: 2, rules: [{rule(DEAR)}]}}"), **ONE_DOOR)

    async def change(router: Router) -> str:
        call = asyncio.create_task(router.complete(HELLO, use_case="chat"))
        while not fake.requests:
            await asyncio.sleep(0.001)
        config.write_text(f"use_cases: {{chat: {{candidates: [{CHEAP}]}}}}\nrouting: {{retries: 0}}")
        assert router.reload()
        assert (await router.complete(HELLO, use_case="chat")).model == CHEAP
        return (await call).model

    assert run(opt, change) == DEAR


def test_a_cache_comes_and_goes(opened: Opened, fake: FakeServer, config: Path) -> None:
    opt = opened(pool("objective: quality"))

    async def count(router: Router) -> list[int]:
        counts = []
        for text in ("", "cache: {enabled: true}", ""):
            config.write_text(pool("objective: quality", text))
            router.reload()
            for _ in range(2):
                await router.complete(HELLO, use_case="chat")
            counts.append(len(fake.requests))
        return counts

    assert run(opt, count) == [2, 3, 5]


def test_personal_data_is_masked_from_the_next_call_on(opened: Opened, fake: FakeServer, config: Path) -> None:
    opt = opened(pool("objective: quality"))

    async def mask(router: Router) -> None:
        await router.complete(MAIL, use_case="chat")
        config.write_text(pool("objective: quality", "redaction: {enabled: true}"))
        router.reload()
        await router.complete(MAIL, use_case="chat")

    run(opt, mask)
    before, after = (str(request.body) for request in fake.requests)
    assert "ann@example.org" in before
    assert "ann@example.org" not in after


def test_a_gateway_comes_and_goes(opened: Opened, fake: FakeServer, config: Path) -> None:
    opt = opened(pool("objective: quality"))

    async def switch(router: Router) -> list[str]:
        served = []
        for text in ("primary_gateway: openrouter\nfallback_gateway: null", ""):
            config.write_text(pool("objective: quality", text))
            router.reload()
            served.append((await router.complete(HELLO, use_case="chat")).provider)
        return served

    assert run(opt, switch) == ["openrouter", "portkey"]


def test_a_breaker_opens_by_the_threshold_in_force(opened: Opened, fake: FakeServer, config: Path) -> None:
    opt = opened(pool("objective: quality", "routing: {retries: 0, health_checks: {failure_threshold: 9}}"), **ONE_DOOR)

    async def fail(router: Router) -> list[bool]:
        only(fake, DEAR, troubles=(Trouble(fault="server_error"),))
        allowed = []
        for threshold in (9, 2):
            checks = f"{{failure_threshold: {threshold}}}"
            config.write_text(pool("objective: quality", f"routing: {{retries: 0, health_checks: {checks}}}"))
            router.reload()
            for _ in range(2):
                with pytest.raises(AllCandidatesFailed):
                    await router.complete(HELLO, use_case="chat", model=DEAR)
            allowed.append(router.line.breakers.allows("portkey", DEAR))
        return allowed

    assert run(opt, fail) == [True, False]


def test_a_wrong_file_leaves_calls_alone(opened: Opened, config: Path) -> None:
    opt = opened(pool("objective: quality"))

    async def spoil(router: Router) -> str:
        config.write_text(f"use_cases: {{chat: {{{POOL}, objectiv: quality}}}}")
        assert not router.reload()
        return (await router.complete(HELLO, use_case="chat")).content

    assert run(opt, spoil)


def rule(model: str) -> str:
    return f"{{name: r, condition: 'true', model: {model}}}"
