"""How replies of each provider look behind each gateway: ids, the provider's name, and the four numbers of usage."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from optimizer.domain import Gateway, Usage

UsageStyle = Literal["openai", "openrouter", "anthropic", "gemini", "bare"]
# Where the usage of a stream stands: in a chunk of its own (where asked for, or always), on the last chunk with a
# choice, on every chunk, or in a chunk whose choice has no index.
UsagePlace = Literal["asked", "own", "last", "every", "no_index"]
DISPLAY_NAMES = {
    "openai": "OpenAI",
    "anthropic": "Anthropic",
    "google": "Google AI Studio",
    "deepseek": "DeepSeek",
    "x-ai": "xAI",
    "mistral-ai": "Mistral",
    "groq": "Groq",
}


@dataclass(frozen=True, slots=True)
class Style:
    """The shape of a provider's replies behind a gateway.

    Attributes
    ----------
    provider : str or None
        The body's field `provider`; None where it has none.
    has_native : bool
        Whether choices have `native_finish_reason`.
    opening : str or None
        What a stream says before its first token.
    """

    usage: UsageStyle = "openai"
    id_prefix: str = "chatcmpl-"
    provider: str | None = None
    has_native: bool = False
    usage_place: UsagePlace = "asked"
    opening: Literal["comment", "empty_chunk"] | None = None
    keeps_tool_finish: bool = True


@lru_cache(maxsize=256)
def style_of(gateway: Gateway, provider: str) -> Style:
    """Return how replies of a provider look behind a gateway."""
    if gateway == "openrouter":
        name = DISPLAY_NAMES.get(provider, provider)
        return Style("openrouter", "gen-", name, has_native=True, usage_place="own", opening="comment")
    if gateway == "direct" or provider in {"openai", "azure-openai"}:
        return Style()
    if provider == "anthropic":
        return Style("anthropic", "anthropic-", provider, usage_place="last")
    if provider in {"google", "vertex-ai"}:
        return Style("gemini", "portkey-", provider, usage_place="every", keeps_tool_finish=False)
    if provider == "openrouter":
        return Style("openrouter", "gen-", provider, usage_place="no_index", opening="empty_chunk")
    return Style("bare" if provider == "deepseek" else "openai", provider=provider, usage_place="last")


def usage_body(usage: Usage, style: UsageStyle, cost_usd: float | None, *, byok: bool = False) -> dict[str, Any]:
    """Return `usage` as it stands in a reply."""
    total = usage.input_tokens + usage.output_tokens
    body: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens - (usage.cached_tokens if style == "anthropic" else 0),
        "completion_tokens": usage.output_tokens - (usage.reasoning_tokens if style == "gemini" else 0),
        "total_tokens": total,
    }
    if style == "bare":
        return body
    body["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if style == "anthropic":
        return body | {"cache_read_input_tokens": usage.cached_tokens, "cache_creation_input_tokens": 0}
    body["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return body | _openrouter_cost(body, cost_usd, byok=byok) if style == "openrouter" else body


def _openrouter_cost(body: dict[str, Any], cost_usd: float | None, *, byok: bool) -> dict[str, Any]:
    body["prompt_tokens_details"] |= {"cache_write_tokens": 0, "audio_tokens": 0}
    if cost_usd is None:
        return {"is_byok": byok}
    upstream = {"upstream_inference_cost": cost_usd if byok else None}
    share = body["prompt_tokens"] / max(body["total_tokens"], 1)
    parts = {
        "upstream_inference_prompt_cost": cost_usd * share,
        "upstream_inference_completions_cost": cost_usd * (1 - share),
    }
    return {"cost": cost_usd * (0.05 if byok else 1.0), "is_byok": byok, "cost_details": upstream | parts}
