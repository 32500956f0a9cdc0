"""Breakers: which models and gateways are in trouble, learned from calls and checks, shared by threads."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from threading import Lock

from optimizer.calling.circuit import RATE_LIMIT, Circuit, State
from optimizer.errors import GatewayError
from optimizer.settings import HealthChecks

WHOLE = "*"  # in place of a model: the gateway itself
# The request's own fault: they say nothing about who was asked.
BLAMELESS = frozenset({"bad_request", "context_length", "content_filter"})


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """A breaker's state, and since when.

    Attributes
    ----------
    model_id : str
        `*` is the gateway itself.
    error_kind : str or None
        What opened it; `rate_limit` is a pause that ends by itself at `open_until`, without a probe.
    n_failures : int
        In a row.
    """

    gateway: str
    model_id: str
    state: State
    error_kind: str | None
    n_failures: int
    changed_at: datetime
    open_until: datetime | None


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call, to be handed back with what came of it: `succeeded`, `failed` or `release`, once."""

    gateway: str
    model_id: str
    number: int
    at: datetime


_log = logging.getLogger(__name__)

_Key = tuple[str, str]
_NEVER = datetime.min.replace(tzinfo=UTC)
_UNTRIED = Circuit(_NEVER)


class Breakers:
    """One breaker per (gateway, model), and one per gateway, all closed at first.

    Failures in a row open a breaker for the checks' interval; then one call at a time is let through, whose success
    closes it and whose failure opens it for twice as long, up to ten minutes. A model is kept from calls by its own
    breaker and by its gateway's.

    Every failure counts but the request's own fault (`BLAMELESS`), which changes nothing, and a rate limit, which
    pauses the model for as long as it asks and is no illness. Failures that are `gateway_wide` count for the gateway's
    own breaker as well; any reply but those, an error's too, shows that the gateway is up. A failure of a call that
    began before the breaker last changed says nothing new, and is passed over; a success always closes.

    Parameters
    ----------
    clock : callable
        Returns the aware time now.
    on_change : callable
        Is told every change of state, after it was made, in the thread that caused it.
    """

    def __init__(
        self, settings: HealthChecks, clock: Callable[[], datetime], on_change: Callable[[BreakerChange], None]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._on_change = on_change
        self._numbers = count(1)
        self._circuits: dict[_Key, Circuit] = {}
        self._troubled: set[_Key] = set()
        self._lock = Lock()

    def use(self, settings: HealthChecks) -> None:
        """Go by other settings from the next failure on; what is open stays so as long as it was to."""
        self._settings = settings

    def allows(self, gateway: str, model_id: str) -> bool:
        """Whether a call would be let through now; takes no place."""
        if not self._troubled:
            return True
        with self._lock:
            return self._lets_in(gateway, model_id, self._clock())

    def acquire(self, gateway: str, model_id: str, *, forced: bool = False) -> Permit | None:
        """Return a permit for one call, with the half-open place where there is one to take; None refuses it.

        `forced` is never refused, and takes a place only where one is free.
        """
        now = self._clock()
        permit = Permit(gateway, model_id, next(self._numbers), now)
        if not self._troubled:
            return permit
        with self._lock:
            if self._lets_in(gateway, model_id, now):
                changes = [self._put(key, circuit.entered(now, permit.number)) for key, circuit in self._known(permit)]
            elif forced:
                changes = []
            else:
                return None
        self._tell(changes)
        return permit

    def succeeded(self, permit: Permit) -> None:
        """Learn that the call was answered."""
        if not self._circuits:
            return
        now = self._clock()
        with self._lock:
            changes = [self._put(key, circuit.succeeded(now)) for key, circuit in self._known(permit)]
        self._tell(changes)

    def failed(self, permit: Permit, error: GatewayError) -> None:
        """Learn that the call failed, and how."""
        now = self._clock()
        own, whole = (permit.gateway, permit.model_id), (permit.gateway, WHOLE)
        with self._lock:
            changes = [
                self._put(own, self._of_model(self._circuits.get(own, _UNTRIED), permit, error, now)),
                self._put(whole, self._of_gateway(self._circuits.get(whole, _UNTRIED), permit, error, now)),
            ]
        self._tell(changes)

    def release(self, permit: Permit | None) -> None:
        """Give back the place of a call that came to nothing, cancelled for example; None has none to give back."""
        if permit is None or not self._troubled:
            return
        with self._lock:
            for key, circuit in self._known(permit):
                self._put(key, circuit.left(permit.number))

    def check_failed(self, gateway: str, error_kind: str) -> None:
        """Learn that a gateway did not answer a health check."""
        now = self._clock()
        key = (gateway, WHOLE)
        with self._lock:
            found = self._circuits.get(key, _UNTRIED)
            change = self._put(key, found.failed(now, error_kind, self._settings))
        self._tell([change])

    def check_succeeded(self, gateway: str) -> None:
        """Learn that a gateway answered a health check; refused keys are not over by it, since checks need none."""
        with self._lock:
            circuit = self._circuits.get((gateway, WHOLE))
            if circuit is None or circuit.error_kind == "auth":
                return
            change = self._put((gateway, WHOLE), circuit.succeeded(self._clock()))
        self._tell([change])

    def open_models(self, gateways: Sequence[str], models: Iterable[str]) -> dict[str, str]:
        """Return model → why it is in trouble, for those that none of the gateways would be asked for now.

        The words stay the same while the trouble does.
        """
        if not self._troubled:
            return {}
        now, reasons = self._clock(), {}
        with self._lock:
            for model in models:
                if gateways and not any(self._lets_in(gateway, model, now) for gateway in gateways):
                    troubles = ", ".join(self._trouble(gateway, model, now) for gateway in gateways)
                    reasons[model] = f"in trouble: {troubles}"
        return reasons

    def states(self) -> list[BreakerChange]:
        """Return every breaker that was ever open, as it is now."""
        now = self._clock()
        with self._lock:
            known = [(key, circuit) for key, circuit in self._circuits.items() if circuit.changed_at != _NEVER]
        return [_described(key, circuit, circuit.state_at(now)) for key, circuit in known]

    def adopt(self, states: Iterable[BreakerChange]) -> None:
        """Take over what others found open, where it is still so, closed here, and newer than what is known here.

        Nothing that is open here stays so for longer by it, and nobody is told.
        """
        now = self._clock()
        with self._lock:
            for state in states:
                key = (state.gateway, state.model_id)
                known = self._circuits.get(key, _UNTRIED)
                is_open = state.state == "open" and state.open_until is not None and now < state.open_until
                if is_open and known.state_at(now) == "closed" and known.changed_at < state.changed_at:
                    self._put(key, _adopted(state))

    # With the lock held

    def _known(self, permit: Permit) -> list[tuple[_Key, Circuit]]:
        keys = ((permit.gateway, permit.model_id), (permit.gateway, WHOLE))
        return [(key, self._circuits[key]) for key in keys if key in self._circuits]

    def _lets_in(self, gateway: str, model_id: str, now: datetime) -> bool:
        circuits = (self._circuits.get((gateway, name)) for name in (model_id, WHOLE))
        return all(circuit is None or circuit.lets_in(now) for circuit in circuits)

    def _of_model(self, circuit: Circuit, permit: Permit, error: GatewayError, now: datetime) -> Circuit:
        if error.kind in BLAMELESS:
            return circuit.left(permit.number)
        if error.kind == RATE_LIMIT:
            return circuit.left(permit.number).limited(now, error.retry_after_s, self._settings)
        return self._sicker(circuit, permit, error.kind, now)

    def _of_gateway(self, circuit: Circuit, permit: Permit, error: GatewayError, now: datetime) -> Circuit:
        if error.gateway_wide:
            return self._sicker(circuit, permit, error.kind, now)
        return circuit.left(permit.number) if error.status is None else circuit.succeeded(now)

    def _sicker(self, circuit: Circuit, permit: Permit, kind: str, now: datetime) -> Circuit:
        if permit.at < circuit.changed_at and circuit.probe != permit.number:
            return circuit
        return circuit.failed(now, kind, self._settings)

    def _put(self, key: _Key, circuit: Circuit) -> BreakerChange | None:
        """Keep a circuit, and return the change where its state is another one now."""
        before = self._circuits.get(key, _UNTRIED)
        if circuit == before:
            return None
        self._circuits[key] = circuit
        if circuit.is_quiet:
            self._troubled.discard(key)
        else:
            self._troubled.add(key)
        same = (circuit.changed_at, _state(circuit)) == (before.changed_at, _state(before))
        return None if same else _described(key, circuit, _state(circuit))

    def _trouble(self, gateway: str, model_id: str, now: datetime) -> str:
        own = self._circuits.get((gateway, model_id))
        if own is not None and not own.lets_in(now):
            return f"{own.error_kind} at {gateway}"
        whole = self._circuits[gateway, WHOLE]
        return f"{gateway} itself ({whole.error_kind})"

    def _tell(self, changes: Iterable[BreakerChange | None]) -> None:
        for change in changes:
            if change is None:
                continue
            try:
                self._on_change(change)
            except Exception as error:  # noqa: BLE001 - a call that was answered must not fail for want of a note
                _log.warning("Nobody could be told of a breaker's change: %s", type(error).__name__)


def _state(circuit: Circuit) -> State:
    return "open" if circuit.state == "closed" and circuit.paused_until is not None else circuit.state


def _described(key: _Key, circuit: Circuit, state: State) -> BreakerChange:
    ends = [until for until in (circuit.open_until, circuit.paused_until) if until is not None]
    until = max(ends, default=None) if state == "open" else None
    return BreakerChange(*key, state, circuit.error_kind, circuit.n_failures, circuit.changed_at, until)


def _adopted(state: BreakerChange) -> Circuit:
    if state.error_kind == RATE_LIMIT:
        return Circuit(state.changed_at, error_kind=RATE_LIMIT, paused_until=state.open_until)
    return Circuit(
        state.changed_at,
        state="open",
        error_kind=state.error_kind,
        n_failures=state.n_failures,
        n_openings=1,
        open_until=state.open_until,
    )
