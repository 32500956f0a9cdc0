"""What a reply says of tokens and dollars, brought to one meaning whichever path it took."""

from collections.abc import Mapping
from typing import Any

from optimizer.domain import MOST_TOKENS, MOST_USD, Usage

ANTHROPIC_STYLE = frozenset({"anthropic", "bedrock"})
GEMINI_STYLE = frozenset({"google", "vertex-ai"})


def usage_of(found: object, *, provider: str, translated: bool = True) -> Usage | None:
    """Return the tokens of a call, or None where `found` is no usage.

    Parameters
    ----------
    found : object
        The reply's `usage`, in any state.
    provider : str
        Slug of the provider at Portkey.
    translated : bool
        Whether Portkey turned the provider's own counts into these: there, Anthropic's prompt leaves out what was
        cached, and Gemini's completion what was thought, where OpenAI's counts have both inside. The total, where
        there is one, says which of these it is, whoever translated.
    """
    if not isinstance(found, Mapping):
        return None
    prompt, completion = _tokens(found.get("prompt_tokens")), _tokens(found.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    cached, written = _cached(found), _tokens(found.get("cache_creation_input_tokens")) or 0
    reasoning = _detail(found, "completion_tokens_details", "reasoning_tokens") or 0
    beside = _Beside(cached + written, reasoning, prompt, completion)
    in_prompt, in_completion = beside.counted(_tokens(found.get("total_tokens")), provider if translated else "")
    return Usage(
        input_tokens=prompt if in_prompt else prompt + cached + written,
        output_tokens=completion if in_completion else completion + reasoning,
        cached_tokens=min(cached, prompt) if in_prompt else cached,
        reasoning_tokens=min(reasoning, completion) if in_completion else reasoning,
    )


def cost_of(found: object) -> float | None:
    """Return what OpenRouter says a call costs the account, in dollars; None where it does not say.

    Where the account's own key paid the provider, `cost` is OpenRouter's fee alone: the provider's part is added,
    and without it the cost is unknown.
    """
    cost = dollars_of(found.get("cost")) if isinstance(found, Mapping) else None
    if cost is None or not isinstance(found, Mapping) or found.get("is_byok") is not True:
        return cost
    details = found.get("cost_details")
    upstream = dollars_of(details.get("upstream_inference_cost")) if isinstance(details, Mapping) else None
    return None if upstream is None else cost + upstream


def dollars_of(value: object) -> float | None:
    """Return an amount of dollars; None where `value` is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        dollars = float(value)
    except OverflowError:
        return None
    return dollars if 0.0 <= dollars <= MOST_USD else None  # more is rubbish, and would not fit into the ledger


class _Beside:
    """Tokens that a provider may count inside prompt and completion, or beside them."""

    def __init__(self, cached: int, reasoning: int, prompt: int, completion: int) -> None:
        self.cached = cached
        self.reasoning = reasoning
        self.prompt = prompt
        self.completion = completion

    def counted(self, total: int | None, provider: str) -> tuple[bool, bool]:
        """Return whether the prompt has the cached tokens inside, and the completion the reasoning."""
        usual = self._usual(provider)
        if total is None:
            return usual
        surplus = total - self.prompt - self.completion
        meanings = {(True, True): 0, (False, True): self.cached, (True, False): self.reasoning}
        meanings[False, False] = self.cached + self.reasoning
        fitting = [meaning for meaning, expected in meanings.items() if expected == surplus]
        # More than the prompt cannot have been cached of it, whatever the total says.
        fitting = [meaning for meaning in fitting if not meaning[0] or self.cached <= self.prompt]
        return usual if usual in fitting or not fitting else fitting[0]

    def _usual(self, provider: str) -> tuple[bool, bool]:
        cached_outside = provider in ANTHROPIC_STYLE or self.cached > self.prompt
        return not cached_outside, provider not in GEMINI_STYLE


def _cached(found: Mapping[str, Any]) -> int:
    detailed = _detail(found, "prompt_tokens_details", "cached_tokens")
    return detailed or _tokens(found.get("cache_read_input_tokens")) or 0


def _detail(found: Mapping[str, Any], part: str, name: str) -> int | None:
    details = found.get(part)
    return _tokens(details.get(name)) if isinstance(details, Mapping) else None


def _tokens(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None
