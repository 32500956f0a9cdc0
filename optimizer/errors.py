"""The exception tree: what can go wrong, and what the caller can do about it.

Every error the package raises on purpose is an `OptimizerError`; its message names the field and says what to do.
No message ever holds a prompt, a reply or a key.
"""

from collections.abc import Mapping


class OptimizerError(Exception):
    """Anything that Orchestra Optimizer refuses or fails at, on purpose."""


class InvalidSettings(OptimizerError):
    """The configuration is unreadable or wrong; `problems` has one line per key."""

    def __init__(self, source: str, problems: tuple[str, ...]) -> None:
        self.source = source
        self.problems = problems
        super().__init__(f"{source}: " + "; ".join(problems))


class InvalidCatalog(OptimizerError):
    """A file of models, prices or benchmark figures is unreadable or half-written."""


class InvalidTable(OptimizerError):
    """A replay table is unreadable, half-written or lacks what the replay needs."""


class MissingExtra(OptimizerError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an extra: pip install 'orchestra-optimizer[{extra}]'")


class InvalidRequest(OptimizerError):
    """A request, usage or option is out of range; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(f"{field}: {message}")


class InvalidRating(InvalidRequest):
    """A rating is not a number in [0, 1]."""


class UnknownUseCase(InvalidRequest):
    """No such use case, and no `default_use_case` to fall back on."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__("use_case", f"unknown use case {name!r}; known: {', '.join(known)}")


class UnknownModel(InvalidRequest):
    """No such model among the candidates or in the catalogue."""

    def __init__(self, model_id: str, known: tuple[str, ...]) -> None:
        super().__init__("model", f"unknown model {model_id!r}; known: {', '.join(known)}")


class UnknownMetric(InvalidRequest):
    """The use case has no such metric."""

    def __init__(self, metric: str, known: tuple[str, ...]) -> None:
        super().__init__("metric", f"unknown metric {metric!r}; this use case has: {', '.join(known)}")


class UnknownCall(InvalidRequest):
    """The ledger has no such call."""

    def __init__(self, call_id: str) -> None:
        super().__init__(
            "call_id", f"no call {call_id} in the ledger; is this the database that the call was made with?"
        )


class NoEligibleCandidate(OptimizerError):
    """Every candidate is excluded; `reasons` says why, model by model."""

    def __init__(
        self, use_case: str, reasons: Mapping[str, str], advice: str = "relax the request or add a candidate"
    ) -> None:
        self.use_case = use_case
        self.reasons = dict(reasons)
        listed = (
            "; ".join(f"{model}: {reason}" for model, reason in reasons.items()) or "the use case has no candidates"
        )
        super().__init__(f"no candidate of use case {use_case!r} can serve this request ({listed}); {advice}")


class ContextTooLong(NoEligibleCandidate):
    """The request is longer than the context window of every candidate."""


class QualityUnreachable(NoEligibleCandidate):
    """No candidate, and not the incumbent either, is believed to reach the required quality."""


class UnknownPrice(NoEligibleCandidate):
    """An objective or a cap needs prices, and no candidate has a known one."""


class LedgerError(OptimizerError):
    """The database cannot be used; the message says what to do."""


class LedgerUnavailable(LedgerError):
    """The database cannot be reached, is locked or is read-only."""


class LedgerTooNew(LedgerError):
    """The database was made by a newer version of the package."""


class LedgerNotUpgraded(LedgerError):
    """The database has no schema yet, or an older one: run `optimizer db upgrade`."""


class NotALedger(LedgerError):
    """The file or database holds something else."""
