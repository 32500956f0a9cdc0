"""Both ends of a simulated call over HTTP: what a request of the day asks for, and what the fake gateway answers.

The request says in a few words which arrival it is, and a hint how long the prompt would be; the world knows the rest.
"""

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from optimizer.domain import Gateway, Usage
from optimizer.settings import DirectConfig, OpenRouterConfig, PortkeyConfig, RedactionSettings, Settings
from optimizer.simulation.events import LOCKED, LOCKED_FROM, LOCKED_UNTIL
from optimizer.simulation.fake_gateway import FakeAnswer, FakeRequest
from optimizer.simulation.fake_gateway.text import filler
from optimizer.simulation.timeline import Timeline
from optimizer.simulation.traffic import Arrival
from optimizer.simulation.world import Answer, World

KEY = (SecretStr("simulated"),)
# By which name of the fake gateway each failure of the world comes over the wire.
FAULTS = {"rate_limit": "rate_limit", "server_error": "unavailable", "timeout": "gateway_timeout"}
_NAMED = re.compile(r"Simulated request (\d+)\b")
_SAID = "A simulated answer."
_SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
_TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
_PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAAC"
_REFUSED_AFTER_S = 0.04
_PATIENCE_S = 86_400.0  # of real time, which has no part in a simulation


def at_fake(settings: Settings, url: str = "http://127.0.0.1") -> Settings:
    """Return settings whose gateways are all the fake one at this URL, and whose every call is one of the world's.

    Real keys and addresses are left out, and so are judges, whose part the world plays, redaction, as nothing in a
    simulated prompt is anybody's, and timeouts, which are the world's.
    """
    waits = dict.fromkeys(("deadline_seconds", "attempt_timeout_seconds", "token_timeout_seconds"), _PATIENCE_S)
    cases = {name: case.model_copy(update={"judge": None}) for name, case in settings.use_cases.items()}
    ours = {
        "portkey_config": PortkeyConfig(base_url=f"{url}/v1", api_key=KEY),
        "openrouter_config": OpenRouterConfig(base_url=f"{url}/api/v1", api_key=KEY),
        "direct_config": {name: DirectConfig(base_url=f"{url}/v1", api_key=KEY) for name in settings.direct_config},
        "redaction": RedactionSettings(),
        "routing": settings.routing.model_copy(update=waits),
        "use_cases": cases,
    }
    return settings.model_copy(update=ours)


def messages_of(arrival: Arrival) -> list[dict[str, Any]]:
    """Return the chat that a request brings: one message, which names it."""
    text = f"Simulated request {arrival.prompt} of {arrival.use_case}."
    if not arrival.needs_vision:
        return [{"role": "user", "content": text}]
    image = {"type": "image_url", "image_url": {"url": _PIXEL}}
    return [{"role": "user", "content": [{"type": "text", "text": text}, image]}]


def options_of(arrival: Arrival) -> dict[str, Any]:
    """Return what else a request brings: hints for the choice, and what its body asks for."""
    options: dict[str, Any] = {
        "context_tokens": arrival.context_tokens,
        "session_id": arrival.session_id,
        "tenant": arrival.tenant,
    }
    if arrival.needs_tools:
        options["tools"] = [_TOOL]
    if arrival.needs_json_schema:
        schema = {"name": "answer", "schema": _SCHEMA}
        options["response_format"] = {"type": "json_schema", "json_schema": schema}
    return options


@dataclass(frozen=True, slots=True)
class Given:
    """What the fake gateway gave for one attempt: the world's answer, and what it truly cost."""

    answer: Answer
    cost_usd: float


class Answers:
    """The fake gateway's answerer: every attempt gets the world's answer of its time, when that answer is due.

    Attributes
    ----------
    given : dict
        Prompt → what its attempts were given until now, those left aside that never came to a model.
    """

    def __init__(self, world: World, time: Timeline) -> None:
        self._world = world
        self._time = time
        models = world.catalog.models.values()
        self._keys = {name: each.key for each in models for name in (each.openrouter_id, each.portkey_model) if name}
        self.given: dict[int, list[Given]] = defaultdict(list)

    async def __call__(self, request: FakeRequest) -> FakeAnswer:
        """Answer one attempt: of a stream, when its first token is due; the rest waits for whoever reads it."""
        if request.gateway == LOCKED and LOCKED_FROM <= self._time.at - self._world.start < LOCKED_UNTIL:
            await self._time.sleep(_REFUSED_AFTER_S)
            return FakeAnswer(fault="unauthorized")
        found = _NAMED.search(request.prompt)
        if found is None:
            raise LookupError("a request that is none of the day's")
        arrival = self._world.arrivals[int(found[1])]
        given = self._given(arrival, self._keys[request.model], request.gateway)
        answer = given.answer
        ms = answer.latency_ms if answer.ttft_ms is None or not request.is_stream else answer.ttft_ms
        await self._time.sleep(ms / 1e3)
        if answer.error_kind is not None:
            return FakeAnswer(fault=FAULTS[answer.error_kind])
        usage = self._world.usage(arrival, answer.model_id, answer.at)
        return _said(answer, usage, given.cost_usd)

    def _given(self, arrival: Arrival, model_id: str, gateway: Gateway) -> Given:
        at, before = self._time.at, self.given[arrival.prompt]
        n_before = sum(each.answer.model_id == model_id for each in before)
        answer = self._world.answer(arrival, model_id, at, retry=n_before)
        usage = self._world.usage(arrival, model_id, at)
        price = self._world.catalog.price(model_id, gateway, at)
        cost = price.cost_usd(usage.input_tokens, usage.output_tokens, usage.cached_tokens)
        given = Given(answer, (cost or 0.0) if answer.error_kind is None else 0.0)
        before.append(given)
        return given


def _said(answer: Answer, usage: Usage, cost_usd: float) -> FakeAnswer:
    """Return a reply with the world's tokens; its text is short, but where nothing else tells how long it would be."""
    is_lost = answer.usage is None
    text = filler(max(usage.output_tokens - usage.reasoning_tokens, 1)) if is_lost else _SAID
    return FakeAnswer(
        content=_as_asked(text, None if answer.reading is None else answer.reading.valid_schema),
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_usd=cost_usd,
        fault="no_usage" if is_lost else None,
    )


def _as_asked(text: str, valid: bool | None) -> str:
    """Return a text as such, as JSON that meets `_SCHEMA`, or as JSON that ends too early."""
    if valid is None:
        return text
    whole = json.dumps({"answer": text})
    return whole if valid else whole[:-2]
