"""Workers on one database are one: what one finds in trouble, the others leave alone."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from optimizer.engine import Optimizer
from optimizer.errors import AllCandidatesFailed
from optimizer.ledger.health import read_health
from optimizer.router import Router
from optimizer.simulation.fake_gateway import FakeServer, Trouble
from tests.engine.factory import DEAR, MIDDLE, pool
from tests.router.calls import HELLO, complete, only, run
from tests.router.conftest import Opened

ROOT = Path(__file__).parents[2]
TEXT = pool(
    "objective: quality", "routing: {retries: 0, health_checks: {failure_threshold: 1}}\nrefresh_interval: 100ms"
)
ONE_DOOR = {"OPENROUTER_API_KEY": "", "OPENROUTER_BASE_URL": ""}

# Makes a call to begin with, and tells when a model is in trouble, of which it was told by nobody but the database.
WORKER = """
import asyncio, os, sys
from optimizer import Router
async def main():
    async with Router.open(sys.argv[1], database=sys.argv[2], environ=os.environ) as router:
        await router.complete([{"role": "user", "content": "Hi"}], use_case="chat", model=sys.argv[4])
        print("ready", flush=True)
        async with asyncio.timeout(20):
            while router.line.breakers.allows("portkey", sys.argv[3]):
                await asyncio.sleep(0.02)
        print("told", flush=True)
asyncio.run(main())
"""


def fail(opt: Optimizer) -> None:
    with pytest.raises(AllCandidatesFailed):
        complete(opt, model=DEAR)


def test_a_breaker_that_one_process_opens_keeps_another_away(
    opened: Opened, fake: FakeServer, file: Path, tmp_path: Path
) -> None:
    opt = opened(TEXT, **ONE_DOOR)
    only(fake, DEAR, troubles=(Trouble(fault="server_error"),))
    gateway = {"PORTKEY_API_KEY": "pk-portkey", "PORTKEY_BASE_URL": fake.portkey_url}
    with subprocess.Popen(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            WORKER,
            str(tmp_path / "optimizer.yaml"),
            str(file),
            DEAR,
            MIDDLE,
        ],
        env={**os.environ, **gateway, **ONE_DOOR, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        fail(opt)
        opt.flush()
        assert process.stdout.readline() == "told\n"
        assert process.wait(timeout=30) == 0


def test_a_router_that_begins_knows_what_is_in_trouble(opened: Opened, fake: FakeServer) -> None:
    only(fake, DEAR, troubles=(Trouble(fault="server_error"),))
    fail(opened(TEXT, **ONE_DOOR))
    other = opened(TEXT, **ONE_DOOR)

    async def look(router: Router) -> bool:
        await router.complete(HELLO, use_case="chat", model=MIDDLE)
        return router.line.breakers.allows("portkey", DEAR)

    assert not run(other, look)


def test_what_is_adopted_is_not_told_again(opened: Opened, fake: FakeServer) -> None:
    only(fake, DEAR, troubles=(Trouble(fault="server_error"),))
    opt = opened(TEXT, **ONE_DOOR)
    fail(opt)
    before = read_health(opt.database)
    other = opened(TEXT, **ONE_DOOR)

    async def look(router: Router) -> None:
        await router.line.open()
        await asyncio.to_thread(other.refresh)

    run(other, look)
    assert read_health(opt.database) == before
