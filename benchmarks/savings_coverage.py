"""How often do the limits of a saving hold what was truly saved?

Small simulated days are played through the real library, and `optimizer savings`' own code looks at each ledger. The
world knows what the baseline would have cost on every call. Three groups of use cases, one for each method: one has a
holdout whose incumbent is the baseline (experiment), one has none and explores, so that its baseline is drawn often
enough (off-policy estimate), and the others have baselines that nobody serves any more (priced counterfactual). Every
seed is another world: prices and abilities are the catalogue's, what models write, and so what they cost, is not.

Limits of a saving are about what was saved on these very calls: what they cost is known, what the baseline would have
cost is not. Where its length is assumed (priced), they allow for models that differ more than those of this world do.
`--seeds 200`, `--calls 1500` and `--jobs 2` are the defaults.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.in_process_day import InProcessDay
from optimizer.analysis.accounts import BaselinePrices, read_accounts
from optimizer.analysis.intervals import wilson
from optimizer.catalog import load_catalog
from optimizer.cli.output import show_table
from optimizer.ledger.database import Database
from optimizer.ledger.outcomes import outcomes_between
from optimizer.ledger.schema import open_database
from optimizer.routes import Routes, effective_routes
from optimizer.settings import Settings, load_settings
from optimizer.simulation.world import World

START = datetime(2026, 11, 25, tzinfo=UTC)
END = START + timedelta(days=2)
LEAST = 0.92
SETTINGS = """
use_cases:
  code_generation:
    candidates: [gpt-4o, gpt-5.4-mini, gpt-oss-120b, deepseek-v4-flash]
    baseline: gpt-4o
    objective: average:95%
    holdout: 0.4
  quick_responses:
    candidates: [gpt-4o-mini, gpt-5.4-nano, gpt-oss-120b]
    baseline: gpt-4o-mini
    objective: average:0.7
    exploration: 0.75
"""
GROUPS = {
    "experiment": ("code_generation",),
    "off-policy": ("quick_responses",),
    "priced": ("business_analytics", "creative_content", "code_analysis"),
}


@dataclass(frozen=True)
class Found:
    """What was said of one group of use cases on one day, and the truth."""

    kind: str
    saved_usd: float
    low_usd: float | None
    high_usd: float | None
    true_usd: float

    @property
    def covers(self) -> bool:
        return self.low_usd is not None and self.high_usd is not None and self.low_usd <= self.true_usd <= self.high_usd


def one_day(seed: int, n_calls: int) -> dict[str, Found]:
    """Return group → what was found on the day of a seed."""
    catalog = load_catalog()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "optimizer.yaml")
        config.write_text(SETTINGS)
        settings = load_settings(config, {})
        wanted = {name for names in GROUPS.values() for name in names}
        settings = settings.model_copy(
            update={"use_cases": {k: v for k, v in settings.use_cases.items() if k in wanted}, "default_use_case": None}
        )
        routes = effective_routes(settings, catalog, START)
        world = World.day(seed, start=START, n_calls=n_calls, routes=routes, catalog=catalog)
        path = str(Path(folder, "ledger.db"))
        true_usd = InProcessDay(world, settings, open_database(path)).play()
        database = open_database(path)
        try:
            return dict(_found(database, settings, world, routes, true_usd))
        finally:
            database.close()


def _found(
    database: Database, settings: Settings, world: World, routes: Routes, true_usd: dict[str, float]
) -> Iterator[tuple[str, Found]]:
    outcomes = list(outcomes_between(database, START, END))
    accounts = read_accounts(database, BaselinePrices(settings, world.catalog, routes), START, END)
    for group, names in GROUPS.items():
        mine = [outcome for outcome in outcomes if outcome.use_case in names]
        saving = accounts.saving(names)
        if saving is None:
            raise SystemExit(f"nothing is known of {group}")
        known = (o for o in mine if o.paid_usd is not None and o.output_tokens is not None)
        truth = sum(true_usd[outcome.call_id] for outcome in known)
        yield group, Found(saving.kind, saving.saved_usd, saving.low_usd, saving.high_usd, truth)


def main() -> None:
    """Play all days, print how often each method's limits held the truth, and fail where that is too seldom."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--calls", type=int, default=1_500)
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    found: dict[str, list[Found]] = defaultdict(list)
    with ProcessPoolExecutor(asked.jobs) as pool:
        for n, day in enumerate(pool.map(one_day, range(asked.seeds), [asked.calls] * asked.seeds), 1):
            for group, each in day.items():
                found[group].append(each)
            if n % 20 == 0:
                print(f"{n} days", flush=True)
    show_table(("method", "days>", "by it>", "covered>", "95%", "off, mean>", "half-width>"), map(_row, found.items()))
    short = [group for group, days in found.items() if sum(d.covers for d in days) / len(days) < LEAST]
    if short:
        raise SystemExit(f"below {LEAST:.0%}: {', '.join(short)}")


def _row(item: tuple[str, list[Found]]) -> tuple[str, ...]:
    """Return one method's line; means are shares of what was truly saved."""
    group, days = item
    n, hits = len(days), sum(day.covers for day in days)
    truth = sum(abs(day.true_usd) for day in days)
    off = sum(day.saved_usd - day.true_usd for day in days) / truth
    half = sum((day.high_usd - day.low_usd) / 2 for day in days if day.high_usd is not None) / truth
    of = wilson(hits, n)
    by_it = sum(group in day.kind for day in days)
    return group, str(n), str(by_it), f"{hits / n:.1%}", f"{of.low:.1%} to {of.high:.1%}", f"{off:+.1%}", f"{half:.1%}"


if __name__ == "__main__":
    main()
