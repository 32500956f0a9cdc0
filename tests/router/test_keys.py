"""Keys that change while calls go on."""

import asyncio
from pathlib import Path

import pytest

from optimizer.engine.watch import LOOK_EVERY_S
from optimizer.errors import AllCandidatesFailed, Unauthorized
from optimizer.router import Router
from optimizer.simulation.fake_gateway import FakeServer
from tests.engine.factory import pool
from tests.router.calls import HELLO, complete, run
from tests.router.conftest import Opened

NO_KEYS = {"PORTKEY_API_KEY": "", "OPENROUTER_API_KEY": "", "OPENROUTER_BASE_URL": ""}


def settings(key: str) -> str:
    return pool("objective: quality", f"routing: {{retries: 0}}\nportkey_config: {{api_key: {key}}}\n")


def keys_used(fake: FakeServer) -> list[str]:
    return [request.headers["x-portkey-api-key"] for request in fake.requests]


def test_the_second_key_is_used_where_the_first_is_refused(opened: Opened, fake: FakeServer) -> None:
    fake.keys = {"new"}
    reply = complete(opened(settings("[old, new]"), **NO_KEYS))
    assert [attempt.error_kind for attempt in reply.attempts] == [None]
    assert keys_used(fake) == ["old", "new"]


def test_a_key_in_the_file_is_read_again_without_a_restart(opened: Opened, fake: FakeServer, tmp_path: Path) -> None:
    fake.keys = {"old"}
    opt = opened(settings("old"), **NO_KEYS)

    async def rotate(router: Router) -> None:
        await router.complete(HELLO, use_case="chat")
        fake.keys = {"new"}
        (tmp_path / "optimizer.yaml").write_text(settings("new"))
        await asyncio.sleep(LOOK_EVERY_S)
        await router.complete(HELLO, use_case="chat")

    run(opt, rotate)
    assert keys_used(fake) == ["old", "new"]


def test_a_file_that_is_wrong_changes_nothing(opened: Opened, fake: FakeServer, tmp_path: Path) -> None:
    opt = opened(settings("old"), **NO_KEYS)

    async def spoil(router: Router) -> None:
        await router.complete(HELLO, use_case="chat")
        (tmp_path / "optimizer.yaml").write_text("portkey_config: {api_kee: new}")
        await asyncio.sleep(LOOK_EVERY_S)
        await router.complete(HELLO, use_case="chat")

    run(opt, spoil)
    assert keys_used(fake) == ["old", "old"]


def test_a_refused_key_is_an_error_that_shows_no_key(opened: Opened, fake: FakeServer) -> None:
    fake.keys = {"another"}
    opt = opened(settings("s3cret"), **NO_KEYS)
    with pytest.raises(AllCandidatesFailed) as caught:
        complete(opt)
    assert isinstance(caught.value.errors[0], Unauthorized)
    assert "s3cret" not in str(caught.value)
