"""What the ledger says later of a call that somebody else served than the one chosen."""

from optimizer.simulation.fake_gateway import FakeServer, Script
from optimizer.simulation.fake_gateway.script import Trouble
from tests.engine.factory import CHEAP, DEAR, MIDDLE
from tests.router.calls import DEAR_FIRST, QUALITY, calls_of, complete, only
from tests.router.conftest import Opened


def test_model_that_stood_in_is_named(opened: Opened, fake: FakeServer) -> None:
    only(fake, DEAR, troubles=(Trouble(fault="forbidden"),))
    opt = opened(DEAR_FIRST)
    reply = complete(opt)
    (call,) = calls_of(opt)
    assert reply.model in (MIDDLE, CHEAP)
    assert call.overridden_by == "rule:r"  # the rule decided who was asked first
    assert call.explain().startswith(
        f"{reply.model} through portkey served this chat call; {DEAR} through portkey was chosen. "
        "The one chosen failed, and this one stood in.\n"
    )


def test_gateway_that_stood_in_is_named_and_overrides_no_draw(opened: Opened, fake: FakeServer) -> None:
    fake.play(Script(troubles=(Trouble(fault="reset", gateway="portkey"),)))
    opt = opened(QUALITY)
    reply = complete(opt, model=DEAR)
    (call,) = calls_of(opt)
    assert (reply.provider, call.overridden_by) == ("openrouter", "pin")
    assert call.explain().startswith(f"{DEAR} through openrouter served this chat call; {DEAR} through portkey was")


def test_call_that_went_as_it_was_meant_to_says_so(opened: Opened) -> None:
    opt = opened(QUALITY)
    complete(opt, model=DEAR)
    (call,) = calls_of(opt)
    assert call.failed_over_to is None
    assert call.explain() == call.selection.explain()
