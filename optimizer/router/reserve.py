"""What spending limits grant an attempt before it is made, and what is given back after."""

import asyncio

from optimizer.calling.tokens import TokenEstimator
from optimizer.decision.limits import Wanted
from optimizer.engine import Optimizer
from optimizer.ledger.reservations import Reservation
from optimizer.router.bill import affordable_tokens, worst_case
from optimizer.router.call import Call
from optimizer.router.course import Stop

NO_PRICE = "its price is unknown, and a limit is set"


class SkippedStop(Exception):
    """A stop that cannot be asked now; `reason` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Reserve:
    """Reserves the worst case of an attempt under every limit that it counts against, and settles the truth."""

    def __init__(self, optimizer: Optimizer, estimator: TokenEstimator) -> None:
        self._purse = optimizer.purse
        self._estimator = estimator

    async def reserved(self, stop: Stop, call: Call) -> tuple[Reservation | None, int | None]:
        """Return what a limit grants, if there is any, and the completion tokens to ask for."""
        candidate, high = stop.candidate, call.estimate(self._estimator, stop.model_id).high
        max_tokens = call.max_tokens(candidate, high)
        if not self._purse.limits(call.spends_for, call.selection.request.tenant):
            return None, max_tokens
        n, least = call.asked.n_choices, call.settings.routing.min_output_tokens
        worst = worst_case(candidate, high, max_tokens, least_tokens=least, n_choices=n)
        if worst is None:
            if call.settings.routing.unknown_price == "refuse":
                raise SkippedStop(NO_PRICE)
            return None, max_tokens
        wanted = Wanted(worst.most_nano_usd, worst.least_nano_usd, call.spends_for, call.selection.request.tenant)
        reservation = await self._granted(wanted)
        if reservation.granted_nano_usd >= worst.most_nano_usd:
            return reservation, worst.max_tokens
        return reservation, max(affordable_tokens(candidate, high, reservation.granted_nano_usd, n), 1)

    async def _granted(self, wanted: Wanted) -> Reservation:
        """Reserve; whoever is cancelled meanwhile gives back what is granted after all."""
        future = self._purse.reserve(wanted)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self._purse.abandon(future)
            raise

    def settle(self, reservation: Reservation | None, cost_nano_usd: int | None) -> None:
        """Replace what was reserved by what was spent; unknown spends all of it."""
        if reservation is not None:
            self._purse.settle(reservation, cost_nano_usd)
