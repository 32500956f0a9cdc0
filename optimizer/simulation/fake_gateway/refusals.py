"""HTTP errors of each gateway and of the providers behind it, in every shape that a client must read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optimizer.domain import Gateway
from optimizer.simulation.fake_gateway.faults import Fault
from optimizer.simulation.fake_gateway.messages import Reply, as_reply
from optimizer.simulation.fake_gateway.naming import Known
from optimizer.simulation.fake_gateway.styles import DISPLAY_NAMES

HTML = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>\r\n"


@dataclass(frozen=True, slots=True)
class Refused:
    """A provider's error in OpenAI's words."""

    status: int
    message: str
    type: str | None = "invalid_request_error"
    code: str | None = None
    param: str | None = None


PROVIDER: Mapping[str, Refused] = {
    "rate_limit": Refused(429, "Rate limit reached for requests per min (RPM).", "requests", "rate_limit_exceeded"),
    "rate_limit_bare": Refused(429, "Rate limit reached for tokens per min (TPM).", "tokens", "rate_limit_exceeded"),
    "quota": Refused(429, "You exceeded your current quota.", "insufficient_quota", "insufficient_quota"),
    "provider_unauthorized": Refused(401, "Incorrect API key provided.", code="invalid_api_key"),
    "forbidden": Refused(403, "You are not allowed to sample from this model."),
    "not_found": Refused(404, "The model does not exist.", code="model_not_found", param="model"),
    "bad_request": Refused(400, "Invalid value for 'messages'.", code="invalid_value", param="messages"),
    "context_length": Refused(400, "This model's context is too short.", code="context_length_exceeded"),
    "content_policy": Refused(400, "The request was rejected by the safety system.", code="content_policy_violation"),
    "gateway_timeout": Refused(408, "Request timed out.", "timeout"),
    "server_error": Refused(500, "The server had an error while processing the request.", "server_error"),
    "bad_gateway": Refused(502, "Bad gateway.", "server_error"),
    "unavailable": Refused(503, "The engine is currently unavailable.", "service_unavailable_error"),
    "timeout_504": Refused(504, "Gateway timeout.", "timeout"),
    "edge_timeout": Refused(524, "A timeout occurred.", "timeout"),
    "overloaded": Refused(529, "Overloaded.", "overloaded_error"),
}
# Where a provider cannot fail in the way that a gateway does: how it does fail.
_NEAREST = {
    "gateway_rate_limit": "rate_limit_bare",
    "key_budget": "quota",
    "provider_budget": "quota",
    "model_not_allowed": "forbidden",
    "unauthorized": "provider_unauthorized",
    "guardrail": "content_policy",
    "failure_body": "server_error",
    "html_message": "server_error",
}
_OPENROUTER_WORDS = {
    401: "authentication",
    402: "payment_required",
    404: "not_found",
    408: "timeout",
    429: "rate_limit_exceeded",
    500: "server",
    502: "provider_unavailable",
    503: "provider_overloaded",
    504: "timeout",
    524: "timeout",
    529: "provider_overloaded",
}
_OPENROUTER_OWN = {
    "gateway_rate_limit": (429, "Rate limit exceeded: free-models-per-min. "),
    "quota": (402, "Insufficient credits. Add more using https://openrouter.ai/settings/credits"),
    "key_budget": (402, "This key has reached its limit."),
    "provider_budget": (402, "This key has reached its limit."),
    "model_not_allowed": (404, "No endpoints found matching your data policy."),
    "unauthorized": (401, "User not found."),
    "forbidden": (403, "Only management keys can do this."),
    "guardrail": (403, "The request was denied by a guardrail."),
    "content_policy": (403, "The input was flagged by moderation."),
    "not_found": (404, "No endpoints found for this model."),
    "gateway_timeout": (408, "The request timed out."),
}
_AVAILABILITY = {"not_found": "model_not_found", "model_not_allowed": "privacy_restricted"}


def refusal(fault: Fault, gateway: Gateway, known: Known) -> Reply:
    """Return the HTTP error that a fault of `REFUSALS` stands for, in the words of gateway and provider."""
    if fault.name == "html_page":
        return Reply(502, HTML, ((b"content-type", b"text/html"),))
    if fault.name == "empty_body":
        return Reply(502, b"", ())
    if gateway == "openrouter":
        return _openrouter(fault, known)
    if gateway == "portkey" and fault.name in PORTKEY:
        return as_reply(*PORTKEY[fault.name])
    refused = PROVIDER[_NEAREST.get(fault.name, fault.name)]
    return provider_refusal(refused, gateway, known, headers=_retry_after(fault))


def provider_refusal(
    refused: Refused, gateway: Gateway, known: Known, *, headers: Mapping[str, str] | None = None
) -> Reply:
    """Return a provider's error as the gateway passes it on."""
    if gateway == "openrouter":
        error_type = _OPENROUTER_WORDS.get(refused.status, "invalid_request")
        metadata = {"error_type": error_type, "provider_name": DISPLAY_NAMES.get(known.provider, known.provider)}
        return _of_openrouter(refused.status, refused.message, metadata=metadata)
    error = {"message": refused.message, "type": refused.type, "param": refused.param, "code": refused.code}
    if gateway == "direct":
        return as_reply(refused.status, {"error": error}, headers)
    if known.provider == "openrouter":
        raw = json.dumps({"error": {"code": refused.status, "message": refused.message}})
        error = {
            "message": f"Invalid response received from openrouter: {raw}",
            "type": None,
            "param": None,
            "code": None,
        }
    else:
        error["message"] = f"{known.provider} error: {refused.message}"
    return as_reply(refused.status, {"error": error, "provider": known.provider}, headers)


def portkey_failure(status: int, message: str, code: str | None = None) -> Reply:
    """Return an error of Portkey's own in the shape of `{"status": "failure"}`."""
    return as_reply(status, _failure(message, code))


def _failure(message: str, code: str | None = None) -> dict[str, Any]:
    if code is None:
        return {"status": "failure", "message": message}
    message = f"Portkey Error: {message}. Error Code: {code}"
    return {"status": "failure", "message": message, "error": {"message": message, "code": code}}


def _of_type(message: str, kind: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


HOOKS = {
    "before_request_hooks": [
        {"verdict": False, "id": "guardrail-1", "deny": True, "checks": [{"id": "default.contains", "verdict": False}]}
    ],
    "after_request_hooks": [],
}
PORTKEY: Mapping[str, tuple[int, object]] = {
    "gateway_rate_limit": (429, _of_type("Rate limit exceeded for the API key.", "api_key_rate_limit_error")),
    "key_budget": (412, _failure("Usage limits exceeded", "04")),
    "provider_budget": (412, _of_type("The budget of the provider is used up.", "virtual_key_exhaust_error")),
    "model_not_allowed": (412, _of_type("The model is not allowed on this provider.", "model_not_allowed_error")),
    "unauthorized": (401, _failure("Invalid API Key", "03")),
    "forbidden": (403, _failure("The API key lacks the scope for this", "033")),
    "guardrail": (446, _of_type("The guardrail checks failed.", "hooks_failed") | {"hook_results": HOOKS}),
    "gateway_timeout": (408, _of_type("Request exceeded the timeout sent in the request: 20000ms", "timeout_error")),
    "failure_body": (500, _failure("Something went wrong")),
    "html_message": (500, {"html-message": "Message: fetch failed Cause: ECONNREFUSED Name: TypeError"}),
}


def _retry_after(fault: Fault) -> dict[str, str]:
    if fault.name == "rate_limit":
        return {"Retry-After": f"{1 if fault.number is None else fault.number:g}"}
    return {}


def _openrouter(fault: Fault, known: Known) -> Reply:
    if fault.name not in _OPENROUTER_OWN:
        refused = PROVIDER[_NEAREST.get(fault.name, fault.name)]
        headers = _retry_after(fault) or ({"Retry-After": "1"} if refused.status == 503 else {})
        name = DISPLAY_NAMES.get(known.provider, known.provider)
        metadata: dict[str, object] = {
            "error_type": _word(fault, refused.status),
            "provider_name": name,
            "raw": refused.message,
        }
        return _of_openrouter(refused.status, "Provider returned error", metadata=metadata, headers=headers)
    status, message = _OPENROUTER_OWN[fault.name]
    metadata = {"error_type": _word(fault, status)}
    if fault.name == "content_policy":
        metadata |= {"reasons": ["violence"], "flagged_input": "", "provider_name": known.provider}
    limited = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795514400000"}
    headers = limited | {"Retry-After": "1"} if fault.name == "gateway_rate_limit" else {}
    available = _AVAILABILITY.get(fault.name)
    return _of_openrouter(status, message, metadata=metadata, headers=headers, availability=available)


def _word(fault: Fault, status: int) -> str:
    words = {"context_length": "context_length_exceeded", "content_policy": "content_policy_violation"}
    fallback = "permission_denied" if status == 403 else "invalid_request"
    return words.get(fault.name, _OPENROUTER_WORDS.get(status, fallback))


def _of_openrouter(
    status: int,
    message: str,
    *,
    metadata: Mapping[str, object],
    headers: Mapping[str, str] | None = None,
    availability: str | None = None,
) -> Reply:
    error: dict[str, object] = {"code": status, "message": message, "metadata": metadata}
    if availability:
        error["availability"] = {"code": availability, "retryable": False, "affected_providers": []}
    return as_reply(status, {"error": error, "user_id": "user_fake"}, headers)
