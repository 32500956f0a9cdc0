"""Calls to the fake gateway with a plain client, for its tests."""

import json
import ssl
from typing import Any

import httpx

from optimizer.domain import Gateway
from optimizer.simulation.fake_gateway import FakeServer

MODELS: dict[Gateway, str] = {"portkey": "@openai/gpt-4o", "openrouter": "openai/gpt-4o", "direct": "gpt-4o"}
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used, but to make one anew for each call takes longer than it
PLAIN: dict[str, Any] = {"trust_env": False, "verify": TLS}
MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def ask(
    server: FakeServer,
    gateway: Gateway = "portkey",
    *,
    fault: str = "",
    headers: dict[str, str] | None = None,
    **body: Any,
) -> httpx.Response:
    """Return the reply to a chat completion."""
    asked = {"model": MODELS[gateway], "messages": MESSAGES, **body}
    base = server.openrouter_url if gateway == "openrouter" else server.portkey_url
    sent = ({"x-fake-fault": fault} if fault else {}) | (headers or {})
    return httpx.post(f"{base}/chat/completions", json=asked, headers=sent, timeout=20.0, **PLAIN)


def get(url: str, **options: Any) -> httpx.Response:
    """Return the reply to a GET."""
    return httpx.get(url, timeout=20.0, **PLAIN, **options)


def chunks(text: str) -> list[dict[str, Any]]:
    """Return the chunks of a stream, `[DONE]` and comments left aside."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def said(text: str) -> str:
    """Return the text of a stream."""
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks(text) for choice in chunk.get("choices", ())
    )


def message(reply: httpx.Response) -> dict[str, Any]:
    """Return the first choice's message."""
    found: dict[str, Any] = reply.json()["choices"][0]["message"]
    return found
