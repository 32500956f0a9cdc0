"""Makes a large ledger of months of traffic in bulk: calls, attempts, ratings, decisions and the evidence of them all.

Nothing is learned here: shares of models wander, and are drawn from as the engine draws (exploration floor, holdout,
votes). What is written holds together as if the engine had: propensities are those of the draws, later turns of a
session stay with its model, evidence follows from the calls to the last unit, in buckets as wide as roll-up leaves
them, so that `optimizer verify` finds nothing.

The built-in use cases and candidates at the catalogue's prices; by use case, the first 2% of the time is warm-up. Of
the calls 1% are pinned, 1% get another call's reply, 1.5% fail at first (and go to the same model again or to another
one), 0.3% never tell what came of them, and a few are of unknown tokens or cost. A quarter is rated by users, up to
days later, 3% by a judge, 2% by a check; some ratings are withdrawn. `research` begins in observe mode,
`quick_responses` has no holdout, four use cases come in sessions.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import text

from benchmarks.made_evidence import Scores, TallyInBulk
from benchmarks.made_rows import EXPLORATION, Came, Drawn, Part, Rows, Texts
from optimizer.catalog import load_catalog
from optimizer.decision.belief import BoolArray, FloatArray, IntArray
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import EvidenceState
from optimizer.ledger.rows import to_us
from optimizer.ledger.tables import attempts, calls, decisions, evidence, evidence_state, feedback
from optimizer.routes import Route, effective_routes
from optimizer.selection import Decision, Standing
from optimizer.settings import load_settings

CHUNK = 100_000
CALLS_PER_DECISION = 10
ROWS_PER_CALL = 2.31  # calls, attempts and ratings
TRAFFIC = (0.20, 0.10, 0.06, 0.24, 0.07, 0.08, 0.25)  # of the built-in use cases, in their order
IN_SESSIONS = ("code_generation", "creative_content", "research", "chat")
HOLDOUT, WARM_UP = 0.02, 0.02
OBSERVED_UNTIL = 0.04  # of the time
_BLOCK, _AT_ONCE = 39, 13  # calls in which so many sessions take turns


@dataclass(frozen=True)
class Plan:
    """What is to be made: how many calls, from when until when."""

    n_calls: int
    until: datetime
    days: int
    seed: int = 1
    calls_per_decision: int = CALLS_PER_DECISION


def make(database: Database, plan: Plan, told: Callable[[int], None] = lambda _: None) -> None:
    """Fill an empty ledger; `told` hears how many calls are in."""
    maker = _Maker(plan)
    with _bulk(database) as raw:
        for begin in range(0, plan.n_calls, CHUNK):
            maker.write(raw, begin, min(begin + CHUNK, plan.n_calls))
            told(min(begin + CHUNK, plan.n_calls))
        insert_rows(raw, evidence.name, maker.tally.rows(maker.state, to_us(plan.until)), len(evidence.c))
    with database.writing() as connection:
        connection.execute(
            evidence_state.update().values(
                epoch=2, hours_before_s=maker.state.hours_before_s, days_before_s=maker.state.days_before_s
            )
        )
        if not database.is_sqlite:  # which would do so by itself, some minutes later
            connection.execute(text("ANALYZE"))


@contextmanager
def _bulk(database: Database) -> Iterator[Any]:
    """Lend a connection of the driver that writes fast and forgoes all safety: the file is new."""
    if not database.is_sqlite:
        with database.writing(durable=False) as connection:
            yield connection.connection.dbapi_connection
        return
    database.close()
    raw = sqlite3.connect(database.where)
    for pragma in ("journal_mode = DELETE", "journal_mode = OFF", "synchronous = OFF", "cache_size = -200000"):
        raw.execute(f"PRAGMA {pragma}")
    yield raw
    raw.commit()
    raw.execute("PRAGMA journal_mode = WAL")
    raw.close()


def insert_rows(raw: Any, table: str, rows: Rows, width: int) -> None:
    """Insert rows in the order of the table's columns, as fast as the driver can."""
    if hasattr(raw, "executemany"):
        raw.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * width)})", rows)  # noqa: S608
        return
    with raw.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


class _Maker:
    """Draws chunk after chunk of the traffic and writes it down."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = np.random.default_rng(plan.seed)
        settings, catalog = load_settings(None, {}), load_catalog()
        self.routes = tuple(effective_routes(settings, catalog, plan.until).by_use_case.values())
        self.models = sorted({c.model_id for route in self.routes for c in route.candidates})
        self.tally = TallyInBulk(tuple(route.name for route in self.routes), tuple(self.models))
        self.start_us, self.end_us = to_us(plan.until - timedelta(days=plan.days)), to_us(plan.until)
        self.state = _state(plan.until)
        self.known: set[str] = set()  # decisions written; those of the warm-up are all the same
        traits = np.random.default_rng(7)
        n, k = len(self.routes), len(self.models)
        self.output_tokens = traits.lognormal(5.8, 0.5, (n, 1)) * traits.lognormal(0.0, 0.3, (n, k))
        self.context_tokens = traits.lognormal(7.3, 0.7, n)
        self.latency_ms = traits.lognormal(7.2, 0.4, k)
        self.quality = traits.uniform(0.55, 0.95, (n, k))

    def write(self, raw: Any, begin: int, end: int) -> None:
        """Make and write the calls of these numbers."""
        x = (np.arange(begin, end) + self.rng.random(end - begin)) / self.plan.n_calls
        days = self.plan.days
        at = x + 0.8 * np.sin(2.0 * np.pi * days * x) / (2.0 * np.pi * days)  # quiet nights
        at_us = self.start_us + (np.clip(at, 0.0, 1.0) * (self.end_us - self.start_us - 1)).astype(np.int64)
        use_case = self.rng.choice(len(self.routes), end - begin, p=TRAFFIC)
        parts = [self._part(u, at_us[use_case == u], begin) for u in range(len(self.routes))]
        made = {digest: text for part in parts for digest, text in part.drawn.documents if digest not in self.known}
        self.known |= made.keys()
        insert_rows(raw, decisions.name, iter(made.items()), len(decisions.c))
        insert_rows(raw, calls.name, (row for part in parts for row in part.calls()), len(calls.c))
        insert_rows(raw, attempts.name, (row for part in parts for row in part.attempts()), len(attempts.c))
        insert_rows(raw, feedback.name, (row for part in parts for row in part.feedback()), len(feedback.c))

    def _part(self, u: int, at_us: IntArray, begin: int) -> Part:
        drawn = _drawn(self, u, at_us, begin)
        came = _came(self, u, drawn)
        scores = _scores(self, u, drawn, came)
        self.tally.add(u, drawn.at_us // 1_000_000, drawn.context_tokens, came.replies(), scores)
        return Part(self.routes[u], self.models, drawn, came, scores)


def _state(until: datetime) -> EvidenceState:
    now_s = to_us(until) // 1_000_000
    hours, days = now_s - 86_400, now_s - 30 * 86_400
    return EvidenceState(2, hours - hours % 3_600, days - days % 86_400, kept_from_s=0)


def _drawn(maker: _Maker, u: int, at_us: IntArray, begin: int) -> Drawn:
    rng, route, n = maker.rng, maker.routes[u], len(at_us)
    k = len(route.candidates)
    arms = np.array([maker.models.index(c.model_id) for c in route.candidates])
    incumbent = next(i for i, c in enumerate(route.candidates) if c.model_id == route.incumbent)
    decision = np.arange(n) // maker.plan.calls_per_decision
    progress = (at_us - maker.start_us) / (maker.end_us - maker.start_us)
    when = progress[:: maker.plan.calls_per_decision]
    votes, holdout, floor = _votes(maker, u, when, incumbent, k)
    held = (1.0 - holdout)[:, None] * votes
    held[:, incumbent] += holdout
    shares = (1.0 - floor)[:, None] * held + floor[:, None] / k
    documents = [
        _document(route, (v, h, s), float(a), float(b))
        for v, h, s, a, b in zip(votes, held, shares, holdout, floor, strict=True)
    ]
    lot = rng.random((3, n))
    voted = np.minimum((np.cumsum(votes, axis=1)[decision] < lot[0][:, None]).sum(axis=1), k - 1)
    explored, held_out = lot[1] < floor[decision], lot[2] < holdout[decision]
    arm = np.where(explored, (lot[0] * k).astype(int), np.where(held_out, incumbent, voted))
    held_out &= ~explored
    overridden = np.full(n, None, dtype=object)
    session, later, first = _sessions(route, n, begin)
    arm, propensity = arm[first], shares[decision, arm]
    held_out &= ~later
    overridden[later], propensity[later] = "session", np.nan
    pinned = ~later & (session == None) & (rng.random(n) < 0.01)  # noqa: E711 - element by element
    served = np.where(pinned, rng.integers(0, k, n), arm)
    overridden[pinned] = "pin"
    if route.name == "research":
        noted = progress < OBSERVED_UNTIL
        served, overridden[noted] = np.where(noted, incumbent, served), "observe"
    mean = maker.context_tokens[u]
    tokens = rng.lognormal(np.log(mean), 0.8, n).astype(np.int64) + 20
    digests = np.array([digest for digest, _ in documents], dtype=object)[decision]
    return Drawn(
        _ids(rng, at_us), at_us, tokens, digests, documents, arms[arm], arms[served], propensity, held_out,
        overridden, session,
    )  # fmt: skip


def _votes(
    maker: _Maker, u: int, when: FloatArray, incumbent: int, k: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return shares that wander, and the share held out and explored at each decision; the incumbent's at first."""
    phase = 6.0 * when[:, None] + np.arange(k) * 1.7 + u
    logits = 2.5 * np.sin(phase) + 0.3 * maker.rng.standard_normal((len(when), k))
    votes = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    warm = when < WARM_UP
    votes[warm] = np.eye(k)[incumbent]
    holdout = 0.0 if maker.routes[u].name == "quick_responses" else HOLDOUT
    return votes, np.where(warm, 0.0, holdout), np.where(warm, 0.0, EXPLORATION)


def _document(route: Route, steps: tuple[FloatArray, ...], holdout: float, exploration: float) -> tuple[str, str]:
    names = ("votes", "holdout", "exploration")
    standings = tuple(
        Standing(
            candidate,
            expected_quality=round(0.6 + 0.3 * float(votes), 5),
            quality_low=round(0.5 + 0.3 * float(votes), 5),
            quality_high=round(0.7 + 0.3 * float(votes), 5),
            expected_cost_usd=round(0.001 + 0.001 * float(votes), 9),
            expected_latency_ms=1_000.0 + float(votes),
            n_ratings=round(100.0 * float(votes), 2),
            steps=tuple(zip(names, shares, strict=True)),
        )
        for candidate, votes, shares in zip(route.candidates, steps[0], np.column_stack(steps).tolist(), strict=True)
    )
    made = Decision(
        route.name, "", str(route.objective), None, standings, route.incumbent, threshold=0.7, price=256.0,
        holdout=holdout, exploration=exploration, policy_version="0123456789ab", price_version="ba9876543210",
        max_tokens=route.settings.max_tokens, output_tokens=250,
    )  # fmt: skip
    return made.digest, made.json


def _sessions(route: Route, n: int, begin: int) -> tuple[Texts, BoolArray, IntArray]:
    """Return each call's session, whether it is a later turn, and the position of the session's first call."""
    number = np.arange(n)
    if route.name not in IN_SESSIONS:
        return np.full(n, None, dtype=object), np.zeros(n, dtype=np.bool_), number
    place = number % _BLOCK
    first = number - place + place % _AT_ONCE
    names = np.array([f"{route.name}-{begin}-{i}" for i in first.tolist()], dtype=object)
    return names, place >= _AT_ONCE, first


def _ids(rng: np.random.Generator, at_us: IntArray) -> list[str]:
    """Return UUIDs of version 7, in order of time to the millisecond."""
    ms, low, high = (
        (at_us // 1_000).tolist(),
        rng.integers(0, 1 << 16, len(at_us)),
        rng.integers(0, 1 << 48, len(at_us)),
    )
    return [
        f"{t >> 16:08x}-{t & 0xFFFF:04x}-7{a & 0xFFF:03x}-8{a >> 4:03x}-{b:012x}"
        for t, a, b in zip(ms, low.tolist(), high.tolist(), strict=True)
    ]


def _came(maker: _Maker, u: int, drawn: Drawn) -> Came:
    rng, n = maker.rng, len(drawn.ids)
    told = rng.random(n) >= 0.003
    reused = told & (rng.random(n) < 0.01)
    failed = told & ~reused & (rng.random(n) < 0.015)
    answered = told & ~(failed & (rng.random(n) < 0.05))
    arms = np.array([maker.models.index(c.model_id) for c in maker.routes[u].candidates])
    over = failed & (rng.random(n) < 0.5)
    model = np.where(over, arms[rng.integers(0, len(arms), n)], drawn.served_by)
    output = np.maximum(rng.lognormal(np.log(maker.output_tokens[u, model]), 0.6), 1.0).astype(np.int64)
    inputs = drawn.context_tokens + rng.integers(0, 30, n)
    cached = np.where(rng.random(n) < 0.2, inputs // 2, 0)
    prices = {c.model_id: c.price for c in maker.routes[u].candidates}
    per = np.array([_per_mtok(prices.get(m)) for m in maker.models])[model]
    nano_usd = np.rint((per[:, 0] * (inputs - cached) + per[:, 1] * cached + per[:, 2] * output) * 1e3)
    hidden, unpriced = rng.random(n) < 0.003, rng.random(n) < 0.003
    kinds = rng.integers(0, 3, n)
    return Came(
        failed=failed,
        failed_kind=np.array(["rate_limit", "server", "timeout"], dtype=object)[kinds],
        failed_nano_usd=np.where((kinds == 2) & (rng.random(n) < 0.5), np.nan, 0.0),
        answered=answered,
        model=model,
        reused=reused,
        input_tokens=np.where(hidden, np.nan, inputs),
        cached_tokens=np.where(hidden, np.nan, cached),
        output_tokens=np.where(hidden, np.nan, output),
        nano_usd=np.where(reused, 0.0, np.where(hidden | unpriced, np.nan, nano_usd)),
        latency_ms=np.round(rng.lognormal(np.log(maker.latency_ms[model]), 0.5) + output, 3),
        failed_model=drawn.served_by,
    )


def _per_mtok(price: Any) -> tuple[float, float, float]:
    found = (None, None, None) if price is None else price.per_token(0)
    return tuple(float("nan") if each is None else each * 1e6 for each in found)  # type: ignore[return-value]


def _scores(maker: _Maker, u: int, drawn: Drawn, came: Came) -> Scores:
    rng, n = maker.rng, len(drawn.ids)
    quality = maker.quality[u, came.model]
    user = np.round(np.clip(quality + 0.25 * rng.standard_normal(n), 0.0, 1.0) * 10.0) / 10.0
    judge = np.round(np.clip(quality + 0.1 * rng.standard_normal(n), 0.0, 1.0) * 20.0) / 20.0
    lag_us = (rng.exponential(6 * 3_600.0, n) * 1e6).astype(np.int64)
    by_user = (rng.random(n) < 0.25) & (drawn.at_us + lag_us < maker.end_us)
    withdrawn = by_user & (rng.random(n) < 0.01)
    by_judge, by_check = (came.answered & (rng.random(n) < share) for share in (0.03, 0.02))
    return Scores(by_user, withdrawn, user, by_judge, judge, by_check, rng.random(n) < 0.95, lag_us)
