"""Every failure in OpenAI's shape, with the status that a client knows what to do with; never with a caller's text."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from optimizer.errors import (
    AllCandidatesFailed,
    ContentBlocked,
    ContextLengthExceeded,
    ContextTooLong,
    DeadlineExceeded,
    GatewayError,
    GatewayTimeout,
    InvalidRequest,
    LedgerError,
    LedgerNotUpgraded,
    LedgerTooNew,
    LedgerUnavailable,
    LimitReached,
    NoEligibleCandidate,
    NoGateway,
    NotALedger,
    OptimizerError,
    RateLimited,
    RequestRefused,
    UnknownCall,
    UnknownModel,
)
from optimizer.service.security import Refused

TAGS = ("one", "many")  # parts of a place in a body that only say how it was read
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_HTTP = {
    400: ("invalid_body", "the body cannot be read"),
    404: ("not_found", "there is no such address here; /openapi.json lists what there is"),
    405: ("method_not_allowed", "this address takes other methods; /openapi.json lists them"),
    413: ("request_too_large", "the request is too large"),
}


class ApiError(Exception):
    """What a client is told.

    Parameters
    ----------
    kind : str, optional
        OpenAI's `type`; by default what the status means.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.kind = kind or _TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The error in OpenAI's shape."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}

    @property
    def response(self) -> JSONResponse:
        """The error as an answer."""
        return JSONResponse(self.body, self.status, self.headers)


UNFORESEEN = ApiError(500, "something went wrong here; the server's log says where", code="internal_error")


def answer_to(error: Exception, now: datetime) -> ApiError:
    """Return what a client is told of an error; of one that nobody foresaw, nothing."""
    if isinstance(error, ApiError):
        return error
    return next((tell(error, now) for kind, tell in _ANSWERS if isinstance(error, kind)), UNFORESEEN)


def _refused(error: Refused, _: datetime) -> ApiError:
    again = {} if error.retry_after_s is None else retry_after(error.retry_after_s)
    return ApiError(error.status, str(error), code=error.code, headers=again)


def retry_after(seconds: float) -> dict[str, str]:
    """Return the header that says when to come again: whole seconds, at least one."""
    return {"retry-after": str(max(math.ceil(seconds), 1))}


def _limit(error: LimitReached, now: datetime) -> ApiError:
    again = retry_after((error.opens_at - now).total_seconds())
    # OpenAI's clients try a 429 again at once; until the window ends that is useless.
    headers = again | {"x-should-retry": "false"}
    return ApiError(429, str(error), code="insufficient_quota", kind="insufficient_quota", headers=headers)


def _attempts(message: str, errors: Sequence[GatewayError]) -> ApiError:
    """Return what it means that all attempts failed: where they failed alike, what each of them means."""

    def all_are(kind: type[GatewayError]) -> bool:
        return bool(errors) and all(isinstance(error, kind) for error in errors)

    if all_are(RateLimited):
        waits = [error.retry_after_s for error in errors if error.retry_after_s is not None]
        return ApiError(429, message, code="rate_limit_exceeded", headers=retry_after(min(waits, default=1.0)))
    if all_are(GatewayTimeout):
        return ApiError(504, message, code="timeout")
    if all_are(ContextLengthExceeded):
        return ApiError(400, message, code="context_length_exceeded", param="messages")
    if all_are(ContentBlocked):
        return ApiError(400, message, code="content_filter")
    if all_are(RequestRefused):
        return ApiError(400, message, code="request_refused")
    return ApiError(502, message, code="all_candidates_failed")


def _plain(status: int, code: str, param: str | None = None) -> Callable[[Any, datetime], ApiError]:
    return lambda error, _: ApiError(status, str(error), code=code, param=param)


def _too_deep(_: RecursionError, __: datetime) -> ApiError:
    return ApiError(400, "the body is nested too deeply", code="invalid_body")


def _unavailable(_: LedgerError, __: datetime) -> ApiError:
    message = "the ledger cannot be reached now; try again in a moment"  # where it is, is not the caller's business
    return ApiError(503, message, code="ledger_unavailable", headers=retry_after(1.0))


# The first kind that fits; so what is special stands before what is general.
_ANSWERS: tuple[tuple[type[Exception], Callable[[Any, datetime], ApiError]], ...] = (
    (Refused, _refused),
    (UnknownModel, _plain(404, "model_not_found", "model")),
    (UnknownCall, _plain(404, "call_not_found", "call_id")),
    (InvalidRequest, lambda error, _: ApiError(400, str(error), code="invalid_value", param=error.field)),
    (ContextTooLong, _plain(400, "context_length_exceeded", "messages")),
    (NoEligibleCandidate, _plain(422, "no_eligible_candidate")),
    (LimitReached, _limit),
    (AllCandidatesFailed, lambda error, _: _attempts(str(error), error.errors)),
    (DeadlineExceeded, _plain(504, "deadline_exceeded")),
    (GatewayError, lambda error, _: _attempts(str(error), (error,))),
    (NoGateway, _plain(503, "no_gateway")),
    *((kind, _unavailable) for kind in (LedgerUnavailable, LedgerNotUpgraded, LedgerTooNew, NotALedger)),
    (RecursionError, _too_deep),
)


def invalid(error: Mapping[str, Any]) -> ApiError:
    """Return what is told of the first problem that pydantic has with a request: where, and what; never the value."""
    if error["type"] == "json_invalid":
        return ApiError(400, "the body is no JSON", code="invalid_json")
    place = [str(part) for part in error["loc"] if part not in ("body", "query", "path", *TAGS)]
    param = ".".join(place)[:200] or None
    message = str(error["msg"]).removeprefix("Value error, ")
    return ApiError(400, f"{param}: {message}" if param else message, code="invalid_value", param=param)


def answer_errors(app: FastAPI) -> None:
    """Let an application answer every error in OpenAI's shape."""

    async def ours(_: Request, error: Exception) -> JSONResponse:
        return answer_to(error, datetime.now(UTC)).response

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for no other
        return http_answer(request, error).response

    async def validation(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return invalid(error.errors()[0]).response

    app.add_exception_handler(ApiError, ours)
    app.add_exception_handler(OptimizerError, ours)
    app.add_exception_handler(RecursionError, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, validation)


def http_answer(request: Request, error: HTTPException) -> ApiError:
    """Return what a client is told of what the HTTP layers refuse."""
    code, message = _HTTP.get(error.status_code, (None, "the request cannot be answered"))
    headers = dict(error.headers or {})
    if error.status_code == 405 and (methods := _methods(request)):
        headers["Allow"] = methods
    return ApiError(error.status_code, message, code=code, headers=headers)


def _methods(request: Request) -> str:
    """Return all methods of an address; a route by itself knows its own alone. Nothing where it is not documented."""
    path = getattr(request.scope.get("route"), "path_format", None)
    return ", ".join(sorted(method.upper() for method in request.app.openapi()["paths"].get(path, ())))
