"""Does anything get lost, or counted twice, when Postgres stops under load and comes back?

Callers make calls through a fake gateway, wait for each to be written (`sync`), and rate every one. After a while the
server is stopped as a crash would stop it, and started again some time later. All that was acknowledged, before,
during and after, must then be in the ledger once, and evidence must follow from it exactly.
"""

import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select

from optimizer.decision.evidence import CALLS, QUALITY
from optimizer.errors import OptimizerError
from optimizer.ledger.audit import verify
from optimizer.ledger.batch import RuleOf
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import EvidenceReader
from optimizer.ledger.schema import open_database, upgrade
from optimizer.ledger.tables import attempts, calls, feedback
from optimizer.router import Router
from optimizer.settings import load_settings
from optimizer.simulation.fake_gateway import Script, running_gateway
from tests.ledger.postgres import Server, own_server

IN_FLIGHT = 4
PAUSE_S = 0.02
CONFIG = """
use_cases: {chat: {candidates: [gpt-4o, gpt-5.4-mini, gpt-oss-120b], objective: quality}}
routing: {retries: 0}
refresh_interval: 1s
durability: sync
journal_dir: journal
"""


@dataclass
class Told:
    """What callers were told: calls and ratings that are safe, when, and how long each call took."""

    called: list[str] = field(default_factory=list)
    rated: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    at: list[tuple[float, float]] = field(default_factory=list)
    journal_length: int = 0


def run(server: Server, folder: Path, *, outage_s: float = 30.0, around_s: float = 5.0) -> dict[str, float]:
    """Return how many calls and ratings were acknowledged and are lost or doubled, and how it was meanwhile.

    Parameters
    ----------
    around_s : float
        How long calls are made before the outage, and after it.
    """
    url = server.address.format(name="postgres")
    upgrade(url)
    config = folder / "optimizer.yaml"
    config.write_text(CONFIG)
    told = Told()
    with running_gateway(Script(), seed=1) as fake:
        environ = {"PORTKEY_API_KEY": "pk", "PORTKEY_BASE_URL": fake.portkey_url}
        router = Router.open(config, database=url, environ=environ)
        began, ended = asyncio.run(_load(server, router, told, outage_s, around_s))
    database = open_database(url)
    try:
        return _judged(database, load_settings(config, environ).reward_rule, told) | _meanwhile(told, began, ended)
    finally:
        database.close()


async def _load(server: Server, router: Router, told: Told, outage_s: float, around_s: float) -> tuple[float, float]:
    """Make calls around an outage and through it; return when it began and ended."""
    over = asyncio.Event()
    async with router:
        callers = [asyncio.create_task(_call_on(router, told, over)) for _ in range(IN_FLIGHT)]
        await asyncio.sleep(around_s)
        began = time.monotonic()
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(outage_s)
        told.journal_length = router.optimizer.journal_length
        await asyncio.to_thread(server.start)
        ended = time.monotonic()
        await asyncio.sleep(around_s)
        over.set()
        await asyncio.gather(*callers)
    return began, ended


async def _call_on(router: Router, told: Told, over: asyncio.Event) -> None:
    messages = [{"role": "user", "content": "Say hello."}]
    while not over.is_set():
        started = time.monotonic()
        try:
            reply = await router.complete(messages, use_case="chat")
            told.called.append(reply.call_id)
            await router.rate(reply.call_id, 0.5)
            told.rated.append(reply.call_id)
        except OptimizerError as error:
            told.errors.append(type(error).__name__)
        told.at.append((started, time.monotonic()))
        await asyncio.sleep(PAUSE_S)


# What came of it


def _judged(database: Database, rule_of: RuleOf, told: Told) -> dict[str, float]:
    reader = EvidenceReader(database)
    reader.refresh()
    n_counted = sum(sums.n for key, sums in reader.rows.items() if key.measure.startswith(CALLS))
    n_learned = sum(sums.n for key, sums in reader.rows.items() if key.measure.startswith(QUALITY))
    with database.reading() as connection:
        served = set(connection.scalars(select(attempts.c.call_id).where(attempts.c.served)))
        rated = set(connection.scalars(select(feedback.c.call_id).where(feedback.c.rater == "user")))
        n_calls = connection.scalar(select(func.count()).select_from(calls)) or 0
    return {
        "n_called": float(len(told.called)),
        "n_rated": float(len(told.rated)),
        "n_calls_lost": float(len(set(told.called) - served)),
        "n_ratings_lost": float(len(set(told.rated) - rated)),
        "n_calls_counted_twice": float(n_counted - n_calls),
        "n_ratings_counted_twice": float(n_learned - len(rated)),
        "n_differences": float(len(verify(database, rule_of))),
    }


def _meanwhile(told: Told, began: float, ended: float) -> dict[str, float]:
    during = [end - start for start, end in told.at if began < end and start < ended]
    return {
        "n_errors": float(len(told.errors)),
        "n_during": float(len(during)),
        "slowest_s": max(during, default=0.0),
        "journal_length": float(told.journal_length),
    }


def main() -> None:
    """Print the figures of a stop of 30 seconds."""
    with own_server() as server, tempfile.TemporaryDirectory() as name:
        figures = run(server, Path(name))
    of_calls = _row(figures, "n_called", "n_calls_lost", "n_calls_counted_twice")
    of_ratings = _row(figures, "n_rated", "n_ratings_lost", "n_ratings_counted_twice")
    print(f"  calls acknowledged, lost, counted twice    {of_calls}")
    print(f"  ratings acknowledged, lost, counted twice  {of_ratings}")
    print(f"  differences that `verify` finds            {_row(figures, 'n_differences')}")
    print(f"  calls refused                              {_row(figures, 'n_errors')}")
    print(f"  calls made while Postgres was stopped      {_row(figures, 'n_during')}")
    print(f"  waiting in the journal at its end          {_row(figures, 'journal_length')}")
    print(f"  slowest call with its rating meanwhile, s  {figures['slowest_s']:>8.2f}")


def _row(figures: dict[str, float], *names: str) -> str:
    return " ".join(f"{figures[name]:>8.0f}" for name in names)


if __name__ == "__main__":
    main()
