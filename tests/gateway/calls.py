"""Calls and clients that the tests of this folder make."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from optimizer.errors import GatewayError
from optimizer.gateway.openai_compatible import OpenAICompatibleClient
from optimizer.gateway.wire import ChatCall, ChatChunk, ChatReply, GatewayClient, Target
from optimizer.settings.sections import DirectConfig
from tests.gateway.loopback import Answering, Loopback, loopback

MESSAGES = [{"role": "user", "content": "hello"}]
BODY = {"messages": MESSAGES}
TARGET = Target("gpt-4o", "direct", "gpt-4o", "openai")


def call(target: Target = TARGET, body: dict[str, Any] | None = None, **options: Any) -> ChatCall:
    return ChatCall(target=target, body=BODY if body is None else body, **{"timeout_s": 5.0, **options})


def direct(url: str, *keys: str) -> OpenAICompatibleClient:
    return OpenAICompatibleClient({"openai": DirectConfig(base_url=url, api_key=",".join(keys))})


def asking(
    answer: Answering, ask: Callable[[GatewayClient, Loopback], Awaitable[Any]], *, client: Any = direct
) -> tuple[Any, Loopback]:
    """Return what came of asking a client of a server that answers so, and the server."""

    async def run() -> tuple[Any, Loopback]:
        async with loopback(answer) as server:
            asked = client(server.url)
            try:
                return await ask(asked, server), server
            finally:
                await asked.aclose()

    return asyncio.run(run())


def completed(answer: Answering, chat: ChatCall | None = None, *, client: Any = direct) -> tuple[ChatReply, Loopback]:
    """Return the reply, and the server that was asked."""
    return asking(answer, lambda asked, _: asked.complete(chat or call()), client=client)


def failure(answer: Answering, chat: ChatCall | None = None, *, client: Any = direct) -> GatewayError:
    """Return the error that a completion ends with."""
    found, _ = asking(answer, lambda asked, _: caught(asked.complete(chat or call())), client=client)
    return found


def streamed(
    answer: Answering, chat: ChatCall | None = None, *, client: Any = direct
) -> tuple[list[ChatChunk], GatewayError | None]:
    """Return the chunks of a stream, and the error that it ended with."""
    return asking(answer, lambda asked, _: read_all(asked, chat or call()), client=client)[0]


async def read_all(client: GatewayClient, chat: ChatCall) -> tuple[list[ChatChunk], GatewayError | None]:
    chunks: list[ChatChunk] = []
    try:
        async with client.stream(chat) as stream:
            async for chunk in stream:
                chunks.append(chunk)  # noqa: PERF401, what came before an error is wanted too
    except GatewayError as error:
        return chunks, error
    return chunks, None


async def caught(asked: Awaitable[object]) -> GatewayError:
    """Return the gateway error that this ends with."""
    try:
        await asked
    except GatewayError as error:
        return error
    raise AssertionError("nothing was raised")


def text_of(chunks: list[ChatChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)
