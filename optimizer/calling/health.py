"""Background health checks: every gateway is asked now and then whether it answers, and its breaker is told."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence

from optimizer.calling.breaker import Breakers
from optimizer.errors import GatewayError
from optimizer.settings import HealthChecks

JITTER = 0.2  # of the interval, so that many workers do not all ask at once

_log = logging.getLogger(__name__)


class HealthChecker:
    """Asks gateways in the background, from `start` until `stop`; of one event loop.

    As many failures in a row as the threshold says open the gateway's breaker, one answer closes it, unless keys
    were refused: a check may be answered without one.

    Parameters
    ----------
    check : callable
        Asks one gateway, with a timeout in seconds; raises where it does not answer.
    rng : random.Random
        Spreads the checks.
    """

    def __init__(
        self,
        check: Callable[[str, float], Awaitable[None]],
        gateways: Sequence[str],
        *,
        settings: HealthChecks,
        breakers: Breakers,
        rng: random.Random,
    ) -> None:
        self._check = check
        self._gateways = tuple(gateways)
        self._settings = settings
        self._breakers = breakers
        self._rng = rng
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    def start(self) -> None:
        """Begin, if it has not begun yet: each gateway is asked after one interval, and then again and again."""
        if not self._tasks:
            self._tasks = tuple(asyncio.create_task(self._keep_asking(gateway)) for gateway in self._gateways)

    async def stop(self) -> None:
        """End, a check under way too."""
        tasks, self._tasks = self._tasks, ()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def ask_once(self, gateway: str) -> None:
        """Ask one gateway now, and tell its breaker; raises nothing."""
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                await self._check(gateway, self._settings.timeout_seconds)
        except GatewayError as error:
            self._breakers.check_failed(gateway, error.kind)
        except TimeoutError:
            self._breakers.check_failed(gateway, "timeout")
        except Exception as error:  # noqa: BLE001 - checks go on, whatever a client has not foreseen
            _log.warning("The health check of %s failed unexpectedly: %s", gateway, type(error).__name__)
            self._breakers.check_failed(gateway, "unreachable")
        else:
            self._breakers.check_succeeded(gateway)

    async def _keep_asking(self, gateway: str) -> None:
        while True:
            spread = JITTER * (2.0 * self._rng.random() - 1.0)
            await asyncio.sleep(self._settings.interval_seconds * (1.0 + spread))
            await self.ask_once(gateway)
