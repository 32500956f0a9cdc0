"""The names of all that can go wrong at the fake gateway, in one place; how each is done stands elsewhere."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import AfterValidator

# Answered with an HTTP error in the dialect of the gateway.
REFUSALS = MappingProxyType(
    {
        "rate_limit": "429 of the provider, with Retry-After (its number: seconds)",
        "rate_limit_bare": "429 of the provider, without Retry-After",
        "gateway_rate_limit": "429 of the gateway itself",
        "quota": "429 that is about money (insufficient_quota); OpenRouter: 402",
        "key_budget": "412, the budget of the Portkey key; OpenRouter: 402",
        "provider_budget": "412, the budget of the stored provider; OpenRouter: 402",
        "model_not_allowed": "412, a policy forbids the model; OpenRouter: 404, no endpoint left",
        "unauthorized": "401 of the gateway",
        "provider_unauthorized": "401 of the provider",
        "forbidden": "403",
        "not_found": "404, no such model",
        "bad_request": "400",
        "context_length": "400, the prompt is too long",
        "content_policy": "400 of the provider; OpenRouter: 403 of its moderation",
        "guardrail": "446, denied by a guardrail; OpenRouter: 403",
        "gateway_timeout": "408 of the gateway",
        "server_error": "500 of the provider",
        "bad_gateway": "502 of the provider",
        "unavailable": "503 of the provider; OpenRouter with Retry-After",
        "timeout_504": "504",
        "edge_timeout": "524",
        "overloaded": "529",
        "failure_body": '500 with {"status": "failure"}',
        "html_message": '500 with {"html-message"}',
        "html_page": "502 with a page of HTML",
        "empty_body": "502 with nothing",
    }
)
# Nothing, or no whole reply, comes.
CONNECTION = MappingProxyType(
    {
        "hang": "no reply ever",
        "reset": "the connection is reset before the reply",
        "close": "the connection is closed before the reply",
        "cut": "the connection is closed in the middle of the body, of a stream in the middle of an event",
        "broken": "the connection is reset in the middle of the body",
        "stall": "half of the reply comes, and then nothing, on an open connection",
        "garbage": "200 with bytes that are no JSON",
        "not_a_completion": "200 with JSON that is no completion",
    }
)
# A reply comes, in an unusual way.
UNUSUAL = MappingProxyType(
    {
        "slow_first_token": "the first token takes long (its number: seconds)",
        "slow_tokens": "long gaps between tokens (its number: seconds)",
        "no_usage": "no usage, in a stream as in a plain reply",
        "no_cost": "usage without cost",
        "byok": "the account's own key: cost is the fee only",
        "no_done": "a stream ends without [DONE]",
        "ends_early": "a stream ends properly, but without finish reason, usage and [DONE]",
        "split_utf8": "characters are split over packets",
        "comments": "comments between the events",
        "crlf": "lines end with CR LF",
        "usage_in_every_chunk": "usage so far in every chunk",
        "no_index": "the usage chunk has a choice without index",
        "error_midway": "an error chunk after some tokens; of a plain reply: finish reason error inside 200",
        "finish_error": "200 whose finish reason is error",
        "guardrail_warning": "246: a success of which a guardrail complained",
        "empty": "no text",
        "empty_length": "no text, and finish reason length",
        "cut_short": "half the text, and finish reason length",
        "bad_arguments": "a tool call whose arguments are no JSON",
        "tool_stop": "a tool call with finish reason stop",
        "no_content": "a message without the key content",
        "content_filter": "half the text, and finish reason content_filter",
        "refusal": "a refusal in place of text",
        "invalid_json": "text that is no JSON where JSON was asked",
        "other_model": "the reply names another model",
    }
)
FAULTS = MappingProxyType({**REFUSALS, **CONNECTION, **UNUSUAL})


@dataclass(frozen=True, slots=True)
class Fault:
    """A name of `FAULTS`, with its number where one was given."""

    name: str
    number: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `reset` or `rate_limit:7`.

        Raises
        ------
        ValueError
            If there is no such fault or what follows the colon is no number.
        """
        name, _, number = text.strip().partition(":")
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}; known: {', '.join(FAULTS)}")
        return cls(name, float(number) if number else None)


def _checked(text: str) -> str:
    Fault.parse(text)
    return text


FaultText = Annotated[str, AfterValidator(_checked)]
