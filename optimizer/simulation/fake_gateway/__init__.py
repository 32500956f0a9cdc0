"""A fake gateway on a real socket: Portkey, OpenRouter and OpenAI as they speak and as they fail, by a script."""

from optimizer.simulation.fake_gateway.faults import FAULTS
from optimizer.simulation.fake_gateway.messages import FakeAnswer, FakeRequest, Served
from optimizer.simulation.fake_gateway.script import (
    Behaviour,
    Change,
    ModelScript,
    Prices,
    Script,
    Trouble,
    load_script,
)
from optimizer.simulation.fake_gateway.server import FakeServer, running_gateway, serve_gateway

__all__ = [
    "FAULTS",
    "Behaviour",
    "Change",
    "FakeAnswer",
    "FakeRequest",
    "FakeServer",
    "ModelScript",
    "Prices",
    "Script",
    "Served",
    "Trouble",
    "load_script",
    "running_gateway",
    "serve_gateway",
]
