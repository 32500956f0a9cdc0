"""Who is calling, and what may they do: API keys, feedback tokens, and how often each may ask.

Without any key in the ledger the service is open: everybody may do everything, and an Authorization header means
nothing. `optimizer serve` allows that on loopback alone. The app puts `Gate.of(optimizer)` into `app.state.gate` when
it starts, awaits its `aclose` when it ends, and answers what is `Refused` with its status, code and message.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Self

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from optimizer.engine import Optimizer
from optimizer.errors import OptimizerError
from optimizer.ledger.api_keys import SCOPES, ApiKey, Scope, read_keys
from optimizer.ledger.database import Database
from optimizer.service.known_keys import KnownKeys
from optimizer.service.rate_limits import RateLimits
from optimizer.service.tokens import HEADER, FeedbackTokens

TENANT_HEADER = "x-optimizer-tenant-tag"
EVERYTHING: frozenset[Scope] = frozenset(SCOPES)
RATINGS_PER_MINUTE = 60  # with the token of one call

_bearer = HTTPBearer(auto_error=False, description="A key that `optimizer keys create` made; none in open mode.")
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling.

    Attributes
    ----------
    tenant : str or None
        Whose calls are made and seen; None sees all. A key's own tenant stands, whatever the header says.
    scopes : frozenset of {"call", "feedback", "read", "admin"}
        What they may do; with `admin`, all are there.
    key_id : str or None
        None in open mode, and for the bearer of a feedback token.
    call_id : str or None
        The one call that the bearer of a feedback token may rate.
    """

    tenant: str | None = None
    scopes: frozenset[Scope] = EVERYTHING
    key_id: str | None = None
    call_id: str | None = None

    def may_see(self, call_id: str, tenant: str | None) -> bool:
        """Return whether a call, and whose it is, is any of their business."""
        return self.call_id in (None, call_id) and self.tenant in (None, tenant)


class Refused(OptimizerError):
    """A request is not let in; the service answers with `status` and an error in OpenAI's shape.

    Attributes
    ----------
    status : int
    code : str
        One word, such as `invalid_api_key`.
    retry_after_s : float or None
        When to ask again.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: float | None = None) -> None:
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        super().__init__(message)


class Gate:
    """Lets callers in, or raises `Refused`; one per process and event loop, in `app.state.gate`.

    Parameters
    ----------
    per_minute : int or None
        Requests of each key without a limit of its own, and of all callers without a key together.
    """

    def __init__(
        self,
        keys: KnownKeys,
        tokens: FeedbackTokens,
        *,
        per_minute: int | None,
        clock: Callable[[], datetime],
        limits: RateLimits | None = None,
    ) -> None:
        self.keys = keys
        self.tokens = tokens
        self._per_minute = per_minute
        self._clock = clock
        self._limits = limits or RateLimits()

    @classmethod
    def of(cls, optimizer: Optimizer) -> Self:
        """Return the gate of a service over this optimizer."""
        settings, database, clock = optimizer.settings, optimizer.database, optimizer.clock
        tokens = FeedbackTokens.of(settings, database)
        return cls(
            KnownKeys(database, clock=clock), tokens, per_minute=settings.service.requests_per_minute, clock=clock
        )

    async def caller(self, scope: Scope, key: str | None, tag: str | None) -> Caller:
        """Return who is calling, if they may do what `scope` says.

        Parameters
        ----------
        key : str or None
            What stands behind `Authorization: Bearer`.
        tag : str or None
            The tenant that the request names.

        Raises
        ------
        Refused
            401, 403, or 429 with the time to wait.
        """
        await self.keys.refresh()
        if self.keys.none_exists:
            self._take("", self._per_minute)
            return Caller(tag)
        found = None if key is None else await self.keys.find(key)
        if found is None:
            said = "the API key is wrong, revoked or expired" if key else "an API key is needed"
            raise Refused(401, "invalid_api_key", f"{said}; send it as `Authorization: Bearer oo_...`")
        if not found.allows(scope):
            raise Refused(403, "insufficient_permissions", f"this API key lacks the scope {scope!r}")
        self._take(found.key_id, found.requests_per_minute or self._per_minute)
        return _bearer_of(found, tag)

    def rater(self, token: str) -> Caller:
        """Return who may rate one call by its feedback token; raise `Refused` where it is of no use."""
        call_id = self.tokens.verify(token, self._clock())
        if call_id is None:
            raise Refused(401, "invalid_feedback_token", "the feedback token is wrong or has expired")
        self._take(("token", call_id), RATINGS_PER_MINUTE)
        return Caller(scopes=frozenset({"feedback"}), call_id=call_id)

    async def aclose(self) -> None:
        """Wait until nothing is being read any more."""
        await self.keys.aclose()

    def _take(self, name: object, per_minute: int | None) -> None:
        if per_minute is None:
            return
        wait_s = self._limits.take(name, per_minute)
        if wait_s:
            said = f"more than {per_minute} requests per minute; try again in {wait_s:.1f} s"
            raise Refused(429, "rate_limit_exceeded", said, retry_after_s=wait_s)


def _bearer_of(key: ApiKey, tag: str | None) -> Caller:
    scopes = EVERYTHING if "admin" in key.scopes else key.scopes
    return Caller(key.tenant or tag, scopes, key.key_id)


def configured(database: Database, now: datetime) -> bool:
    """Return whether any API key opens the service now."""
    return any(key.usable(now) for key in read_keys(database))


@cache
def needs(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """Return the FastAPI dependency that lends the caller, if they may do what `scope` says."""

    async def caller(request: Request, bearer: Bearer) -> Caller:
        return _noted(request, await _gate(request).caller(scope, _key(bearer), _tag(request)))

    return caller


async def called_by(request: Request, scope: Scope) -> Caller:
    """Return what `needs` lends, for what does not ask FastAPI for it."""
    return await needs(scope)(request, await _bearer(request))


async def feedback_caller(
    request: Request, bearer: Bearer, token: Annotated[str | None, Header(alias=HEADER)] = None
) -> Caller:
    """Lend whoever may give feedback: on one call by its token, else by an API key with the scope `feedback`."""
    if token is not None:
        return _noted(request, _gate(request).rater(token))
    return _noted(request, await _gate(request).caller("feedback", _key(bearer), _tag(request)))


def _gate(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate


def _key(bearer: HTTPAuthorizationCredentials | None) -> str | None:
    return None if bearer is None else bearer.credentials


def _tag(request: Request) -> str | None:
    return request.headers.get(TENANT_HEADER) or None


def _noted(request: Request, caller: Caller) -> Caller:
    request.state.caller = caller  # for the log
    return caller
