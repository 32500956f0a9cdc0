"""What the OpenAPI document says beside the types: examples of every request and reply, and the shape of errors."""

from collections.abc import Mapping
from typing import Any

CALL_ID = "01936b2e-7c1f-7d3a-9a55-0c1f5e7a2b90"
MODEL = "gpt-5.4-mini"

Schema = dict[str, Any]
Replies = dict[int | str, dict[str, Any]]

_ID: Schema = {"type": "string", "format": "uuid"}
_TEXT: Schema = {"type": "string"}
_SHORT: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}


def _object(**properties: Schema) -> Schema:
    """Return the schema of an object that has at least these properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(entry: Schema) -> Schema:
    return _object(object={"const": "list"}, data={"type": "array", "items": entry})


def _with_nulls(schema: Schema, **properties: Schema) -> Schema:
    """Return an object's schema with properties that may be null; FastAPI loses them from examples where they are."""
    return {**schema, "properties": {**schema["properties"], **{k: _or_null(v) for k, v in properties.items()}}}


ERROR = _object(error=_with_nulls(_object(message=_TEXT, type=_TEXT), param=_TEXT, code=_TEXT))


def _error(what: str, code: str, kind: str, param: str | None, message: str) -> dict[str, Any]:
    example = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return {"description": what, "content": {"application/json": {"schema": ERROR, "example": example}}}


_ERRORS: Replies = {
    "4XX": _error(
        "The request cannot be answered as it is",
        "invalid_value",
        "invalid_request_error",
        "temperature",
        "temperature: must be a number",
    ),
    "5XX": _error(
        "Nobody can answer now", "all_candidates_failed", "server_error", None, "call …: every candidate failed: …"
    ),
}


def _replies(what: str, schema: Schema, example: object, more: Mapping[str, Any] | None = None) -> Replies:
    content = {"schema": schema, "example": example}
    return {200: {"description": what, "content": {"application/json": content}, **(more or {})}, **_ERRORS}


# Chat

_CHAT_EXAMPLE = {"model": "auto:quick_responses", "messages": [{"role": "user", "content": "Say hello."}]}
_ROLES = ["system", "developer", "user", "assistant", "tool", "function"]
_CONTENT: Schema = {"anyOf": [_TEXT, {"type": "array", "items": {"type": "object"}}, {"type": "null"}]}
_CHAT_BODY: Schema = {
    "type": "object",
    "description": "OpenAI's body; what stands here is only what we look at ourselves.",
    "required": ["messages"],
    "properties": {
        "model": {"type": "string", "description": "`auto`, `auto:<use case>`, or a model of `/v1/models`."},
        "messages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["role"],
                "properties": {"role": {"enum": _ROLES}, "content": _CONTENT},
            },
        },
        "stream": {"type": "boolean"},
        "stream_options": _object() | {"properties": {"include_usage": {"type": "boolean"}}},
        "temperature": {"type": "number"},
        "max_tokens": {"type": "integer", "minimum": 1},
        "max_completion_tokens": {"type": "integer", "minimum": 1},
        "n": {"type": "integer", "minimum": 1, "maximum": 128},
        "tools": {"type": "array", "items": {"type": "object"}},
        "response_format": {"type": "object"},
        "user": _TEXT,
        "metadata": {
            "type": "object",
            "description": "Hints for the choice, taken out; the rest goes on.",
            "properties": {
                "use_case": _TEXT,
                "session": _TEXT,
                "required_quality": {"type": ["string", "number"]},
                "cost_tier": {"enum": ["economy", "standard", "premium"]},
                "tenant_tag": _TEXT,
            },
        },
    },
}
_HINT_HEADERS = (
    ("x-optimizer-use-case", "What kind of request this is."),
    ("x-optimizer-session", "Calls of one session stay with one model."),
    ("x-optimizer-required-quality", "In [0, 1], or `97%` of the incumbent's: the cheapest good enough."),
    ("x-optimizer-cost-tier", "`economy`, `standard` or `premium`; read by rules."),
    ("x-optimizer-tenant-tag", "Whom the call is for, where the API key does not say."),
)
CHAT_REQUEST: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "header", "required": False, "description": what, "schema": _SHORT}
        for name, what in _HINT_HEADERS
    ],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _CHAT_BODY, "example": _CHAT_EXAMPLE}},
    },
}
_CHAT_REPLY = {
    "id": "chatcmpl-7",
    "object": "chat.completion",
    "created": 1780000000,
    "model": "gpt-5.4-mini-2026-03-17",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
}
_STREAM_EXAMPLE = (
    'data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":1780000000,"model":"gpt-5.4-mini-2026-03-17",'
    '"choices":[{"index":0,"delta":{"content":"Hello!"},"finish_reason":null}]}\n\ndata: [DONE]\n\n'
)
_REPLY_HEADERS = (
    ("x-optimizer-call-id", "Name of the call, to rate it by."),
    ("x-optimizer-model", "Who served, by our name."),
    ("x-optimizer-propensity", "How likely the model drawn was; absent where nothing was drawn."),
    ("x-optimizer-degraded", "`true` where a fallback, or a floor that a limit lowered, served."),
    ("x-optimizer-feedback-token", "Lets a browser rate this call, and nothing else, without an API key."),
)
CHAT_REPLIES: Replies = {
    200: {
        "description": "The model's reply, whole or as a stream",
        "headers": {name: {"description": what, "schema": _TEXT} for name, what in _REPLY_HEADERS},
        "content": {
            "application/json": {
                "schema": _object(choices={"type": "array", "items": {"type": "object"}}),
                "example": _CHAT_REPLY,
            },
            "text/event-stream": {"schema": _TEXT, "example": _STREAM_EXAMPLE},
        },
    },
    **_ERRORS,
}

# Models

_MODEL_SCHEMA = _object(id=_TEXT, object={"const": "model"}, created=_COUNT, owned_by=_TEXT)
_MODEL = {"id": MODEL, "object": "model", "created": 1780000000, "owned_by": "openai"}
MODELS_REPLIES = _replies("All of them", _list(_MODEL_SCHEMA), {"object": "list", "data": [_MODEL]})
MODEL_REPLIES = _replies("The model", _MODEL_SCHEMA, _MODEL)

# Decide here, call yourself

SELECT_REQUEST = {"use_case": "code_generation", "context_length": 6000, "required_quality": 0.85}
_SELECTION = {
    "call_id": CALL_ID,
    "use_case": "code_generation",
    "provider": "portkey",
    "model_id": MODEL,
    "propensity": 0.91,
    "distribution": {MODEL: 0.91, "gpt-4o": 0.09},
    "expected_quality": 0.88,
    "expected_cost_usd": 0.0061,
}
SELECT_REPLIES = _replies(
    "The selection, and how it came about",
    _object(
        call_id=_ID,
        use_case=_TEXT,
        provider=_TEXT,
        model_id=_TEXT,
        propensity=_or_null(_SHARE),
        distribution={"type": "object", "additionalProperties": _SHARE},
        expected_quality=_or_null(_SHARE),
        expected_cost_usd=_or_null({"type": "number"}),
    ),
    _SELECTION,
)
OUTCOME_REQUEST = {
    "call_id": CALL_ID,
    "usage": {"prompt_tokens": 6000, "completion_tokens": 300},
    "latency_ms": 1234.5,
}
OUTCOMES_REPLIES = _replies(
    "What is recorded",
    _object(
        call_id=_ID,
        attempt=_COUNT,
        model=_TEXT,
        served={"type": "boolean"},
        cost_usd=_or_null({"type": "number"}),
        cost_source={"enum": ["reported", "priced", "estimated", "unknown"]},
    ),
    {
        "call_id": CALL_ID,
        "attempt": 0,
        "model": MODEL,
        "served": True,
        "cost_usd": 0.00585,
        "cost_source": "priced",
    },
)

# Feedback

RATING_VALUE: Schema = {
    "description": "A number in [0, 1], a boolean, stars, or a label that the use case gives a value.",
    "anyOf": [
        {"type": "boolean"},
        _SHARE,
        {
            "type": "object",
            "properties": {
                "stars": {"type": "number", "minimum": 0},
                "of": {"type": "number", "exclusiveMinimum": 0, "default": 5},
            },
            "required": ["stars"],
            "additionalProperties": False,
        },
        {"type": "string", "minLength": 1, "maxLength": 200},
    ],
}
FEEDBACK_REQUESTS: list[Any] = [
    {"call_id": CALL_ID, "value": 0.9},
    [{"call_id": CALL_ID, "value": {"stars": 4, "of": 5}, "rater": "ann"}, {"call_id": CALL_ID, "value": True}],
]
WITHDRAW_REQUESTS: list[Any] = [{"call_id": CALL_ID, "rater": "ann"}]
_RATING = {"call_id": CALL_ID, "metric": "quality", "rater": "user", "value": 0.9}
_RATINGS = _list(_with_nulls(_object(call_id=_ID, rater=_TEXT), metric=_TEXT, value=_SHARE))
FEEDBACK_REPLIES = _replies("What is taken down", _RATINGS, {"object": "list", "data": [_RATING]})
WITHDRAW_REPLIES = _replies(
    "What is taken back", _RATINGS, {"object": "list", "data": [{**_RATING, "rater": "ann", "value": None}]}
)

# Why, and how things stand

CALL_REPLIES = _replies(
    "The call",
    _object(
        call_id=_ID,
        explanation=_TEXT,
        selection={"type": "object"},
        attempts={"type": "array", "items": {"type": "object"}},
        ratings={"type": "array", "items": {"type": "object"}},
    ),
    {
        "call_id": CALL_ID,
        "explanation": f"{MODEL} through portkey serves this code_generation call.\n…",
        "selection": _SELECTION,
        "known_cost_usd": 0.00585,
        "n_unknown_costs": 0,
        "attempts": [{"model_id": MODEL, "gateway": "portkey", "served": True, "cost_usd": 0.00585}],
        "ratings": [{"metric": "quality", "rater": "user", "value": 0.9, "at": "2026-11-24T12:00:00+00:00"}],
    },
)
_BUDGET = {
    "limit": "everything",
    "window": "day",
    "starts_at": "2026-11-24T00:00:00+00:00",
    "opens_at": "2026-11-25T00:00:00+00:00",
    "limit_usd": 20.0,
    "spent_usd": 3.2,
    "reserved_usd": 0.04,
    "left_usd": 16.76,
}
_NUMBERS = {name: {"type": "number"} for name in ("limit_usd", "spent_usd", "reserved_usd", "left_usd")}
BUDGETS_REPLIES = _replies(
    "Every limit in its present window",
    _list(_object(limit=_TEXT, window={"enum": ["hour", "day", "month"]}, **_NUMBERS)),
    {"object": "list", "data": [_BUDGET]},
)
HEALTHZ_REPLIES = _replies("It is alive", _object(status={"const": "ok"}), {"status": "ok"})
_READY = _object(
    status={"enum": ["ok", "unavailable"]},
    database=_TEXT,
    gateways={"type": "object", "additionalProperties": _TEXT},
    journal=_COUNT,
)
READYZ_REPLIES: Replies = {
    **_replies(
        "Calls can be served",
        _READY,
        {"status": "ok", "database": "ok", "gateways": {"portkey": "ok", "openrouter": "in trouble"}, "journal": 0},
    ),
    503: {
        "description": "Calls cannot be served",
        "content": {
            "application/json": {
                "schema": _READY,
                "example": {
                    "status": "unavailable",
                    "database": "LedgerUnavailable",
                    "gateways": {"portkey": "ok"},
                    "journal": 17,
                },
            }
        },
    },
}
