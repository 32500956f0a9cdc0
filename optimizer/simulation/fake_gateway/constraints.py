"""What real models refuse and what gateways lose on the way: parameters answered with 400, or dropped silently."""

import re
from collections.abc import Mapping
from typing import Any

from optimizer.domain import Gateway
from optimizer.simulation.fake_gateway.naming import Known
from optimizer.simulation.fake_gateway.refusals import Refused

SAMPLING = ("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "logprobs")
# Provider behind Portkey → what its translation drops.
LOST: Mapping[str, frozenset[str]] = {
    "anthropic": frozenset({"response_format", "reasoning_effort", "n", "seed", "logprobs"}),
    "deepseek": frozenset({"tools", "tool_choice", "reasoning_effort"}),
}
_GPT = re.compile(r"gpt-(\d+)(?:\.(\d+))?")


def kept(body: Mapping[str, Any], gateway: Gateway, known: Known) -> Mapping[str, Any]:
    """Return the body as it reaches the provider."""
    lost = LOST.get(known.provider, frozenset()) if gateway == "portkey" else frozenset()
    if gateway == "openrouter" and known.model is not None and known.model.accepts_temperature is False:
        lost = frozenset(SAMPLING)
    return {key: value for key, value in body.items() if key not in lost} if lost else body


def objection(body: Mapping[str, Any], gateway: Gateway, known: Known) -> Refused | None:
    """Return the provider's error where it refuses a parameter; OpenRouter lets nothing through that is refused."""
    if known.model is None or gateway == "openrouter":
        return None
    is_openai = known.provider in {"openai", "azure-openai"}
    if known.model.accepts_temperature is False and known.provider != "google":
        for name in SAMPLING:
            if body.get(name) not in {None, False} and not (is_openai and name == "top_k"):
                return _unsupported(name)
    if is_openai and known.model.is_reasoning and body.get("max_tokens") is not None:
        return _unsupported("max_tokens", "Use 'max_completion_tokens' instead.")
    if known.provider == "anthropic" and not (body.get("max_tokens") or body.get("max_completion_tokens")):
        return Refused(400, "max_tokens: Field required", param="max_tokens")
    return _tools_refused(body, known) if is_openai and body.get("tools") else None


def _tools_refused(body: Mapping[str, Any], known: Known) -> Refused | None:
    match = _GPT.match(known.name)
    version = (int(match[1]), int(match[2] or 0)) if match else (0, 0)
    default = "none" if version < (5, 6) else "medium"
    if version >= (5, 4) and body.get("reasoning_effort", default) != "none":
        message = "Function tools are only supported with reasoning_effort 'none' on this endpoint."
        return Refused(400, message, param="tools", code="unsupported_parameter")
    return None


def _unsupported(name: str, advice: str = "") -> Refused:
    message = f"Unsupported parameter: '{name}' is not supported with this model. {advice}".rstrip()
    return Refused(400, message, param=name, code="unsupported_parameter")
