"""From stop to stop until one answers: breaker, limit, one attempt, retries, and every failure put down."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Generic, TypeVar

from tenacity import AsyncRetrying, RetryCallState

from optimizer.calling.breaker import Permit
from optimizer.calling.tokens import TokenEstimator
from optimizer.decision.credit import CANCELLED
from optimizer.domain import Attempt, Candidate, CostSource, Gateway, Usage
from optimizer.engine import Optimizer
from optimizer.errors import (
    AllCandidatesFailed,
    DeadlineExceeded,
    GatewayError,
    GatewayTimeout,
    LedgerUnavailable,
    LimitReached,
    NoEligibleCandidate,
    UnknownPrice,
)
from optimizer.gateway.wire import ChatCall, GatewayClient
from optimizer.ledger.reservations import Reservation
from optimizer.router.bill import cost_of_part, may_be_charged
from optimizer.router.call import Call
from optimizer.router.course import Stop
from optimizer.router.line import Line
from optimizer.router.reserve import NO_PRICE, Reserve, SkippedStop
from optimizer.selection import Selection

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0
PATIENCE_S = 2.0  # how long a gateway may ask us to wait while others could be asked instead,
LONG_PATIENCE_S = 30.0  # and where nobody else is left

T = TypeVar("T")
Part = tuple[Usage | None, int | None, CostSource]  # what an attempt came to that did not end well
Ask = Callable[[GatewayClient, ChatCall], Awaitable[T]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clocks:
    """How durations are measured, and how time is let pass; a simulation brings its own."""

    timer: Callable[[], float] = perf_counter
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def ms_since(self, started: float) -> float:
        """Return milliseconds since the timer showed `started`."""
        return (self.timer() - started) * 1e3


REAL = Clocks()


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt under way, and what must be given back after it."""

    stop: Stop
    number: int
    permit: Permit
    reservation: Reservation | None
    started: float


@dataclass(frozen=True, slots=True)
class Served(Generic[T]):
    """What an attempt was answered with."""

    value: T
    trial: Trial


class Attempts:
    """Makes the attempts of calls.

    Parameters
    ----------
    line : Line
        The gateways.
    uniform : callable
        Returns the next random number in [0, 1).
    clocks : Clocks
    """

    def __init__(
        self,
        optimizer: Optimizer,
        line: Line,
        estimator: TokenEstimator,
        uniform: Callable[[], float],
        clocks: Clocks,
    ) -> None:
        self._optimizer = optimizer
        self._line = line
        self._breakers = line.breakers
        self._estimator = estimator
        self._uniform = uniform
        self.clocks = clocks
        self.reserve = Reserve(optimizer, estimator)

    async def serve(self, call: Call, ask: Ask[T]) -> Served[T]:
        """Return what the first stop that answers answers.

        Raises
        ------
        AllCandidatesFailed
            If nobody does; lists every attempt.
        LimitReached
            If a spending limit leaves too little for whoever is left.
        DeadlineExceeded
            If the call's time is over.
        GatewayError
            Of the first candidate, where failover is switched off.
        """
        down: set[Gateway] = set()
        while (stop := self._next(call, down) or self._last_resort(call)) is not None:
            call.tried.add((stop.gateway, stop.model_id))
            try:
                return await self._at(stop, call, ask)
            except SkippedStop as skipped:
                call.skipped[stop.model_id] = skipped.reason
            except LimitReached as limit:
                self._limited(call, limit)
            except GatewayError as error:
                if not call.settings.flags.fallback:
                    raise
                if error.gateway_wide:
                    down.add(stop.gateway)
        raise self._nobody(call)

    def _next(self, call: Call, down: set[Gateway]) -> Stop | None:
        """Return the next stop that was not tried yet, or None."""

        def is_down(gateway: Gateway) -> bool:
            return gateway in down or gateway not in self._line.clients or not self._breakers.allows(gateway, "*")

        if call.tried and not call.settings.flags.fallback:
            return None
        return next((s for s in call.course.stops(is_down) if (s.gateway, s.model_id) not in call.tried), None)

    def _last_resort(self, call: Call) -> Stop | None:
        """Return the first stop once more where breakers alone have kept everybody away: it may answer yet."""
        if call.forced or call.errors or call.limit is not None or NO_PRICE in call.skipped.values():
            return None
        call.forced = True
        return next(call.course.stops(lambda gateway: gateway not in self._line.clients), None)

    def _limited(self, call: Call, limit: LimitReached) -> None:
        """Note a limit; the first time, whoever is cheaper is asked next."""
        if call.limit is None:
            call.course = call.course.cheaper(call.selection)
        call.limit = limit

    def _nobody(self, call: Call) -> Exception:
        """Return why nobody answered, and make sure that the ledger knows of the call."""
        self.keep(call, call.selection)
        if call.limit is not None:
            return call.limit
        if call.errors or not call.skipped:
            return AllCandidatesFailed(call.call_id, call.errors)
        if all(reason == NO_PRICE for reason in call.skipped.values()):
            return UnknownPrice(call.selection.use_case, call.skipped, "set prices, or routing.unknown_price: allow")
        return NoEligibleCandidate(call.selection.use_case, call.skipped, "try again in a while")

    async def _at(self, stop: Stop, call: Call, ask: Ask[T]) -> Served[T]:
        """Ask one stop, and again where that may help."""
        try:
            return await self._once(stop, call, ask)
        except GatewayError as error:
            if not error.retryable or call.settings.routing.retries < 1:
                raise
            failed = [error]
        return await self._again(stop, call, ask, failed)

    async def _again(self, stop: Stop, call: Call, ask: Ask[T], failed: list[GatewayError]) -> Served[T]:
        """Ask once more after a failure: exponential pauses, full jitter, no shorter than asked for."""
        alone = self._next(call, set()) is None

        def again(state: RetryCallState) -> bool:
            error = None if state.outcome is None else state.outcome.exception()
            if not isinstance(error, GatewayError) or not error.retryable:
                return False
            if error.gateway_wide and not alone:
                return False  # the other gateway is a better bet than the same door
            if isinstance(error, GatewayTimeout):
                return False  # it had its time
            return (error.retry_after_s or 0.0) <= (LONG_PATIENCE_S if alone else PATIENCE_S)

        def over(state: RetryCallState) -> bool:
            return state.attempt_number > call.settings.routing.retries or self._pause(state) >= call.left_s

        async def once() -> Served[T]:
            if failed:  # the first attempt is made already: most calls never come here, and are the quicker for it
                raise failed.pop()
            return await self._once(stop, call, ask)

        retrying = AsyncRetrying(sleep=self.clocks.sleep, stop=over, wait=self._pause, retry=again, reraise=True)
        return await retrying(once)

    def _pause(self, state: RetryCallState) -> float:
        error = None if state.outcome is None else state.outcome.exception()
        asked_for = error.retry_after_s if isinstance(error, GatewayError) else None
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (state.attempt_number - 1))
        return max(longest * self._uniform(), asked_for or 0.0)

    async def _once(self, stop: Stop, call: Call, ask: Ask[T]) -> Served[T]:
        left_s = call.left_s
        if left_s <= 0.0:
            self.keep(call, call.selection)
            raise DeadlineExceeded(call.call_id, call.deadline_s, call.errors)
        # Its breaker may have been opened by this very call's failures, with nobody else left.
        again = bool(call.errors) and self._next(call, set()) is None
        permit = self._breakers.acquire(stop.gateway, stop.model_id, forced=call.forced or again)
        if permit is None:
            raise SkippedStop(f"its breaker at {stop.gateway} is open")
        try:
            reservation, max_tokens = await self.reserve.reserved(stop, call)
        except BaseException:
            self._breakers.release(permit)
            raise
        self._keep_as_decided(call, stop)
        number, call.n_attempts = call.n_attempts, call.n_attempts + 1
        routing = call.settings.routing
        longest_s = routing.token_timeout_seconds if call.streamed else routing.attempt_timeout_seconds
        timeout_s = min(longest_s, left_s)
        trial = Trial(stop, number, permit, reservation, self.clocks.timer())
        try:
            async with asyncio.timeout(left_s):
                value = await ask(self._line.client(stop.gateway), self._chat_call(call, stop, max_tokens, timeout_s))
        except GatewayError as error:
            raise self.failed(call, trial, error) from None
        except TimeoutError:
            late = GatewayTimeout(gateway=stop.gateway, model_id=stop.model_id)
            raise self.failed(call, trial, late) from None
        except asyncio.CancelledError:
            self.broken_off(call, trial, 0)
            raise
        except BaseException:  # a body that is no JSON, for example: nothing was sent
            self._breakers.release(permit)
            self.reserve.settle(reservation, 0)
            raise
        return Served(value, trial)

    def _chat_call(self, call: Call, stop: Stop, max_tokens: int | None, timeout_s: float) -> ChatCall:
        target = self._line.target(stop.candidate)
        call.stand_ins = self._stand_ins(call, stop)
        return ChatCall(
            target,
            call.body,
            max_tokens,
            call.selection.decision.temperature if call.body.get("temperature") is None else None,
            timeout_s,
            call.call_id,
            {"use_case": call.selection.use_case},
            tuple(call.stand_ins),
        )

    def _stand_ins(self, call: Call, stop: Stop) -> dict[str, Candidate]:
        """Return the fallbacks that OpenRouter may put in by itself, by its own names, where the settings let it."""
        allowed = call.settings.openrouter_config.send_fallback_models and call.settings.flags.fallback
        if stop.gateway != "openrouter" or not allowed or call.selection.overridden_by == "pin":
            return {}
        there = (self._line.through(candidate, "openrouter") for candidate in call.fallbacks)
        return {self._line.target(candidate).wire_model: candidate for candidate in there if candidate is not None}

    # What came of it

    def failed(
        self,
        call: Call,
        trial: Trial,
        error: GatewayError,
        output_tokens: int = 0,
        ttft_ms: float | None = None,
    ) -> GatewayError:
        """Put down an attempt that failed, and return its error."""
        call.errors.append(error)
        self._breakers.failed(trial.permit, error)
        # An error's status says that nothing was generated, and nothing is charged.
        part: Part = (None, 0, "priced")
        if may_be_charged(error):
            part = self._part(call, trial.stop.candidate, output_tokens)
        self._put_down(call, trial, error.kind, part, error.status, ttft_ms)
        return error

    def broken_off(self, call: Call, trial: Trial, output_tokens: int, ttft_ms: float | None = None) -> None:
        """Put down an attempt whose caller went away, costed by what was sent and received until then."""
        self._breakers.release(trial.permit)
        part = self._part(call, trial.stop.candidate, output_tokens)
        self._put_down(call, trial, CANCELLED, part, None, ttft_ms)

    def _part(self, call: Call, candidate: Candidate, output_tokens: int) -> Part:
        input_tokens = call.estimate(self._estimator, candidate.model_id).mean
        return cost_of_part(candidate, input_tokens, output_tokens)

    def _put_down(
        self,
        call: Call,
        trial: Trial,
        kind: str,
        part: Part,
        status: int | None,
        ttft_ms: float | None,
    ) -> None:
        usage, cost, source = part
        attempt = Attempt(
            call.call_id,
            trial.stop.model_id,
            trial.stop.gateway,
            self._optimizer.clock(),
            number=trial.number,
            served=False,
            status=status,
            error_kind=kind,
            latency_ms=self.clocks.ms_since(trial.started),
            ttft_ms=ttft_ms,
            usage=usage,
            cost_nano_usd=cost,
            cost_source=source,
        )
        call.attempts.append(attempt)
        self.reserve.settle(trial.reservation, cost)
        try:
            self._optimizer.tell(attempt)
        except LedgerUnavailable as error:
            _log.warning("An attempt of call %s is not in the ledger: %s", call.call_id, error)

    # The choice in the ledger

    def _keep_as_decided(self, call: Call, stop: Stop) -> None:
        """Keep the choice before the first attempt: as it was made, or with the limit that stood in its way."""
        if call.kept:
            return
        selection = call.selection
        moved = call.limit is not None and stop.model_id != selection.model_id
        if moved and stop.model_id in selection.decision.by_model:
            selection = replace(selection, model_id=stop.model_id, overridden_by="cap")
        self.keep(call, selection)

    def keep(self, call: Call, selection: Selection) -> None:
        """Keep the choice, once."""
        if call.kept:
            return
        call.kept, call.selection = True, selection
        try:
            self._optimizer.keep(selection)
        except LedgerUnavailable as error:
            _log.warning("Call %s is not in the ledger: %s", call.call_id, error)
