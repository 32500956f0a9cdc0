"""What stands before every request: no more of them, and none larger, than was said."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from optimizer.ledger.calls import recent_calls
from optimizer.ledger.schema import open_database
from optimizer.simulation.fake_gateway import FakeServer
from tests.engine.factory import DEAR, pool
from tests.service.conftest import Serve
from tests.service.running import CHAT, HELLO, Served, error_of, only, until

SMALL = pool("objective: quality", "service: {max_body_mb: 0.01}")
LONG = [{"role": "user", "content": "x" * 20_000}]


def test_a_body_that_says_it_is_too_large_is_refused(serve: Serve, fake: FakeServer) -> None:
    answer = serve(SMALL).chat(messages=LONG)
    assert (answer.status_code, error_of(answer)["code"]) == (413, "request_too_large")
    assert fake.n_requests == 0


@pytest.mark.parametrize("path", [CHAT, "/v1/feedback", "/v1/select"])
def test_a_body_that_does_not_say_is_counted_as_it_comes(serve: Serve, path: str) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"use_case": "'
        for _ in range(20):
            yield b"x" * 1_000
        yield b'"}'

    answer = serve(SMALL).client.post(path, content=pieces(), headers={"content-type": "application/json"})
    assert (answer.status_code, error_of(answer)["code"]) == (413, "request_too_large")


def test_a_body_just_as_large_as_is_let_in_is_answered(serve: Serve) -> None:
    content = b'{"messages": [{"role": "user", "content": "%s"}]}'
    body = content % (b"x" * (10_000 - len(content) + 2))
    assert len(body) == 10_000
    assert serve(SMALL).client.post(CHAT, content=body).status_code == 200


def test_more_than_can_be_under_way_is_told_to_come_again(serve: Serve, fake: FakeServer) -> None:
    served = serve(max_in_flight=2)
    only(fake, DEAR, ttft_s=1.0)
    waiting = [threading.Thread(target=served.chat, args=(DEAR,)) for _ in range(2)]
    for thread in waiting:
        thread.start()
    assert until(lambda: fake.n_open == 2)
    answer = served.chat(DEAR)
    healthy = served.client.get("/healthz")
    for thread in waiting:
        thread.join()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert error_of(answer)["code"] == "overloaded"
    assert healthy.status_code == 200
    assert served.chat().status_code == 200


def test_calls_under_way_are_finished_at_the_end(serve: Serve, fake: FakeServer) -> None:
    """As the service is told to end, one call waits for its reply and one stream is half sent."""
    served = serve()
    only(fake, DEAR, ttft_s=0.3, tokens_per_s=100.0, output_tokens=50)
    answers: list[httpx.Response] = []
    callers = [threading.Thread(target=_keep, args=(answers, served, stream)) for stream in (False, True)]
    for caller in callers:
        caller.start()
    assert until(lambda: fake.n_open == 2)
    served.stop()
    for caller in callers:
        caller.join(20)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert any(answer.text.endswith("data: [DONE]\n\n") for answer in answers)


def test_calls_that_take_too_long_are_ended_then_and_costed(serve: Serve, fake: FakeServer, file: Path) -> None:
    served = serve(drain_s=0)
    only(fake, DEAR, ttft_s=30.0)
    caller = threading.Thread(target=_broken, args=(served,))
    caller.start()
    assert until(lambda: fake.n_open == 1)
    began = time.monotonic()
    served.stop()
    caller.join(20)
    assert time.monotonic() - began < 10
    assert fake.is_idle(5)
    database = open_database(str(file))
    ((attempt,),) = (call.attempts for call in recent_calls(database))
    database.close()
    assert (attempt.error_kind, attempt.cost_source) == ("cancelled", "estimated")


def _keep(answers: list[httpx.Response], served: Served, stream: bool) -> None:
    with httpx.Client(timeout=20) as client:
        body = {"model": DEAR, "messages": HELLO, "stream": stream}
        answers.append(client.post(f"{served.url}/chat/completions", json=body))


def _broken(served: Served) -> None:
    with httpx.Client(timeout=20) as client, pytest.raises(httpx.HTTPError):
        client.post(f"{served.url}/chat/completions", json={"model": DEAR, "messages": HELLO}).raise_for_status()
