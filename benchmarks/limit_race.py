"""Do processes that are killed at random keep a spending limit together, and use it up?

Many processes reserve, wait and settle random costs under one hourly limit, while random ones are killed (SIGKILL) at
random moments and others take their place. A trigger in the database notes the highest that was ever committed as
spent and reserved together, and the processes note what they know to be charged, and what of it so late that its
reservation had expired, which alone may take spending past the limit. When nothing more fits, all but a call's worth
must be spent. Then, in a fresh hour, they reserve all of the limit and are killed: it must be whole again once their
reservations have expired.
"""

import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from sqlalchemy import text

from optimizer.decision.limits import EVERYTHING, SpendingLimits, Wanted
from optimizer.domain import NANO_USD
from optimizer.errors import LedgerUnavailable, LimitReached
from optimizer.ledger.database import Database
from optimizer.ledger.limits import LimitStatus, limit_status
from optimizer.ledger.purse import Purse
from optimizer.ledger.schema import open_database, upgrade

HOUR = datetime(2026, 3, 2, 12, tzinfo=UTC)
LONGEST_S = 120.0
CALL_S = 0.02
KILL_EVERY_S = 0.2
IN_FLIGHT = 2  # calls of one process at the same time
SURE = 20  # looks in a row at a limit of which nothing is left

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__, "sqlalchemy.dialects.postgresql.psycopg", "psycopg"])  # ready in no time


@dataclass(frozen=True)
class Plan:
    """How large a race is: a call costs the share 1/n_calls or a few of them at worst, and gets by with half of one."""

    n_processes: int = 16
    limit_usd: float = 1.0
    ttl_s: float = 10.0
    n_calls: int = 1000

    @property
    def limit(self) -> int:
        return round(self.limit_usd * NANO_USD)

    @property
    def limits(self) -> SpendingLimits:
        return SpendingLimits({EVERYTHING: {"hour": self.limit}})

    @property
    def least(self) -> int:
        return self.limit // (2 * self.n_calls)

    def wanted(self, random_: random.Random) -> Wanted:
        return Wanted(round(random_.uniform(1, 5) * self.limit / self.n_calls), self.least, "chat")


def run(url: str, folder: Path, plan: Plan) -> dict[str, float]:
    """Return what was spent, the most that ever stood, who was killed, and how soon the limit was whole again.

    Amounts are shares of the limit; `folder` keeps what each process knows to be charged.
    """
    database = open_database(url)
    _watch(database)
    race = _Race(url, folder, plan)
    try:
        return _spend(race, database) | _free(race, database)
    finally:
        race.kill(*race.running)
        database.close()


@dataclass
class _Race:
    """The processes that run, each with its journal, and how many have been killed."""

    url: str
    folder: Path
    plan: Plan
    running: dict[ForkServerProcess, Path] = field(default_factory=dict)
    n_started: int = 0
    n_killed: int = 0

    def start(self, work: Callable[[Purse, Plan, Path], None], hour: datetime) -> None:
        journal = self.folder / f"{self.n_started:04}"
        arguments = work, self.url, self.plan, hour, journal
        process = _processes.Process(target=_work, args=arguments, daemon=True)
        process.start()
        self.running[process] = journal
        self.n_started += 1

    def ready(self) -> list[ForkServerProcess]:
        return [process for process, journal in self.running.items() if journal.exists()]

    def kill(self, *processes: ForkServerProcess) -> None:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()
            del self.running[process]
        self.n_killed += len(processes)

    def charged(self, *, late: bool = False) -> float:
        """Return what the processes know to be charged, or how much of it after its reservation had expired."""
        # A killed process may have left half a line.
        lines = [line for path in self.folder.iterdir() for line in path.read_text().split("\n")[:-1]]
        return sum(int(line.split()[0]) for line in lines if not late or line.endswith("late")) / self.plan.limit


def _spend(race: _Race, database: Database) -> dict[str, float]:
    """Let the processes spend, and kill and replace some, until nothing more fits."""
    random_ = random.Random(7)
    for _ in range(race.plan.n_processes):
        race.start(_call_on, HOUR)
    began = time.monotonic()
    next_kill, full, seen = began, 0, 0
    while full < SURE and time.monotonic() - began < LONGEST_S:
        time.sleep(0.02)
        status = _status(database, race, HOUR)
        seen = max(seen, status.spent_nano_usd + status.reserved_nano_usd)
        full = full + 1 if race.plan.limit - status.spent_nano_usd < race.plan.least else 0
        ready = race.ready()
        if time.monotonic() > next_kill and len(ready) > race.plan.n_processes // 2:
            next_kill = time.monotonic() + random_.uniform(0.0, 2 * KILL_EVERY_S)
            race.kill(random_.choice(ready))
            race.start(_call_on, HOUR)
    figures = {"n_killed": race.n_killed, "took_s": time.monotonic() - began, "highest_seen": seen / race.plan.limit}
    race.kill(*race.running)
    return figures | {
        "spent": _status(database, race, HOUR).spent_nano_usd / race.plan.limit,
        "charged": race.charged(),
        "late": race.charged(late=True),
        "highest": _highest(database) / race.plan.limit,
    }


def _free(race: _Race, database: Database) -> dict[str, float]:
    """Let processes take the whole limit of the next hour into the grave; return when it was whole again."""
    hour = HOUR + timedelta(hours=1)
    all_of_it = Wanted(race.plan.limit, race.plan.limit, "chat")
    for _ in range(race.plan.n_processes):
        race.start(_hold, hour)
    _wait_until(lambda: _status(database, race, hour).left_nano_usd == 0)
    died = time.monotonic()
    race.kill(*race.running)
    purse = Purse(database, race.plan.limits, clock=lambda: hour)
    refused = isinstance(purse.reserve(all_of_it).exception(), LimitReached)
    _wait_until(lambda: purse.reserve(all_of_it).exception() is None)
    whole_again_s = time.monotonic() - died
    purse.close()
    return {"refused_at_first": float(refused), "whole_again_s": whole_again_s, "ttl_s": race.plan.ttl_s}


def _wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LONGEST_S
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


def _status(database: Database, race: _Race, hour: datetime) -> LimitStatus:
    return limit_status(database, race.plan.limits, hour)[0]


def _watch(database: Database) -> None:
    """Let the database note the highest sum that a commit ever leaves in a window."""
    sqlite, events = database.is_sqlite, ("INSERT", "UPDATE")
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE highest (nano_usd BIGINT)"))
        connection.execute(text("INSERT INTO highest VALUES (0)"))
        greatest = "max" if sqlite else "greatest"
        note = f"UPDATE highest SET nano_usd = {greatest}(nano_usd, NEW.spent_nano_usd + NEW.reserved_nano_usd)"  # noqa: S608
        if not sqlite:
            body = f"BEGIN {note}; RETURN NULL; END"
            connection.execute(text(f"CREATE FUNCTION note_highest() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"))
        for event in events:
            action = f"BEGIN {note}; END" if sqlite else "FOR EACH ROW EXECUTE FUNCTION note_highest()"
            connection.execute(text(f"CREATE TRIGGER highest_{event} AFTER {event} ON budgets {action}"))


def _highest(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(text("SELECT nano_usd FROM highest")).scalar_one())


def _work(work: Callable[[Purse, Plan, Path], None], url: str, plan: Plan, hour: datetime, journal: Path) -> None:
    """Open a purse in a process of its own and use it until killed."""
    purse = Purse(open_database(url), plan.limits, clock=lambda: hour, ttl_s=plan.ttl_s)
    work(purse, plan, journal)


def _call_on(purse: Purse, plan: Plan, journal: Path) -> None:
    """Make calls, several at a time."""
    with journal.open("a", buffering=1) as notes, ThreadPoolExecutor(IN_FLIGHT) as calls:
        for number in range(IN_FLIGHT):
            calls.submit(_make_calls, purse, plan, notes.write, random.Random(f"{journal} {number}"))


def _make_calls(purse: Purse, plan: Plan, note: Callable[[str], int], random_: random.Random) -> None:
    ends = time.monotonic() + LONGEST_S  # also where whoever should kill this is gone
    while time.monotonic() < ends:
        try:
            reservation = purse.reserve(plan.wanted(random_)).result()
        except (LimitReached, LedgerUnavailable):
            time.sleep(0.05)
            continue
        time.sleep(random_.expovariate(1.0 / CALL_S))
        fate = random_.random()
        cost = 0 if fate < 0.1 else None if fate < 0.15 else round(random_.random() * reservation.granted_nano_usd)
        if purse.settle(reservation, cost).exception() is not None:
            continue  # written later, or never where this is killed before
        late = " late" if time.time() * 1e6 > reservation.expires_at_us else ""
        note(f"{reservation.granted_nano_usd if cost is None else cost}{late}\n")


def _hold(purse: Purse, plan: Plan, _: Path) -> None:
    """Reserve a part of what is left, until nothing is, and do nothing with it."""
    while purse.reserve(Wanted(plan.limit // 20, 1, "chat")).exception() is None:
        pass
    time.sleep(LONGEST_S)


def main() -> None:
    """Print the figures of both databases."""
    from tests.ledger.postgres import shared_server

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sqlite").mkdir()
        _print("SQLite", run(str(folder / "ledger.db"), folder / "sqlite", Plan()))
        (folder / "postgres").mkdir()
        (folder / "server").mkdir()
        with shared_server(folder / "server") as address:
            url = address.format(name="postgres")
            upgrade(url)
            _print("Postgres", run(url, folder / "postgres", Plan()))


def _print(database: str, figures: dict[str, float]) -> None:
    print(f"{database}: {Plan.n_processes} processes, ${Plan.limit_usd:.2f} an hour, {figures['n_killed']} killed")
    print(f"  took, s                                           {figures['took_s']:>8.1f}")
    print(f"  spent and reserved at most (1 or less)            {figures['highest']:>8.4f}")
    print(f"  charged after its reservation had expired         {figures['late']:>8.4f}")
    print(f"  spent when nothing more fitted (0.95 or more)     {figures['spent']:>8.4f}")
    print(f"  known to be charged by those who spent it         {figures['charged']:>8.4f}")
    print(f"  whole again after all who held it were killed, s  {figures['whole_again_s']:>8.1f}")
    print(f"  reservations expire after, s                      {figures['ttl_s']:>8.1f}\n", flush=True)


if __name__ == "__main__":
    main()
