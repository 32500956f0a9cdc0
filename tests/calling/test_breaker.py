"""Breakers: hand-made histories of one model, and every history against a slow and simple model of the rules."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from optimizer.calling.breaker import BLAMELESS, WHOLE, BreakerChange, Breakers, Permit
from optimizer.calling.circuit import LONGEST, time_open
from optimizer.errors import (
    ContentBlocked,
    GatewayError,
    GatewayTimeout,
    GatewayUnreachable,
    InvalidReply,
    ModelUnavailable,
    OutOfCredit,
    RateLimited,
    RequestRefused,
    ServerFailed,
    Unauthorized,
)
from optimizer.settings import HealthChecks

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SETTINGS = HealthChecks(interval_seconds=30, failure_threshold=3)
GATEWAY, MODEL = "portkey", "gpt-4o"


class Ward:
    """Breakers with a clock that the test turns, and what they told."""

    def __init__(self, settings: HealthChecks = SETTINGS) -> None:
        self.now = NOON
        self.told: list[BreakerChange] = []
        self.breakers = Breakers(settings, lambda: self.now, self.told.append)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def enter(self, model: str = MODEL, gateway: str = GATEWAY) -> Permit:
        permit = self.breakers.acquire(gateway, model)
        assert permit is not None
        return permit

    def fail(self, kind: type[GatewayError] = ServerFailed, n: int = 1, *, model: str = MODEL, **about: object) -> None:
        for _ in range(n):
            self.breakers.failed(self.enter(model), kind(gateway=GATEWAY, model_id=model, **about))  # type: ignore[arg-type]

    @property
    def allows(self) -> bool:
        return self.breakers.allows(GATEWAY, MODEL)


@pytest.fixture
def ward() -> Ward:
    return Ward()


def test_failures_in_a_row_open_it_for_the_interval(ward: Ward) -> None:
    ward.fail(n=2)
    assert ward.allows
    ward.fail()
    assert not ward.allows
    until = NOON + timedelta(seconds=30)
    assert ward.told == [BreakerChange(GATEWAY, MODEL, "open", "server", 3, NOON, until)]
    assert ward.breakers.acquire(GATEWAY, MODEL) is None


def test_a_success_in_between_begins_the_count_anew(ward: Ward) -> None:
    ward.fail(n=2)
    ward.breakers.succeeded(ward.enter())
    ward.fail(n=2)
    assert ward.allows
    assert ward.told == []


def test_one_probe_at_a_time_is_let_through_and_closes_it(ward: Ward) -> None:
    ward.fail(n=3)
    ward.wait(30)
    assert ward.allows
    probe = ward.enter()
    assert ward.breakers.acquire(GATEWAY, MODEL) is None
    ward.breakers.succeeded(probe)
    assert ward.enter()
    assert [change.state for change in ward.told] == ["open", "half_open", "closed"]


def test_asking_takes_no_place(ward: Ward) -> None:
    ward.fail(n=3)
    ward.wait(30)
    assert [ward.allows for _ in range(3)] == [True] * 3
    assert ward.enter()


def test_probes_that_fail_double_the_time_up_to_ten_minutes(ward: Ward) -> None:
    """30 s, 60, 120, 240, 480, then 600 for good."""
    ward.fail(n=3)
    times = []
    for _ in range(6):
        times.append((ward.told[-1].open_until - ward.told[-1].changed_at).total_seconds())
        ward.now = ward.told[-1].open_until
        ward.fail()
    assert times == [30, 60, 120, 240, 480, 600]
    assert time_open(10_000, SETTINGS) == LONGEST


def test_after_it_closed_the_next_opening_is_short_again(ward: Ward) -> None:
    ward.fail(n=3)
    ward.wait(30)
    ward.fail()
    ward.wait(60)
    ward.breakers.succeeded(ward.enter())
    ward.fail(n=3)
    assert ward.told[-1].open_until == ward.now + timedelta(seconds=30)


def test_a_probe_that_never_reports_gives_its_place_back(ward: Ward) -> None:
    ward.fail(n=3)
    ward.wait(30)
    ward.breakers.release(ward.enter())
    assert ward.enter()


def test_who_has_no_place_gives_none_back(ward: Ward) -> None:
    """A call that began before the breaker opened, cancelled while another one is the probe."""
    early = ward.enter()
    ward.fail(n=3)
    ward.wait(30)
    ward.enter()
    ward.breakers.release(early)
    ward.breakers.release(None)
    assert not ward.allows


def test_failures_of_calls_from_before_say_nothing_new(ward: Ward) -> None:
    """Five calls hang: three time out and open it, two more do so while another call is the probe."""
    hanging = [ward.enter() for _ in range(5)]
    ward.wait(1)
    timeout = GatewayTimeout(gateway=GATEWAY, model_id=MODEL)
    for permit in hanging[:3]:
        ward.breakers.failed(permit, timeout)
    ward.wait(30)
    probe = ward.enter()
    for permit in hanging[3:]:
        ward.breakers.failed(permit, timeout)
    ward.breakers.succeeded(probe)
    assert [change.state for change in ward.told] == ["open", "half_open", "closed"]


@pytest.mark.parametrize("kind", [RequestRefused, ContentBlocked])
def test_faults_of_the_request_are_not_held_against_the_model(ward: Ward, kind: type[GatewayError]) -> None:
    ward.fail(kind, n=10, status=400)
    assert ward.breakers.states() == []
    assert kind.kind in BLAMELESS


@pytest.mark.parametrize("kind", [ServerFailed, InvalidReply, ModelUnavailable, OutOfCredit, GatewayTimeout])
def test_illness_of_a_model_leaves_the_gateway_alone(ward: Ward, kind: type[GatewayError]) -> None:
    ward.fail(kind, n=3)
    assert not ward.allows
    assert ward.breakers.allows(GATEWAY, WHOLE)
    assert ward.breakers.allows(GATEWAY, "claude-haiku-4-5")
    assert ward.breakers.allows("openrouter", MODEL)


@pytest.mark.parametrize("kind", [GatewayUnreachable, Unauthorized])
def test_trouble_of_the_gateway_keeps_calls_from_all_its_models(ward: Ward, kind: type[GatewayError]) -> None:
    for model in ("a", "b", "c"):
        ward.fail(kind, model=model)
    assert not ward.breakers.allows(GATEWAY, "d")
    assert ward.breakers.allows("openrouter", "d")
    assert [change.model_id for change in ward.told] == [WHOLE]


def test_only_one_call_probes_a_gateway_whatever_its_model(ward: Ward) -> None:
    for model in ("a", "b", "c"):
        ward.fail(GatewayUnreachable, model=model)
    ward.wait(30)
    probe = ward.enter("a")
    assert ward.breakers.acquire(GATEWAY, "b") is None
    ward.breakers.failed(probe, ServerFailed(gateway=GATEWAY, status=503))
    assert ward.breakers.allows(GATEWAY, "b")  # an error's reply is a reply: the gateway is up


def test_a_rate_limit_pauses_as_long_as_it_asks_and_is_no_illness(ward: Ward) -> None:
    ward.fail(RateLimited, retry_after_s=7.0, status=429)
    assert not ward.allows
    assert ward.told == [
        BreakerChange(GATEWAY, MODEL, "open", "rate_limit", 0, NOON, NOON + timedelta(seconds=7)),
    ]
    ward.wait(7)
    assert ward.enter()
    assert ward.enter()  # without a probe
    ward.breakers.succeeded(ward.enter())
    assert [change.state for change in ward.told] == ["open", "closed"]


def test_a_success_does_not_shorten_a_pause(ward: Ward) -> None:
    early = ward.enter()
    ward.fail(RateLimited, retry_after_s=7.0)
    ward.breakers.succeeded(early)
    assert not ward.allows


def test_a_pause_has_its_longest_time_too(ward: Ward) -> None:
    ward.fail(RateLimited, retry_after_s=1e300)
    assert ward.told[-1].open_until == NOON + LONGEST


def test_rate_limits_that_name_no_time_pause_from_the_threshold_on(ward: Ward) -> None:
    ward.fail(RateLimited, n=2)
    assert ward.allows
    ward.fail(RateLimited)
    assert not ward.allows
    ward.wait(1)
    assert ward.allows


def test_a_forced_call_is_let_through_and_its_success_closes(ward: Ward) -> None:
    ward.fail(n=3)
    permit = ward.breakers.acquire(GATEWAY, MODEL, forced=True)
    assert permit is not None
    ward.breakers.succeeded(permit)
    assert ward.allows


def test_checks_in_a_row_open_a_gateway_and_one_closes_it(ward: Ward) -> None:
    for _ in range(3):
        ward.breakers.check_failed(GATEWAY, "timeout")
    assert not ward.allows
    ward.breakers.check_succeeded(GATEWAY)
    assert ward.allows


def test_checks_do_not_end_trouble_with_keys(ward: Ward) -> None:
    """A gateway may answer a check without looking at the key."""
    ward.fail(Unauthorized, n=3, status=401)
    ward.breakers.check_succeeded(GATEWAY)
    assert not ward.breakers.allows(GATEWAY, WHOLE)


def test_models_in_trouble_are_named_with_the_reason(ward: Ward) -> None:
    assert ward.breakers.open_models((GATEWAY,), (MODEL,)) == {}
    ward.fail(n=3)
    models = (MODEL, "gpt-4o-mini")
    assert ward.breakers.open_models((GATEWAY,), models) == {MODEL: "in trouble: server at portkey"}
    assert ward.breakers.open_models((GATEWAY, "openrouter"), models) == {}
    ward.wait(30)
    assert ward.breakers.open_models((GATEWAY,), models) == {}  # somebody may be the probe


def test_gateway_in_trouble_is_named_as_the_reason(ward: Ward) -> None:
    for model in ("a", "b", "c"):
        ward.fail(GatewayUnreachable, model=model)
    assert ward.breakers.open_models((GATEWAY,), (MODEL,)) == {MODEL: "in trouble: portkey itself (unreachable)"}


def test_what_others_found_open_is_adopted_until_then(ward: Ward) -> None:
    other = Ward()
    other.fail(n=3)
    ward.breakers.adopt(other.told)
    assert not ward.allows
    assert ward.told == []
    ward.wait(30)
    ward.breakers.succeeded(ward.enter())
    ward.breakers.adopt(other.told)
    assert ward.allows


def test_adopting_never_extends_and_never_beats_newer_knowledge(ward: Ward) -> None:
    ward.fail(n=3)
    later = NOON + timedelta(hours=1)
    ward.breakers.adopt([BreakerChange(GATEWAY, MODEL, "open", "server", 9, NOON + timedelta(seconds=1), later)])
    ward.wait(30)
    ward.breakers.succeeded(ward.enter())
    ward.breakers.adopt([BreakerChange(GATEWAY, MODEL, "open", "server", 9, NOON + timedelta(seconds=2), later)])
    assert ward.allows


def test_states_are_told_as_they_are_now(ward: Ward) -> None:
    ward.fail(n=3)
    assert [change.state for change in ward.breakers.states()] == ["open"]
    ward.wait(30)
    (state,) = ward.breakers.states()
    assert (state.state, state.open_until) == ("half_open", None)


def test_a_call_does_not_fail_because_nobody_could_be_told(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(change: BreakerChange) -> None:
        raise OSError("secret words")

    breakers = Breakers(HealthChecks(failure_threshold=1), lambda: NOON, refuse)
    permit = breakers.acquire(GATEWAY, MODEL)
    assert permit is not None
    breakers.failed(permit, ServerFailed(gateway=GATEWAY))
    assert not breakers.allows(GATEWAY, MODEL)
    assert [record.getMessage() for record in caplog.records] == ["Nobody could be told of a breaker's change: OSError"]


def test_threads_find_one_half_open_place(ward: Ward) -> None:
    ward.fail(n=3)
    ward.wait(30)
    found: list[Permit | None] = []
    barrier = threading.Barrier(8)

    def enter() -> None:
        barrier.wait()
        found.append(ward.breakers.acquire(GATEWAY, MODEL))

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(permit is not None for permit in found) == 1


class Histories(RuleBasedStateMachine):
    """One model's breaker against the rules, told by lists and flags."""

    def __init__(self) -> None:
        super().__init__()
        self.ward = Ward()
        self.under_way: list[Permit] = []
        self.state, self.in_a_row, self.doublings = "closed", 0, 0
        self.until = self.changed = self.paused = NOON
        self.probe: Permit | None = None

    @property
    def open_now(self) -> bool:
        return self.state == "open" and self.ward.now < self.until

    @rule(seconds=st.sampled_from([0.5, 1, 10, 30, 60, 700]))
    def time_passes(self, seconds: float) -> None:
        self.ward.wait(seconds)

    @rule()
    def enters(self) -> None:
        expected = self.ward.now >= self.paused and not self.open_now and self.probe is None
        permit = self.ward.breakers.acquire(GATEWAY, MODEL)
        assert (permit is not None) == expected
        if permit is None:
            return
        self.under_way.append(permit)
        if self.state == "open":
            self.state, self.changed = "half_open", self.ward.now
        if self.state == "half_open":
            self.probe = permit

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def is_cancelled(self, data: st.DataObject) -> None:
        permit = self._ended(data)
        self.ward.breakers.release(permit)
        if permit == self.probe:
            self.probe = None

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def is_answered(self, data: st.DataObject) -> None:
        self.ward.breakers.succeeded(self._ended(data))
        if self.state != "closed":
            self.changed = self.ward.now
        self.state, self.in_a_row, self.doublings, self.probe = "closed", 0, 0, None

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def fails(self, data: st.DataObject) -> None:
        permit = self._ended(data)
        self.ward.breakers.failed(permit, ServerFailed(gateway=GATEWAY))
        if permit.at < self.changed and permit != self.probe:
            return
        self.in_a_row += 1
        if self.open_now or (self.state == "closed" and self.in_a_row < 3):
            return
        seconds = min(30 * 2**self.doublings, 600)
        self.state, self.probe, self.doublings = "open", None, self.doublings + 1
        self.until, self.changed = self.ward.now + timedelta(seconds=seconds), self.ward.now

    @invariant()
    def at_most_one_probe_is_under_way(self) -> None:
        assert self.probe is None or self.probe in self.under_way

    @invariant()
    def allowing_foretells_entering(self) -> None:
        expected = self.ward.now >= self.paused and not self.open_now and self.probe is None
        assert self.ward.allows == expected

    @invariant()
    def it_never_stays_shut_for_longer_than_the_cap(self) -> None:
        assert all(change.open_until - change.changed_at <= LONGEST for change in self.ward.told if change.open_until)

    def _ended(self, data: st.DataObject) -> Permit:
        return self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))


TestHistories = Histories.TestCase
