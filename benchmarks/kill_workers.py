"""Does the ledger have every call that was answered, when the process that answered it is killed under load?

A worker makes calls through a fake gateway, several at a time and under a spending limit, waits for each to be written
(`sync`), rates every second one, and notes on the disk what it was answered. In every round it is killed (SIGKILL) at
a random moment, and another takes its place. In the end, what was noted must be in the ledger, evidence must follow
from the ledger exactly, and what the dead had set aside must be free once it has expired.
"""

import asyncio
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from sqlalchemy import func, select, update

from optimizer.domain import NANO_USD
from optimizer.ledger.audit import verify
from optimizer.ledger.database import Database
from optimizer.ledger.limits import limit_status, spending_limits
from optimizer.ledger.schema import open_database, upgrade
from optimizer.ledger.tables import attempts, budgets, feedback, now_us, reservations
from optimizer.router import Router
from optimizer.settings import Settings, load_settings
from optimizer.simulation.fake_gateway import Script, running_gateway
from optimizer.simulation.fake_gateway.script import ModelScript

LONGEST_S = 60.0  # that a worker lives, also where whoever should kill it is gone
IN_FLIGHT = 8
LIMIT_USD = 1_000.0
CONFIG = f"""
use_cases: {{chat: {{candidates: [gpt-4o, gpt-5.4-mini, gpt-oss-120b], objective: quality}}}}
routing: {{retries: 0, cost_limits: {{daily_usd: {LIMIT_USD}}}}}
durability: sync
"""

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__, "sqlalchemy.dialects.postgresql.psycopg", "psycopg"])  # ready in no time


@dataclass(frozen=True)
class Ground:
    """Where the rounds take place."""

    url: str
    folder: Path
    environ: Mapping[str, str]

    @property
    def config(self) -> Path:
        return self.folder / "optimizer.yaml"

    @property
    def settings(self) -> Settings:
        return load_settings(self.config, self.environ)


def run(url: str, folder: Path, n_rounds: int = 50, *, n_calls: int = 20) -> dict[str, float]:
    """Return how many calls and ratings were noted, how many of them the ledger lacks, and what else is not right.

    Parameters
    ----------
    folder : Path
        Keeps the configuration, and what each worker noted.
    n_calls : int
        What each worker is let answer before it is killed, some moments later.
    """
    with running_gateway(Script(default=ModelScript(ttft_s=0.002, ttft_sigma=1.0)), seed=1) as fake:
        ground = Ground(url, folder, {"PORTKEY_API_KEY": "pk", "PORTKEY_BASE_URL": fake.portkey_url})
        ground.config.write_text(CONFIG)
        random_ = random.Random(7)
        for number in range(n_rounds):
            _round(ground, folder / f"{number:03}.noted", n_calls, random_.uniform(0.0, 0.1))
    return {"n_killed": float(n_rounds)} | _judged(ground)


def _round(ground: Ground, noted: Path, n_calls: int, then_s: float) -> None:
    process: ForkServerProcess = _processes.Process(target=_work, args=(ground, noted), daemon=True)
    process.start()
    try:
        ends = time.monotonic() + LONGEST_S
        while not noted.exists() or noted.read_bytes().count(b"called") < n_calls:
            if time.monotonic() > ends or not process.is_alive():
                raise TimeoutError
            time.sleep(0.005)
        time.sleep(then_s)
    finally:
        process.kill()
        process.join()


def _work(ground: Ground, noted: Path) -> None:
    """Make calls until killed."""
    asyncio.run(_call_on(ground, noted))


async def _call_on(ground: Ground, noted: Path) -> None:
    notes = os.open(noted, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with Router.open(ground.config, database=ground.url, environ=ground.environ) as router:
        await asyncio.gather(*(_make_calls(router, notes) for _ in range(IN_FLIGHT)))


async def _make_calls(router: Router, notes: int) -> None:
    ends = time.monotonic() + LONGEST_S
    messages = [{"role": "user", "content": "Say hello."}]
    while time.monotonic() < ends:
        for is_rated in (True, False):
            reply = await router.complete(messages, use_case="chat")
            _note(notes, f"{reply.call_id} called\n")
            if is_rated:
                await router.rate(reply.call_id, 0.5)
                _note(notes, f"{reply.call_id} rated\n")


def _note(notes: int, line: str) -> None:
    os.write(notes, line.encode())
    os.fsync(notes)


# What came of it


def _judged(ground: Ground) -> dict[str, float]:
    lines = [line.split() for path in ground.folder.glob("*.noted") for line in path.read_text().splitlines()]
    called = {call_id for call_id, what in lines if what == "called"}
    rated = {call_id for call_id, what in lines if what == "rated"}
    database = open_database(ground.url)
    try:
        served, judged = _known(database)
        return {
            "n_called": float(len(called)),
            "n_rated": float(len(rated)),
            "n_calls_lost": float(len(called - served)),
            "n_ratings_lost": float(len(rated - judged)),
            "n_differences": float(len(verify(database, ground.settings.reward_rule))),
            **_left(ground, database),
        }
    finally:
        database.close()


def _known(database: Database) -> tuple[set[str], set[str]]:
    with database.reading() as connection:
        served = set(connection.scalars(select(attempts.c.call_id).where(attempts.c.served)))
        return served, set(connection.scalars(select(feedback.c.call_id)))


def _left(ground: Ground, database: Database) -> dict[str, float]:
    """Let all that is set aside expire, and return how much still is after the next who spends."""
    r = reservations.c
    with database.reading() as connection:
        held = connection.scalar(select(func.count()).where(r.windows_json != "[]")) or 0
    with database.writing() as connection:
        connection.execute(update(reservations).where(r.windows_json != "[]").values(expires_at_us=1))
    asyncio.run(_spend(ground))
    with database.reading() as connection:
        left = connection.scalar(select(func.count()).where(r.expires_at_us <= now_us(database.engine.dialect)))
        reserved = connection.scalar(select(func.sum(budgets.c.reserved_nano_usd)))
        cost = connection.scalar(select(func.sum(attempts.c.cost_nano_usd))) or 0
    (status,) = limit_status(database, spending_limits(ground.settings), datetime.now(UTC))
    return {
        "n_reserved_by_the_dead": float(held),
        "n_reserved_after_expiry": float(left or 0),
        "reserved_usd_after_expiry": int(reserved or 0) / NANO_USD,
        "share_of_costs_charged": status.spent_nano_usd / max(int(cost), 1),
    }


async def _spend(ground: Ground) -> None:
    with running_gateway(Script(), seed=1) as fake:
        environ = {**ground.environ, "PORTKEY_BASE_URL": fake.portkey_url}
        async with Router.open(ground.config, database=ground.url, environ=environ) as router:
            await router.complete([{"role": "user", "content": "Say hello."}], use_case="chat")


def main() -> None:
    """Print the figures of both databases."""
    from tests.ledger.postgres import shared_server

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("sqlite", "postgres", "server"):
            (folder / part).mkdir()
        upgrade(str(folder / "ledger.db"))
        _print("SQLite", run(str(folder / "ledger.db"), folder / "sqlite"))
        with shared_server(folder / "server") as address:
            url = address.format(name="postgres")
            upgrade(url)
            _print("Postgres", run(url, folder / "postgres"))


def _print(database: str, figures: dict[str, float]) -> None:
    print(f"{database}: {figures['n_killed']:.0f} workers killed under load")
    print(f"  calls answered, and of them lost         {figures['n_called']:>8.0f} {figures['n_calls_lost']:>6.0f}")
    print(f"  ratings taken, and of them lost          {figures['n_rated']:>8.0f} {figures['n_ratings_lost']:>6.0f}")
    print(f"  differences that `verify` finds          {figures['n_differences']:>8.0f}")
    print(f"  set aside by the dead; after its expiry  {figures['n_reserved_by_the_dead']:>8.0f}", end=" ")
    print(f"{figures['n_reserved_after_expiry']:>6.0f}")
    print(f"  charged, as a share of known costs       {figures['share_of_costs_charged']:>8.4f}\n", flush=True)


if __name__ == "__main__":
    main()
