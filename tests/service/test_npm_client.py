"""OpenAI's own client for JavaScript, with nothing but another base URL and another model."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.fake_gateway.script import Trouble
from tests.engine.factory import DEAR
from tests.npm import installed
from tests.service.running import Served, only

HERE = Path(__file__).parent / "npm"
INSTALLED = HERE.parents[2] / ".venv-npm"  # not in the repository
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def node() -> str:
    return installed(HERE, INSTALLED, "OpenAI's client for JavaScript")


@pytest.fixture
def flow(node: str, served: Served) -> Run:
    """Run a flow of `npm/flows.mjs` against the service, and return what it prints."""

    def run(name: str, model: str = DEAR) -> Any:
        done = subprocess.run(
            [node, str(HERE / "flows.mjs"), name, served.url, model],
            cwd=INSTALLED,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_a_chat(flow: Run, served: Served) -> None:
    came = flow("chat", "auto:chat")
    assert came["text"]
    assert came["usage"]["completion_tokens"] > 0
    assert came["call"] == served.last.selection.call_id


def test_a_stream_with_usage(flow: Run, fake: FakeServer) -> None:
    only(fake, DEAR, answer="Hello, you.")
    came = flow("stream")
    assert came["text"] == "Hello, you."
    assert came["usage"]["completion_tokens"] > 0
    assert came["n_chunks"] > 2


def test_a_tool_is_called_and_its_answer_sent_back(flow: Run, fake: FakeServer) -> None:
    came = flow("tool")
    assert (came["reason"], came["name"]) == ("tool_calls", "get_weather")
    assert came["text"]
    sent = fake.requests[-1].body["messages"]
    assert (sent[1]["tool_calls"][0]["id"], sent[2]["tool_call_id"]) == (came["id"], came["id"])


def test_a_tool_call_is_put_together_from_a_stream(flow: Run) -> None:
    (call,) = flow("tool_stream")
    assert call["name"] == "get_weather"
    assert isinstance(call["args"], dict)


def test_models(flow: Run) -> None:
    names = flow("models")
    assert names[0] == "auto"
    assert DEAR in names


def test_failures_are_the_client_s_own_errors(flow: Run, fake: FakeServer) -> None:
    unknown = {"status": 404, "code": "model_not_found", "param": "model", "kind": "NotFoundError"}
    assert flow("failure", "gpt-99") == unknown
    fake.play(Script(troubles=(Trouble(fault="rate_limit:7"),)))
    assert flow("failure")["kind"] == "RateLimitError"
