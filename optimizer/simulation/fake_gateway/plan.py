"""What one call will come to, before a byte is sent: text, tokens, cost, times and fault, all from one generator."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from optimizer.domain import Price, Usage
from optimizer.simulation.fake_gateway.faults import Fault
from optimizer.simulation.fake_gateway.messages import FakeAnswer, FakeRequest, text_of
from optimizer.simulation.fake_gateway.naming import FREE, Known
from optimizer.simulation.fake_gateway.script import Behaviour, Script
from optimizer.simulation.fake_gateway.text import count_tokens, filler, minimal_json, pieces

APOLOGY = "Sorry, I cannot say."
FOREIGN = "Grüße — 你好 🙂 "  # two, three and four bytes a character
BROKEN_JSON = '{"answer": [1, 2'
REFUSAL = "I cannot help with that."


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call will come to, were it carried out to the end.

    Attributes
    ----------
    usage : Usage
        Input includes cached tokens, output reasoning.
    ttft_s, duration_s : float
        Seconds until the first and the last token, as they will be waited.
    is_good : bool
        Whether the script counts it as a good answer.
    """

    known: Known
    content: str = field(repr=False)
    usage: Usage
    cost_usd: float | None
    price: Price
    served_as: str
    finish_reason: str = "stop"
    tool_calls: tuple[tuple[str, str], ...] = ()
    refusal: str | None = None
    ttft_s: float = 0.0
    duration_s: float = 0.0
    fault: Fault | None = None
    is_good: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def fault_name(self) -> str:
        """The fault's name; empty where there is none."""
        return self.fault.name if self.fault else ""

    def sent(self, n_tokens: int) -> Usage:
        """Return the usage had only so many tokens of the text been made."""
        reasoning = self.usage.reasoning_tokens
        output = min(reasoning + n_tokens, self.usage.output_tokens)
        return self.usage.model_copy(update={"output_tokens": output})

    def cost_of(self, usage: Usage) -> float | None:
        """Return what so much usage costs."""
        if usage is self.usage:
            return self.cost_usd
        return self.price.cost_usd(usage.input_tokens, usage.output_tokens, usage.cached_tokens)


def plan(
    request: FakeRequest, known: Known, behaviour: Behaviour, *, answer: FakeAnswer, script: Script, rng: random.Random
) -> Plan:
    """Return what a call comes to; what the answer leaves open, the script says."""
    is_good = rng.random() < behaviour.quality
    fault = Fault.parse(answer.fault) if answer.fault else None
    content, calls = _said(request, behaviour, answer=answer, script=script, rng=rng, is_good=is_good)
    finish = answer.finish_reason or ("tool_calls" if calls else "stop")
    drawn = _with_fault(_Said(content, calls, finish), fault)
    drawn, usage = _counted(request.body, behaviour, answer, drawn)
    price = FREE if known.price is FREE else behaviour.prices.price if behaviour.prices else known.price
    cost = price.cost_usd(usage.input_tokens, usage.output_tokens, usage.cached_tokens)
    ttft_s, duration_s = _times(behaviour, answer, usage, rng)
    served_as = answer.model or behaviour.served_as or known.name
    return _slowed(
        Plan(
            known=known,
            content=drawn.content,
            usage=usage,
            cost_usd=cost if answer.cost_usd is None else answer.cost_usd,
            price=price,
            served_as="another-model" if fault and fault.name == "other_model" else served_as,
            finish_reason=drawn.finish_reason,
            tool_calls=drawn.tool_calls,
            refusal=drawn.refusal,
            ttft_s=ttft_s * script.time_scale,
            duration_s=duration_s * script.time_scale,
            fault=fault,
            is_good=is_good,
            headers=answer.headers,
        )
    )


@dataclass(frozen=True, slots=True)
class _Said:
    content: str = ""
    tool_calls: tuple[tuple[str, str], ...] = ()
    finish_reason: str = "stop"
    refusal: str | None = None


def _said(
    request: FakeRequest,
    behaviour: Behaviour,
    *,
    answer: FakeAnswer,
    script: Script,
    rng: random.Random,
    is_good: bool,
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return the text and the tool calls of a reply without fault."""
    n_tokens = max(1, round(_log_normal(rng, behaviour.output_tokens, behaviour.output_sigma)))
    if answer.content is not None or answer.tool_calls:
        return answer.content or "", answer.tool_calls
    if script.echo:
        return request.prompt, ()
    if script.tools == "call" and (name := _tool(request.body)):
        return "", ((name, minimal_json(_parameters(request.body, name)) if is_good else "{}"),)
    if not is_good:
        return APOLOGY, ()
    return behaviour.answer or _json_asked(request.body) or filler(n_tokens), ()


def _tool(body: Mapping[str, Any]) -> str | None:
    """Return the tool to call; none where none is offered or the last message is a tool's result."""
    names = [tool["function"]["name"] for tool in body.get("tools") or () if tool.get("type") == "function"]
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, Mapping):
        return str(choice.get("function", {}).get("name"))
    is_answered = (body.get("messages") or [{}])[-1].get("role") == "tool"
    if not names or choice == "none" or (is_answered and choice == "auto"):
        return None
    return str(names[0])


def _parameters(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    for tool in body.get("tools") or ():
        if tool.get("function", {}).get("name") == name:
            return tool["function"].get("parameters") or {"type": "object"}
    return {"type": "object"}


def _json_asked(body: Mapping[str, Any]) -> str | None:
    asked = body.get("response_format") or {}
    if asked.get("type") == "json_schema":
        return minimal_json(asked.get("json_schema", {}).get("schema") or {"type": "object"})
    return '{"answer": "text"}' if asked.get("type") == "json_object" else None


def _with_fault(said: _Said, fault: Fault | None) -> _Said:
    if fault is None:
        return said
    name = fault.name
    half = said.content[: (len(said.content) + 1) // 2]
    if name in {"bad_arguments", "tool_stop"}:
        tool, arguments = said.tool_calls[0] if said.tool_calls else ("look_up", "{}")
        broken = arguments if name == "tool_stop" else BROKEN_JSON
        return _Said("", ((tool, broken),), "stop" if name == "tool_stop" else "tool_calls")
    changed = {
        "empty": _Said(),
        "empty_length": _Said(finish_reason="length"),
        "cut_short": replace(said, content=half, finish_reason="length"),
        "content_filter": replace(said, content=half, finish_reason="content_filter"),
        "refusal": _Said(refusal=REFUSAL),
        "invalid_json": replace(said, content=BROKEN_JSON),
        "split_utf8": replace(said, content=FOREIGN + said.content),
    }
    return changed.get(name, said)


def _counted(body: Mapping[str, Any], behaviour: Behaviour, answer: FakeAnswer, said: _Said) -> tuple[_Said, Usage]:
    """Return the text within the request's limit of tokens, and the usage."""
    reasoning = behaviour.reasoning_tokens if answer.reasoning_tokens is None else answer.reasoning_tokens
    text = said.content + (said.refusal or "") + " ".join(f"{name} {text}" for name, text in said.tool_calls)
    output = reasoning + count_tokens(text) if answer.completion_tokens is None else answer.completion_tokens
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit and output > limit:
        output, reasoning = limit, min(reasoning, limit)
        said = replace(said, content="".join(islice(pieces(said.content), limit - reasoning)), finish_reason="length")
    input_tokens = _prompt_tokens(body) if answer.prompt_tokens is None else answer.prompt_tokens
    cached = int(behaviour.cached_share * input_tokens) if answer.cached_tokens is None else answer.cached_tokens
    return said, Usage(
        input_tokens=input_tokens,
        output_tokens=output,
        cached_tokens=min(cached, input_tokens),
        reasoning_tokens=min(reasoning, output),
    )


def _prompt_tokens(body: Mapping[str, Any]) -> int:
    """Return the tokens of all messages, three more for each, as chat formats need some of their own."""
    messages = body.get("messages") or ()
    return sum(3 + count_tokens(text_of(message.get("content"))) for message in messages)


def _times(behaviour: Behaviour, answer: FakeAnswer, usage: Usage, rng: random.Random) -> tuple[float, float]:
    ttft_s = _log_normal(rng, behaviour.ttft_s, behaviour.ttft_sigma) if answer.ttft_s is None else answer.ttft_s
    speed = behaviour.tokens_per_s
    duration_s = ttft_s + (usage.output_tokens / speed if speed else 0.0)
    return ttft_s, max(ttft_s, duration_s if answer.duration_s is None else answer.duration_s)


def _slowed(planned: Plan) -> Plan:
    fault = planned.fault
    if fault is None or fault.name not in {"slow_first_token", "slow_tokens"}:
        return planned
    seconds = 1.0 if fault.number is None else fault.number
    if fault.name == "slow_first_token":
        return replace(planned, ttft_s=seconds, duration_s=seconds)
    return replace(planned, duration_s=planned.ttft_s + seconds * planned.usage.output_tokens)


def _log_normal(rng: random.Random, median: float, sigma: float) -> float:
    return median * math.exp(rng.gauss(0.0, sigma)) if sigma else median
