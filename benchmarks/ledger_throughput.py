"""How fast is the ledger, next to the bare driver writing the same rows into the same tables?

Each of N calls is a selection, an attempt and a rating, submitted one by one from one thread. The driver writes the
rows ready-made, with one `executemany` per table and transaction: in groups of 500 rows, as the ledger promises to
commit them, and, stricter, in transactions as large as the writer's largest, which it makes when it is behind.
Building rows, evidence and receipts are the ledger's own.
"""

import gc
import random
import sqlite3
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from uuid_utils import uuid7

from optimizer.domain import Attempt, Candidate, Feedback, Request, RewardRule, Usage
from optimizer.ledger.batch import Fact
from optimizer.ledger.rows import attempt_row, call_row, feedback_row
from optimizer.ledger.schema import open_database
from optimizer.ledger.tables import attempts, calls, feedback
from optimizer.ledger.writer import GROUP_FACTS, MOST_FACTS, Writer
from optimizer.selection import Decision, Selection, Standing

N_CALLS = 20_000
ROUNDS = 5
USE_CASES = ("code", "analytics", "creative", "quick", "review", "research", "chat")
MODELS = ("maker/large-1", "maker/medium-1", "maker/small-1", "other/large-2", "other/small-2")

Call = tuple[Selection, Attempt, Feedback]


def run(n_calls: int = N_CALLS, rounds: int = ROUNDS) -> dict[str, float]:
    """Return calls per second of both, their ratio (medians of alternating rounds) and µs per submitted selection."""
    traffic = _traffic(n_calls)
    # A service makes its facts as it goes; these, made in advance, are none of the ledger's garbage.
    gc.collect()
    gc.freeze()
    grouped, bare, ledger = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            grouped.append(_bare(Path(folder) / f"grouped{number}.db", traffic, GROUP_FACTS))
            bare.append(_bare(Path(folder) / f"bare{number}.db", traffic, MOST_FACTS))
            ledger.append(_ledger(Path(folder) / f"ledger{number}.db", traffic))
        submit_us = _submit_us(Path(folder) / "submit.db", traffic)
    gc.unfreeze()
    return {
        "n_calls": n_calls,
        "bare_calls_per_s": n_calls / median(grouped),
        "bare_largest_calls_per_s": n_calls / median(bare),
        "ledger_calls_per_s": n_calls / median(ledger),
        "ratio": median(grouped) / median(ledger),
        "ratio_largest": median(bare) / median(ledger),
        "submit_us": submit_us,
    }


def _traffic(n_calls: int) -> list[Call]:
    random_ = random.Random(7)
    start = datetime(2026, 3, 2, tzinfo=UTC)
    drawn = [_decision(use_case) for use_case in USE_CASES]
    traffic = []
    for number in range(n_calls):
        decision, model = random_.choice(drawn), random_.choice(MODELS)
        at, call_id = start + timedelta(milliseconds=10 * number), str(uuid7())
        request = Request(use_case=decision.use_case, context_tokens=random_.randrange(200, 8000))
        usage = Usage(input_tokens=request.context_tokens, output_tokens=random_.randrange(50, 900))
        latency_ms = random_.lognormvariate(7.0, 0.6)
        attempt = Attempt(
            call_id, model, "portkey", at, status=200, latency_ms=latency_ms, ttft_ms=latency_ms / 5, usage=usage,
            cost_nano_usd=random_.randrange(10_000, 9_000_000), cost_source="priced",
        )  # fmt: skip
        selection = Selection(call_id, at, request, decision, model, model, decision.distribution[model])
        traffic.append((selection, attempt, Feedback(call_id, "quality", "user", random_.randrange(11) / 10, at)))
    return traffic


def _decision(use_case: str) -> Decision:
    share = 1.0 / len(MODELS)
    standings = tuple(Standing(Candidate(model_id=model), steps=(("votes", share),)) for model in MODELS)
    return Decision(use_case, "", "average:97%", None, standings, MODELS[0], policy_version="0123456789abcdef")


def _bare(path: Path, traffic: list[Call], n_rows: int) -> float:
    open_database(str(path)).close()
    rows = [(call_row(s, keep_features=False), attempt_row(a), feedback_row(f)) for s, a, f in traffic]
    inserts = [f"INSERT INTO {t.name} VALUES ({', '.join('?' * len(t.c))})" for t in (calls, attempts, feedback)]  # noqa: S608
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    shared = {s.decision.digest: s.decision.json for s, _, _ in traffic}
    size = n_rows // 3
    started = time.perf_counter()
    connection.executemany("INSERT INTO decisions VALUES (?, ?)", shared.items())
    for begin in range(0, len(rows), size):
        connection.execute("BEGIN IMMEDIATE")
        for insert, of_table in zip(inserts, zip(*rows[begin : begin + size], strict=True), strict=True):
            connection.executemany(insert, of_table)
        connection.execute("COMMIT")
    took = time.perf_counter() - started
    connection.close()
    return took


def _ledger(path: Path, traffic: list[Call]) -> float:
    database = open_database(str(path))
    writer = Writer(database, lambda _: RewardRule())
    started = time.perf_counter()
    for call in traffic:
        for fact in call:
            writer.submit(fact)
    writer.flush()
    took = time.perf_counter() - started
    writer.close()
    database.close()
    return took


def _submit_us(path: Path, traffic: list[Call]) -> float:
    """Return what one selection costs its caller, while the writer idles between groups."""
    database = open_database(str(path))
    writer = Writer(database, lambda _: RewardRule())
    costs = []
    for selection, _, _ in traffic[:400]:
        fact: Fact = selection
        started = time.perf_counter()
        writer.submit(fact)
        costs.append(time.perf_counter() - started)
    writer.close()
    database.close()
    return median(costs) * 1e6


def main() -> None:
    """Print the figures."""
    figures = run()
    print(f"calls, each with an attempt and a rating           {figures['n_calls']:>10,.0f}")
    print(f"bare executemany, 500 rows a commit, calls/s       {figures['bare_calls_per_s']:>10,.0f}")
    print(f"bare executemany, {MOST_FACTS:,} rows a commit, calls/s    {figures['bare_largest_calls_per_s']:>10,.0f}")
    print(f"ledger in batches, calls/s                         {figures['ledger_calls_per_s']:>10,.0f}")
    print(f"ratio (at least 0.4)                               {figures['ratio']:>10.2f}")
    print(f"ratio to the larger commits                        {figures['ratio_largest']:>10.2f}")
    print(f"submit of a selection, µs                          {figures['submit_us']:>10.1f}")


if __name__ == "__main__":
    main()
