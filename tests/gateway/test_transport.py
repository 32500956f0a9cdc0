"""Every way in which HTTP fails has its own class, on real sockets; connections are shared and reused."""

import asyncio
import socket
import threading
import time

import pytest

from optimizer.errors import ConnectionBroken, GatewayTimeout, GatewayUnreachable, InvalidReply
from optimizer.gateway.transport import Http, header_text
from tests.gateway.calls import BODY, asking, call, caught, completed, direct, failure
from tests.gateway.loopback import (
    REPLY,
    Asked,
    head_of,
    http_reply,
    raw,
    refused_port,
    replying,
    resetting,
    silent,
    streaming,
)

REQUEST = {"headers": {"authorization": "Bearer key"}, "content": b"{}"}


def failed_at(url: str) -> type[Exception]:
    async def run() -> Exception:
        client = direct(url)
        try:
            return await caught(client.complete(call()))
        finally:
            await client.aclose()

    return type(asyncio.run(run()))


def test_a_refused_port_is_unreachable() -> None:
    assert failed_at(f"http://127.0.0.1:{refused_port()}/v1") is GatewayUnreachable


def test_a_name_that_nobody_has_is_unreachable() -> None:
    assert failed_at("http://no-such-host.invalid/v1") is GatewayUnreachable


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/v1", "http://[half/v1", "ftp://127.0.0.1/v1", "http://a:b@127.0.0.1/v1"]
)
def test_an_address_that_is_none_is_unreachable(url: str) -> None:
    async def run() -> Exception:
        async with Http() as http:
            return await caught(_translated(http, url))

    assert type(asyncio.run(run())) is GatewayUnreachable


def test_tls_against_a_plain_port_is_unreachable() -> None:
    async def run() -> Exception:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(http_reply({}, status=400))
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            client = direct(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
            try:
                return await caught(client.complete(call()))
            finally:
                await client.aclose()

    assert type(asyncio.run(run())) is GatewayUnreachable


def test_a_reset_breaks_the_connection() -> None:
    assert type(failure(resetting)) is ConnectionBroken


def test_an_end_before_the_reply_breaks_the_connection() -> None:
    assert type(failure(raw(b""))) is ConnectionBroken


@pytest.mark.parametrize(
    "half",
    [
        head_of(200, {"content-length": "100"}) + b'{"choices',
        head_of(200, {"transfer-encoding": "chunked"}) + b'20\r\n{"choices',
        b"HTTP/1.1 200 OK\r\ncontent-",
    ],
)
def test_an_end_inside_the_reply_breaks_the_connection(half: bytes) -> None:
    assert type(failure(raw(half))) is ConnectionBroken


def test_no_reply_is_a_timeout() -> None:
    assert type(failure(silent, call(timeout_s=0.05))) is GatewayTimeout


def test_a_body_that_comes_too_slowly_is_a_timeout() -> None:
    dripping = streaming(b'{"a":', 0.05, b"1,", 0.05, b'"b":', 0.05, b"2}", kind="application/json")
    assert type(failure(dripping, call(timeout_s=0.1))) is GatewayTimeout


def test_what_is_no_http_is_an_invalid_reply() -> None:
    assert type(failure(raw(b"\x15\x03\x01 this is no HTTP\r\n\r\n"))) is InvalidReply


def test_what_cannot_be_unpacked_is_an_invalid_reply() -> None:
    packed = replying(b"no gzip", headers={"content-encoding": "gzip"})
    assert type(failure(packed)) is InvalidReply


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"choices": []}', b'{"choices": [{}]}', b"[" * 100_000])
def test_what_is_no_completion_is_an_invalid_reply(body: bytes) -> None:
    assert type(failure(replying(body))) is InvalidReply


def test_a_server_of_several_that_is_down_is_not_the_whole_gateway() -> None:
    async def run() -> bool:
        client = direct(f"http://127.0.0.1:{refused_port()}/v1")
        try:
            return (await caught(client.complete(call()))).gateway_wide
        finally:
            await client.aclose()

    assert not asyncio.run(run())


def test_calls_one_after_another_share_a_connection() -> None:
    async def twice(client, server) -> None:
        await client.complete(call())
        await client.complete(call())

    assert asking(replying(), twice)[1].n_connections == 1


def test_two_hundred_calls_are_in_flight_at_once() -> None:
    """The transport's own default would hold all but 100 back."""
    both_in = asyncio.Event()
    n_in = 0

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal n_in
        n_in += 1
        if n_in == 200:
            both_in.set()
        await both_in.wait()
        await replying()(asked, writer)

    async def many(client, server) -> list[object]:
        return await asyncio.gather(*(client.complete(call()) for _ in range(200)))

    assert len(asking(answer, many)[0]) == 200


@pytest.mark.parametrize("runs", [1, 2])
def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(runs: int) -> None:
    """The server closes while the loop stands still: between a synchronous caller's calls, or at work of its own."""

    async def ask(client, times: int) -> None:
        for _ in range(times):
            assert (await client.complete(call())).content == "Hello."
            time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listening, asyncio.Runner() as runner:
        serving = threading.Thread(target=_reply_once_each, args=(listening, 2))
        serving.start()
        client = direct(f"http://127.0.0.1:{listening.getsockname()[1]}/v1")
        for _ in range(runs):
            runner.run(ask(client, 2 // runs))
        runner.run(client.aclose())
        serving.join()


def test_a_client_that_was_closed_opens_new_connections() -> None:
    async def around(client, server) -> str:
        await client.complete(call())
        await client.aclose()
        return (await client.complete(call())).content

    assert asking(replying(), around)[0] == "Hello."


def test_a_body_of_three_megabytes_arrives_whole() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 3_000_000}}
    body = {"messages": [{"role": "user", "content": [image]}]}
    _, server = completed(replying(), call(body=body))
    assert server.asked[0].body["messages"] == body["messages"]


def test_half_a_surrogate_pair_arrives_escaped() -> None:
    _, server = completed(replying(), call(body={**BODY, "user": "\ud800ü"}))
    assert server.asked[0].body["user"] == "\ud800ü"


def test_headers_are_printable_ascii() -> None:
    assert header_text("plain") == "plain"
    assert header_text("zwölf\r\nx: y") == "zw\\u00f6lf\\u000d\\u000ax: y"


def _reply_once_each(listening: socket.socket, n_connections: int) -> None:
    for _ in range(n_connections):
        connection, _ = listening.accept()
        with connection:
            while b'"messages"' not in connection.recv(65_536):
                pass
            connection.sendall(http_reply(REPLY))
            time.sleep(0.02)


async def _translated(http: Http, url: str) -> object:
    from optimizer.gateway.client import returned
    from optimizer.gateway.transport import caught as translated

    return returned(await translated(http.ask("POST", url, **REQUEST), gateway="portkey"))
