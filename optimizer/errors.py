"""The exception tree: what can go wrong, and what the caller can do about it.

Every error the package raises on purpose is an `OptimizerError`; its message names the field and says what to do.
No message ever holds a prompt, a reply or a key.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime


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


class ExportFailed(OptimizerError):
    """An export's folder cannot be written; what was written is whole, and the next export goes on from there."""


class GatewayError(OptimizerError):
    """An attempt at a call failed; nothing of the prompt, the reply or the provider's own words is kept.

    Attributes
    ----------
    kind : str
        One short word for ledger and metrics.
    retryable : bool
        Whether the same candidate may answer if it is asked again.
    gateway_wide : bool
        Whether the gateway itself is in trouble, so that its other models would fail too.
    status : int or None
        HTTP status; None where there was no reply.
    retry_after_s : float or None
        How long the gateway asks us to wait.
    """

    kind = "gateway"
    retryable = False
    gateway_wide = False
    meaning = "the gateway call failed"

    def __init__(
        self,
        *,
        gateway: str,
        model_id: str | None = None,
        status: int | None = None,
        provider: str | None = None,
        retry_after_s: float | None = None,
        code: str | None = None,
    ) -> None:
        self.gateway = gateway
        self.model_id = model_id
        self.status = status
        self.provider = provider
        self.retry_after_s = retry_after_s
        self.code = code  # a word from a list that we know, never free text
        whom = f"{model_id} through {gateway}" if model_id else gateway
        details = [str(part) for part in (status and f"HTTP {status}", code) if part]
        super().__init__(f"{whom}: {self.meaning}" + (f" ({', '.join(details)})" if details else ""))


class GatewayUnreachable(GatewayError):
    """No connection came about (refused, no such name, TLS): nothing was sent."""

    kind, retryable, gateway_wide = "unreachable", True, True
    meaning = "no connection; is the base URL right, and the gateway up?"


class ConnectionBroken(GatewayError):
    """The connection ended before the reply was whole; it may have been served and charged."""

    kind, retryable = "connection_broken", True
    meaning = "the connection broke before the reply was whole"


class GatewayTimeout(GatewayError):
    """No reply in time; it may still be served and charged."""

    kind, retryable = "timeout", True
    meaning = "no reply in time"


class RateLimited(GatewayError):
    """Too many requests, at the gateway or at the provider."""

    kind, retryable = "rate_limit", True
    meaning = "too many requests"


class OutOfCredit(GatewayError):
    """The account, key or budget at the gateway or provider is used up: asking again is useless."""

    kind = "credit"
    meaning = "the account, key or budget there is used up; add credit or raise its limit"


class Unauthorized(GatewayError):
    """The key is missing, wrong or expired."""

    kind, gateway_wide = "auth", True
    meaning = "the key is missing, wrong or expired"


class Forbidden(GatewayError):
    """The key lacks a right, or a policy forbids the model."""

    kind = "forbidden"
    meaning = "the key lacks a right, or a policy forbids this"


class ModelUnavailable(GatewayError):
    """The gateway does not know the model, or nobody there serves it."""

    kind = "not_found"
    meaning = "no such model there, or nobody serves it"


class RequestRefused(GatewayError):
    """The gateway or provider finds the request invalid."""

    kind = "bad_request"
    meaning = "the request is refused as invalid"


class ContextLengthExceeded(RequestRefused):
    """The prompt and the answer do not fit into the model's window."""

    kind = "context_length"
    meaning = "the prompt is too long for the model"


class ContentBlocked(GatewayError):
    """A content policy, moderation or guardrail stopped the call."""

    kind = "content_filter"
    meaning = "a content policy or guardrail stopped it"


class ServerFailed(GatewayError):
    """The gateway or provider failed or is overloaded."""

    kind, retryable = "server", True
    meaning = "the gateway or provider failed or is overloaded"


class InvalidReply(GatewayError):
    """What came back is no chat completion."""

    kind, retryable = "invalid_reply", True
    meaning = "what came back is no chat completion"


class StreamBroken(GatewayError):
    """A stream ended in the middle, after the first token: the caller has a part of the reply."""

    kind = "stream_broken"
    meaning = "the stream ended in the middle"


class NoGateway(OptimizerError):
    """No gateway has a key, so nobody can be asked."""

    def __init__(self) -> None:
        super().__init__(
            "no gateway can be asked: set PORTKEY_API_KEY (portkey.ai) or OPENROUTER_API_KEY (openrouter.ai), or "
            "PORTKEY_BASE_URL for a gateway of your own"
        )


class AllCandidatesFailed(OptimizerError):
    """Everybody who could have served was asked, and failed; `errors` has each attempt's, in order."""

    def __init__(self, call_id: str, errors: Sequence[GatewayError]) -> None:
        self.call_id = call_id
        self.errors = tuple(errors)
        listed = "; ".join(f"{number}. {error}" for number, error in enumerate(errors, 1)) or "no attempt was possible"
        super().__init__(f"call {call_id}: every candidate failed: {listed}")


class DeadlineExceeded(OptimizerError):
    """The call's deadline passed; `errors` has what the attempts until then came to."""

    def __init__(self, call_id: str, deadline_s: float, errors: Sequence[GatewayError]) -> None:
        self.call_id = call_id
        self.deadline_s = deadline_s
        self.errors = tuple(errors)
        listed = "; ".join(f"{number}. {error}" for number, error in enumerate(errors, 1)) or "the first had no reply"
        super().__init__(f"call {call_id}: not answered within {deadline_s:g} s: {listed}")


class LimitReached(OptimizerError):
    """A spending limit leaves too little for the call.

    Attributes
    ----------
    limit : str
        Whose limit, such as `everything`, `use case chat` or `tenant acme`.
    window : {"hour", "day", "month"}
    limit_usd, left_usd : float
    opens_at : datetime
        When the window ends and the limit is whole again, aware.
    """

    def __init__(self, *, limit: str, window: str, limit_usd: float, left_usd: float, opens_at: datetime) -> None:
        self.limit = limit
        self.window = window
        self.limit_usd = limit_usd
        self.left_usd = left_usd
        self.opens_at = opens_at
        super().__init__(
            f"the limit of ${limit_usd:g} per {window} for {limit} leaves ${left_usd:.6f}, too little for this call; "
            f"it opens again at {opens_at.isoformat()}"
        )
