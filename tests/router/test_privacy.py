"""Marked text goes through every path, failures included, and must not be found in anything that was written."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from optimizer.engine import Optimizer
from optimizer.errors import OptimizerError
from optimizer.ledger.calls import recent_calls
from optimizer.router import Router
from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.fake_gateway.faults import FAULTS
from optimizer.simulation.fake_gateway.script import ModelScript, Trouble
from tests.engine.factory import DEAR, pool
from tests.router.calls import run
from tests.router.conftest import Opened

MARK = "xyzzy-marked-text"
MAIL = "marked.person@example.org"
SECRET = {"OPTIMIZER_SECRET": "a secret"}
KEYS = ("pk-portkey", "sk-or-openrouter")
MARKED = [
    {"role": "system", "content": f"{MARK} system"},
    {"role": "user", "content": [{"type": "text", "text": f"{MARK}, write to {MAIL}"}]},
]
TOOLS = [{"type": "function", "function": {"name": "f", "description": MARK, "parameters": {"type": "object"}}}]
SETTINGS = pool(
    f"objective: quality, judge: {{model: {DEAR}, sample: 1.0, rubric: Be kind}}",
    "routing: {retries: 0, attempt_timeout_seconds: 0.2, token_timeout_seconds: 0.2, cost_limits: {daily_usd: 5}}\n"
    "cache: {enabled: true, deduplicate: true}\nredaction: {enabled: true}",
)


class Written(logging.Handler):
    """Everything that was logged or raised, as text."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts += [record.getMessage(), repr(record.args)]
        if record.exc_info:
            self.texts.append("".join(traceback.format_exception(*record.exc_info)))

    def note(self, error: BaseException) -> None:
        """Keep all that an error shows, its causes and contexts too."""
        shown: BaseException | None = error
        while shown is not None:
            self.texts += [str(shown), repr(shown), repr(shown.args), repr(vars(shown))]
            shown = shown.__cause__ or shown.__context__
        self.texts.append("".join(traceback.format_exception(error)))


@pytest.fixture
def written() -> Any:
    handler = Written()
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


async def tried(work: Awaitable[Any], written: Written) -> None:
    try:
        written.texts.append(repr(await work))
    except OptimizerError as error:
        written.note(error)


async def everything(router: Router, written: Written) -> None:
    """Take each way that a call may take."""
    for options in ({}, {}, {"tools": TOOLS}, {"response_format": {"type": "json_object"}}, {"required_qualty": MARK}):
        await tried(router.complete(MARKED, use_case="chat", deadline_s=1.0, **options), written)
    await tried(asyncio.gather(*(router.complete(MARKED, use_case="chat", user=MARK) for _ in range(2))), written)
    await tried(streamed(router), written)
    await tried(router.complete_many([{"messages": MARKED}], return_exceptions=True), written)
    await tried(router.complete(MARKED, use_case="chat", max_cost_usd=1e-12), written)


async def streamed(router: Router) -> str:
    stream = router.stream(MARKED, use_case="chat", deadline_s=1.0, seed=7)
    async for _ in stream:
        pass
    return repr(stream) + repr(stream.reply)


def stored(file: Path) -> bytes:
    return b"".join(Path(f"{file}{end}").read_bytes() for end in ("", "-wal") if Path(f"{file}{end}").exists())


def check(opt: Optimizer, file: Path, written: Written) -> None:
    opt.flush()
    calls = recent_calls(opt.database, limit=1000)
    assert calls
    texts = "\n".join([*written.texts, repr(calls), *(call.selection.explain() for call in calls)])
    for secret in (MARK, MAIL, *KEYS):
        assert secret not in texts
        assert secret.encode() not in stored(file)


def test_no_text_and_no_key_is_written_when_all_goes_well(
    opened: Opened, fake: FakeServer, file: Path, written: Written
) -> None:
    fake.play(Script(echo=True, keys=KEYS))
    opt = opened(SETTINGS, **SECRET)
    run(opt, lambda router: everything(router, written))
    assert len(fake.requests) > 5
    check(opt, file, written)


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_no_text_and_no_key_is_written_when_something_goes_wrong(
    opened: Opened, fake: FakeServer, file: Path, written: Written, fault: str
) -> None:
    number = ":0.01" if fault in {"slow_first_token", "slow_tokens", "rate_limit"} else ""
    trouble = Trouble(fault=fault + number, every=2)
    fake.play(Script(echo=True, default=ModelScript(troubles=(trouble,)), troubles=(trouble,)))
    opt = opened(SETTINGS)
    run(opt, lambda router: everything(router, written))
    check(opt, file, written)


def test_what_leaves_is_masked_and_what_comes_back_is_whole(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(echo=True))
    opt = opened(SETTINGS)
    reply = run(opt, lambda router: router.complete(MARKED, use_case="chat", max_tokens=100))
    assert MAIL in reply.content
    assert all(MAIL not in str(request.body) for request in fake.requests)


def test_a_prompt_is_noted_under_a_hash_only_where_there_is_a_secret(opened: Opened) -> None:
    async def call(router: Router) -> Any:
        return await router.complete(MARKED, use_case="chat", tenant="no cache")

    plain = run(opened(pool()), call)
    assert plain.selection.prompt_hmac is None
    secret = opened(pool(), **SECRET)
    first, second = run(secret, call), run(secret, call)
    assert first.selection.prompt_hmac == second.selection.prompt_hmac
    assert len(first.selection.prompt_hmac or "") == 32
    assert secret.call(first.call_id).selection.prompt_hmac == first.selection.prompt_hmac
