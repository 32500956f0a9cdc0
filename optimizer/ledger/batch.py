"""One transaction of the ledger: a batch of facts in, rows and differences of evidence out.

For every call that the batch touches, what it contributed before is taken from what it contributes after; a call that
is new in the batch contributed nothing, and costs no reading.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from optimizer.decision.credit import CreditedCall, Tally
from optimizer.domain import CALLS_QUALITY, Attempt, Feedback, RewardRule
from optimizer.errors import InvalidRequest, OptimizerError, UnknownCall
from optimizer.ledger.evidence import add_differences, lock_state
from optimizer.ledger.feedback import RaterKey, ratings_of, supersedes
from optimizer.ledger.health import BreakerState, write_states
from optimizer.ledger.rows import Row, attempt_row, call_row, check_rating, feedback_row, to_attempt, to_us
from optimizer.ledger.sessions import SessionChoice, write_choices
from optimizer.ledger.statements import Statements
from optimizer.ledger.tables import attempts, calls
from optimizer.selection import Selection

Fact = Selection | Attempt | Feedback | SessionChoice | BreakerState
RuleOf = Callable[[str], RewardRule]

CHUNK = 500  # call ids in one query
_TAKEN_BY = {
    Selection: "_take_selection",
    Attempt: "_take_attempt",
    Feedback: "_take_rating",
    SessionChoice: "_take_choice",
    BreakerState: "_take_breaker",
}


class KnownCall:
    """One call as the ledger knows it, in memory while a batch changes it or an audit reads it."""

    __slots__ = ("attempts", "credited", "ratings")

    def __init__(self, credited: CreditedCall) -> None:
        self.credited = credited
        self.attempts: dict[int, Attempt] = {}
        self.ratings: dict[RaterKey, Feedback] = {}

    def add_to(self, tally: Tally, rule_of: RuleOf, *, sign: int = 1) -> None:
        """Add what the call contributes to evidence as it now stands, or take it away."""
        rule = rule_of(self.credited.use_case)
        tally.add(self.credited, self.attempts.values(), self.ratings.values(), rule, sign=sign)


def known_calls(connection: Connection, call_ids: Iterable[str], *, lock: bool) -> dict[str, KnownCall]:
    """Return those of the calls that the ledger has, with all their facts; `lock` their rows, in order of their ids."""
    found: dict[str, KnownCall] = {}
    ordered = sorted(call_ids)
    c = calls.c
    query = select(c.call_id, c.use_case, c.segment, c.decided_at_us, c.context_tokens).order_by(c.call_id)
    query = query.with_for_update() if lock else query
    for begin in range(0, len(ordered), CHUNK):
        chunk = ordered[begin : begin + CHUNK]
        for call_id, use_case, segment, at_us, tokens in connection.execute(query.where(c.call_id.in_(chunk))):
            found[call_id] = KnownCall(CreditedCall(use_case, segment, at_us // 1_000_000, tokens))
        there = [call_id for call_id in chunk if call_id in found]
        for row in connection.execute(select(attempts).where(attempts.c.call_id.in_(there))).mappings():
            found[row["call_id"]].attempts[row["number"]] = to_attempt(row)
        for call_id, ratings in ratings_of(connection, there).items():
            found[call_id].ratings = ratings
    return found


class Batch:
    """Facts that go into the ledger together.

    Parameters
    ----------
    rule_of : callable
        Use case → its reward rule, for any use case that the ledger holds.
    keep_features : bool
        Whether raw request features are stored.
    known_decisions : set of str
        Digests that the database is known to have; those are not sent again.
    careful : bool
        Whether calls of this batch may be in the ledger already, as after a commit whose answer got lost.
    """

    def __init__(self, rule_of: RuleOf, *, keep_features: bool, known_decisions: set[str], careful: bool) -> None:
        self._rule_of = rule_of
        self._keep_features = keep_features
        self._careful = careful
        self._known_decisions = set() if careful else known_decisions
        self._calls: dict[str, KnownCall] = {}
        self._decisions: dict[str, str] = {}
        self._call_rows: list[Row] = []
        self._attempt_rows: list[Row] = []
        self._rating_rows: dict[tuple[str, str, str], Row] = {}
        self._choices: dict[tuple[str, str, str | None], SessionChoice] = {}
        self._breakers: dict[tuple[str, str], BreakerState] = {}

    def write(
        self, connection: Connection, statements: Statements, submissions: Sequence[Sequence[Fact]]
    ) -> list[OptimizerError | None]:
        """Write what can be written, each submission whole or not at all; return why for those that cannot."""
        state = lock_state(connection)
        self._calls = known_calls(connection, self._to_look_up(submissions), lock=True)
        tally = Tally()
        for call in self._calls.values():
            call.add_to(tally, self._rule_of, sign=-1)
        outcomes = [self._take(facts) for facts in submissions]
        for call in self._calls.values():
            call.add_to(tally, self._rule_of)
        self._write_rows(connection, statements)
        add_differences(connection, statements, state, tally.sums())
        return outcomes

    @property
    def decisions(self) -> Iterable[str]:
        """Digests that the database has once the batch is committed."""
        return self._decisions

    def _to_look_up(self, submissions: Sequence[Sequence[Fact]]) -> set[str]:
        new, touched = set(), set()
        for facts in submissions:
            for fact in facts:
                if isinstance(fact, Selection):
                    new.add(fact.call_id)
                elif isinstance(fact, Attempt | Feedback):
                    touched.add(fact.call_id)
        return new | touched if self._careful else touched - new

    def _take(self, facts: Sequence[Fact]) -> OptimizerError | None:
        try:
            if len(facts) > 1:
                self._check_together(facts)
            for fact in facts:
                getattr(self, _TAKEN_BY[type(fact)])(fact)
        except OptimizerError as error:
            return error
        return None

    def _check_together(self, facts: Sequence[Fact]) -> None:
        """Raise what taking the facts one by one would raise, before the first of them is taken."""
        new = {fact.call_id for fact in facts if isinstance(fact, Selection)}
        for fact in facts:
            if isinstance(fact, Attempt | Feedback) and fact.call_id not in new:
                self._known(fact.call_id)
            if isinstance(fact, Feedback):
                check_rating(fact)
            elif isinstance(fact, Attempt):
                call = self._calls.get(fact.call_id)
                _check_attempt(fact, None if call is None else call.attempts.get(fact.number))

    def _known(self, call_id: str) -> KnownCall:
        call = self._calls.get(call_id)
        if call is None:
            raise UnknownCall(call_id)
        return call

    def _take_selection(self, selection: Selection) -> None:
        if selection.call_id in self._calls:
            return
        row = call_row(selection, keep_features=self._keep_features)
        decision = selection.decision
        credited = CreditedCall(
            decision.use_case, decision.segment, row[1] // 1_000_000, selection.request.context_tokens
        )
        self._calls[selection.call_id] = KnownCall(credited)
        self._call_rows.append(row)
        if decision.digest not in self._known_decisions:
            self._decisions[decision.digest] = decision.json

    def _take_attempt(self, attempt: Attempt) -> None:
        call = self._known(attempt.call_id)
        stored = call.attempts.get(attempt.number)
        _check_attempt(attempt, stored)
        if stored is None:
            self._attempt_rows.append(attempt_row(attempt))
            call.attempts[attempt.number] = attempt

    def _take_rating(self, rating: Feedback) -> None:
        call = self._known(rating.call_id)
        check_rating(rating)
        if rating.metric == CALLS_QUALITY:
            rating = replace(rating, metric=self._rule_of(call.credited.use_case).quality)
        key = rating.metric, rating.rater
        if supersedes(rating, call.ratings.get(key)):
            self._rating_rows[rating.call_id, *key] = feedback_row(rating)
            call.ratings[key] = rating

    def _take_choice(self, choice: SessionChoice) -> None:
        self._choices.setdefault((choice.use_case, choice.session_id, choice.instead_of), choice)

    def _take_breaker(self, state: BreakerState) -> None:
        to_us(state.changed_at)  # raises here, for this fact alone, where a time has no zone
        known = self._breakers.get((state.gateway, state.model_id))
        if known is None or known.changed_at <= state.changed_at:
            self._breakers[state.gateway, state.model_id] = state

    def _write_rows(self, connection: Connection, statements: Statements) -> None:
        # Always in this order of tables, and of keys where several workers write the same ones: no deadlocks.
        statements.decision.run(connection, sorted(self._decisions.items()))
        statements.call.run(connection, self._call_rows)
        statements.attempt.run(connection, self._attempt_rows)
        statements.rating.run(connection, list(self._rating_rows.values()))
        write_choices(connection, self._choices.values())
        write_states(connection, self._breakers.values())


def check_durations(attempt: Attempt) -> None:
    """Raise `InvalidRequest` unless durations are unknown, or finite and not negative."""
    for duration in (attempt.latency_ms, attempt.ttft_ms):
        if duration is not None and not 0.0 <= duration < math.inf:
            raise InvalidRequest("latency_ms", f"{duration} is not a duration in milliseconds")


def _check_attempt(attempt: Attempt, stored: Attempt | None) -> None:
    check_durations(attempt)
    if stored is not None and replace(stored, at=attempt.at) != attempt:
        raise InvalidRequest(
            "number", f"attempt {attempt.number} of call {attempt.call_id} is in the ledger already, and differs"
        )
