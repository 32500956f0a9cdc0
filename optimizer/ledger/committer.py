"""Submissions into the database, many in a transaction, so that what is wrong with one of them costs no other."""

from collections.abc import Sequence

from optimizer.errors import LedgerError, LedgerNotUpgraded, LedgerTooNew, LedgerUnavailable, NotALedger, OptimizerError
from optimizer.ledger.batch import Batch, Fact, RuleOf
from optimizer.ledger.database import Database
from optimizer.ledger.statements import Statements

AWAY = (LedgerUnavailable, LedgerNotUpgraded, LedgerTooNew, NotALedger)  # the whole database, not one fact

_KNOWN_DECISIONS = 10_000


class Committer:
    """Commits submissions, for one thread at a time.

    Parameters
    ----------
    rule_of : callable
        Use case → its reward rule.
    keep_features : bool
        Whether raw request features are stored.
    """

    def __init__(self, database: Database, rule_of: RuleOf, *, keep_features: bool) -> None:
        self._database = database
        self._rule_of = rule_of
        self._keep_features = keep_features
        self._statements = Statements(database.engine.dialect)
        self._known_decisions: set[str] = set()

    def commit(self, submissions: Sequence[Sequence[Fact]], *, careful: bool) -> list[OptimizerError | None]:
        """Write what the ledger takes, and return why not for the rest; where it refuses all of it, halve.

        Parameters
        ----------
        careful : bool
            Whether some may be in the ledger already.

        Raises
        ------
        LedgerUnavailable, LedgerNotUpgraded, LedgerTooNew, NotALedger
            If the database is away; then some may be written, and writing all of them again does no harm.
        """
        try:
            return self._together(submissions, careful=careful)
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one fact must not lose its neighbours
            if not careful:
                return self.commit(submissions, careful=True)
            if len(submissions) == 1:
                return [refusal(error, "a fact")]
            half = len(submissions) // 2
            parts = submissions[:half], submissions[half:]
            return [outcome for part in parts for outcome in self.commit(part, careful=True)]

    def _together(self, submissions: Sequence[Sequence[Fact]], *, careful: bool) -> list[OptimizerError | None]:
        known = self._known_decisions
        batch = Batch(self._rule_of, keep_features=self._keep_features, known_decisions=known, careful=careful)
        with self._database.writing() as connection:
            outcomes = batch.write(connection, self._statements, submissions)
        if len(known) > _KNOWN_DECISIONS:
            known.clear()
        known.update(batch.decisions)
        return outcomes


def refusal(error: Exception, what: str) -> OptimizerError:
    """Return why the ledger refuses something, without any of its values."""
    if isinstance(error, OptimizerError):
        return error
    refused = LedgerError(f"the ledger refuses {what} ({type(error).__name__})")
    refused.__cause__ = error
    return refused
