"""How a served call ends: its attempt put down and paid, what it teaches about tokens, ratings that come for free."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from optimizer.calling.breaker import Breakers
from optimizer.calling.checks import free_ratings
from optimizer.calling.tokens import TokenEstimator, estimate_output
from optimizer.domain import Attempt, CostSource, Feedback, Usage
from optimizer.engine import Optimizer
from optimizer.engine.outcome import cost_of
from optimizer.errors import LedgerUnavailable
from optimizer.gateway.wire import ChatReply
from optimizer.ledger.receipt import Receipt
from optimizer.router.attempts import Attempts, Served
from optimizer.router.bill import cost_of_part
from optimizer.router.call import Call
from optimizer.router.course import Stop
from optimizer.router.reply import Reply
from optimizer.router.streaming import OpenStream

RATER = "check"  # of ratings that come for free

_log = logging.getLogger(__name__)


class Ending:
    """Puts down what a call that was served came to."""

    def __init__(self, optimizer: Optimizer, attempts: Attempts, breakers: Breakers, estimator: TokenEstimator) -> None:
        self._optimizer = optimizer
        self._attempts = attempts
        self._breakers = breakers
        self._estimator = estimator

    def whole(
        self, call: Call, served: Served[Any], reply: ChatReply, ttft_ms: float | None = None
    ) -> tuple[Reply, Receipt | None]:
        """Return the caller's reply, and the receipt of what was put down; None where the ledger is away."""
        stop = self._who_served(call, served.trial.stop, reply.model)
        self._breakers.succeeded(served.trial.permit)
        if reply.usage is not None and stop is served.trial.stop:
            self._estimator.learn(stop.model_id, call.features, reply.usage.input_tokens)
        usage, cost, source = self._bill(call, stop, reply)
        at = self._optimizer.clock()
        attempt = Attempt(
            call.call_id,
            stop.model_id,
            stop.gateway,
            at,
            number=served.trial.number,
            status=reply.status,
            provider=reply.provider,
            model_version=reply.model,
            latency_ms=self._attempts.clocks.ms_since(served.trial.started),
            ttft_ms=ttft_ms,
            usage=usage,
            cost_nano_usd=cost,
            cost_source=source,
        )
        call.attempts.append(attempt)
        self._attempts.reserve.settle(served.trial.reservation, cost)
        receipt = self._told(call, attempt, *self._free(call, reply.body, at))
        body = reply.body if call.restoration is None else call.restoration.restore_body(reply.body)
        latency_ms = self._attempts.clocks.ms_since(call.started)
        degraded_by = _degraded_by(call, stop)
        return Reply(body, call.selection, tuple(call.attempts), latency_ms, ttft_ms, degraded_by), receipt

    def begun(self, call: Call, served: Served[OpenStream]) -> tuple[str, str | None]:
        """Return which model serves a stream that has begun, and whether as a fallback."""
        named = next((chunk.model for chunk in served.value.first if chunk.model), None)
        stop = self._who_served(call, served.trial.stop, named)
        return stop.model_id, _degraded_by(call, stop)

    def _bill(self, call: Call, stop: Stop, reply: ChatReply) -> tuple[Usage | None, int | None, CostSource]:
        """Return usage and cost; where the reply does not say, both are estimated, and marked so."""
        if reply.usage is not None or reply.cost_usd is not None:
            return reply.usage, *cost_of(stop.candidate, reply.usage, reply.cost_usd)
        input_tokens = call.estimate(self._estimator, stop.model_id).mean
        return cost_of_part(stop.candidate, input_tokens, estimate_output(reply.content))

    @staticmethod
    def _who_served(call: Call, stop: Stop, model: str | None) -> Stop:
        """Return the stop that really served: a gateway that failed over by itself says to whom."""
        stand_in = call.stand_ins.get(model or "")
        return stop if stand_in is None else Stop(stand_in, "fallback_model")

    def _free(self, call: Call, body: Mapping[str, Any], at: datetime) -> list[Feedback]:
        """Return the checks' ratings: those that the use case names, and of the others those that went wrong."""
        route = self._optimizer.routes.by_use_case.get(call.selection.use_case)
        if route is None:
            return []  # a judge's call
        named = route.settings.metrics.names
        return [
            Feedback(call.call_id, metric, RATER, value, at)
            for metric, value in free_ratings(call.body, body).items()
            if metric in named or value < 0.5
        ]

    def _told(self, call: Call, *facts: Attempt | Feedback) -> Receipt | None:
        try:
            return self._optimizer.tell(*facts)
        except LedgerUnavailable as error:
            _log.warning("What call %s came to is not in the ledger: %s", call.call_id, error)
            return None


def _degraded_by(call: Call, stop: Stop) -> str | None:
    if call.selection.overridden_by == "cap":
        return "cap"
    if stop.reason != "chosen":
        return stop.reason
    return "lowered_floor" if getattr(call.selection.decision, "lowered", False) else None
