"""One transaction of the ledger: a batch of facts in, rows and differences of evidence out.

For every call that the batch touches, what it contributed before is taken from what it contributes after; a call that
is new in the batch contributed nothing, and costs no reading.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from optimizer.decision.credit import CreditedCall, Tally, latency_bin
from optimizer.domain import Attempt, Feedback, RewardRule
from optimizer.errors import InvalidRequest, OptimizerError, UnknownCall
from optimizer.ledger.evidence import add_differences, lock_state
from optimizer.ledger.feedback import RaterKey, ratings_of, supersedes
from optimizer.ledger.rows import Row, attempt_row, call_row, feedback_row, to_attempt
from optimizer.ledger.sessions import SessionChoice, write_choices
from optimizer.ledger.statements import Statements
from optimizer.ledger.tables import attempts, calls
from optimizer.selection import Selection

Fact = Selection | Attempt | Feedback | SessionChoice
RuleOf = Callable[[str], RewardRule]

CHUNK = 500  # call ids in one query


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
    query = select(calls.c.call_id, calls.c.use_case, calls.c.segment, calls.c.decided_at_us).order_by(calls.c.call_id)
    query = query.with_for_update() if lock else query
    for begin in range(0, len(ordered), CHUNK):
        chunk = ordered[begin : begin + CHUNK]
        for call_id, use_case, segment, at_us in connection.execute(query.where(calls.c.call_id.in_(chunk))):
            found[call_id] = KnownCall(CreditedCall(use_case, segment, at_us // 1_000_000))
        for row in connection.execute(select(attempts).where(attempts.c.call_id.in_(chunk))).mappings():
            found[row["call_id"]].attempts[row["number"]] = to_attempt(row)
        for call_id, ratings in ratings_of(connection, chunk).items():
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
        self._rating_rows: dict[Row, Row] = {}
        self._choices: dict[tuple[str, str, str | None], SessionChoice] = {}

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
                elif not isinstance(fact, SessionChoice):
                    touched.add(fact.call_id)
        return new | touched if self._careful else touched - new

    def _take(self, facts: Sequence[Fact]) -> OptimizerError | None:
        try:
            rows = [self._checked(fact, facts) for fact in facts]
        except OptimizerError as error:
            return error
        for fact, row in zip(facts, rows, strict=True):
            self._apply(fact, row)
        return None

    def _checked(self, fact: Fact, beside: Sequence[Fact]) -> Row:
        """Return the fact's row, or raise why it is refused; nothing has changed then."""
        if isinstance(fact, Selection):
            return call_row(fact, keep_features=self._keep_features)
        if isinstance(fact, SessionChoice):
            return ()
        call = self._calls.get(fact.call_id)
        if call is None and not any(isinstance(f, Selection) and f.call_id == fact.call_id for f in beside):
            raise UnknownCall(fact.call_id)
        if isinstance(fact, Feedback):
            return feedback_row(fact)
        _check_attempt(fact, None if call is None else call.attempts.get(fact.number))
        return attempt_row(fact)

    def _apply(self, fact: Fact, row: Row) -> None:
        if isinstance(fact, Selection):
            self._apply_selection(fact, row)
        elif isinstance(fact, SessionChoice):
            self._choices.setdefault((fact.use_case, fact.session_id, fact.instead_of), fact)
        elif isinstance(fact, Attempt):
            call = self._calls[fact.call_id]
            if fact.number not in call.attempts:
                call.attempts[fact.number] = fact
                self._attempt_rows.append(row)
        else:
            call = self._calls[fact.call_id]
            key = fact.metric, fact.rater
            if supersedes(fact, call.ratings.get(key)):
                call.ratings[key] = fact
                self._rating_rows[row[:3]] = row

    def _apply_selection(self, selection: Selection, row: Row) -> None:
        if selection.call_id in self._calls:
            return
        credited = CreditedCall(selection.use_case, selection.segment, row[1] // 1_000_000)
        self._calls[selection.call_id] = KnownCall(credited)
        self._call_rows.append(row)
        if row[7] not in self._known_decisions:
            self._decisions[row[7]] = selection.decision.json

    def _write_rows(self, connection: Connection, statements: Statements) -> None:
        # Always in this order of tables, and of keys where several workers write the same ones: no deadlocks.
        statements.decision.run(connection, sorted(self._decisions.items()))
        statements.call.run(connection, self._call_rows)
        statements.attempt.run(connection, self._attempt_rows)
        statements.rating.run(connection, list(self._rating_rows.values()))
        write_choices(connection, self._choices.values())


def _check_attempt(attempt: Attempt, stored: Attempt | None) -> None:
    for duration in (attempt.latency_ms, attempt.ttft_ms):
        if duration is not None:
            latency_bin(duration)
    if stored is not None and replace(stored, at=attempt.at) != attempt:
        raise InvalidRequest(
            "number", f"attempt {attempt.number} of call {attempt.call_id} is in the ledger already, and differs"
        )
