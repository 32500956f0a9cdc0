"""The line to the gateways: clients of one event loop, breakers over them, health checks, and keys that may change."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping

from optimizer.calling.breaker import BreakerChange, Breakers
from optimizer.calling.health import HealthChecker
from optimizer.catalog import Catalog
from optimizer.domain import Candidate, Gateway
from optimizer.engine import Optimizer
from optimizer.errors import GatewayError, LedgerError, NoGateway, OptimizerError
from optimizer.gateway.opening import open_gateways, target_of, use_settings
from optimizer.gateway.portkey import PortkeyClient
from optimizer.gateway.wire import GatewayClient, Target
from optimizer.ledger.health import BreakerState, read_health
from optimizer.routes import Routes
from optimizer.settings import Settings

_log = logging.getLogger(__name__)


class Line:
    """Gateways as one event loop reaches them; `open` it there, `close` it there.

    Parameters
    ----------
    rng : random.Random
        Spreads the health checks.
    """

    def __init__(self, optimizer: Optimizer, rng: random.Random) -> None:
        self._optimizer = optimizer
        self._rng = random.Random(rng.random())  # noqa: S311 - its own: when checks happen changes nothing else
        self._settings = optimizer.settings
        self.breakers = Breakers(self._settings.routing.health_checks, optimizer.clock, self._changed)
        self.clients: Mapping[Gateway, GatewayClient] = {}
        self._left: list[tuple[Gateway, GatewayClient]] = []  # not used any more; calls may be under way there
        self._unfollow: Callable[[], None] | None = None
        self._checker: HealthChecker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._routes: Routes | None = None
        self._targets: dict[tuple[str, Gateway], Target] = {}
        self._candidates: dict[tuple[str, Gateway], Candidate | None] = {}

    async def open(self) -> None:
        """Open clients and health checks in the running loop, unless they are open there already."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            if self._settings is not self._optimizer.settings:
                await self._use(self._optimizer.settings)
            return
        if self._loop is not None and not self._loop.is_closed():
            raise OptimizerError("this router is in use by another event loop; open one for each, or a SyncRouter")
        self._settings = self._optimizer.settings
        self.clients = open_gateways(self._settings)
        if not self.clients:
            raise NoGateway
        self._loop = loop
        self.breakers.use(self._settings.routing.health_checks)
        self._unfollow = self._optimizer.follow(self._adopt)
        self._adopt_quietly()
        self._checker = self._started_checker()

    async def _use(self, settings: Settings) -> None:
        """Go by other settings: their keys, addresses and gateways count at once, calls under way end as they began."""
        self._settings = settings
        clients = use_settings(self.clients, settings)
        self._left += [(name, client) for name, client in self.clients.items() if name not in clients]
        self.clients = clients
        self.breakers.use(settings.routing.health_checks)
        checker, self._checker = self._checker, self._started_checker()
        if checker is not None:
            await checker.stop()

    def _started_checker(self) -> HealthChecker:
        checks = self._settings.routing.health_checks
        checker = HealthChecker(
            self._check, tuple(self.clients), settings=checks, breakers=self.breakers, rng=self._rng
        )
        checker.start()
        return checker

    def client(self, gateway: Gateway) -> GatewayClient:
        """Return the client of a gateway, also of one that a reload took away while a call was under way there."""
        left = dict(self._left)
        return self.clients[gateway] if gateway in self.clients else left[gateway]

    async def close(self) -> None:
        """End health checks and close connections."""
        checker, self._checker = self._checker, None
        clients, self.clients = self.clients, {}
        self._loop = None
        if self._unfollow is not None:
            self._unfollow()
        if checker is not None:
            await checker.stop()
        left, self._left = self._left, []
        for client in (*clients.values(), *(client for _, client in left)):
            await client.aclose()

    async def send_feedback(self, call_id: str, value: float) -> None:
        """Tell Portkey of a rating, where the settings ask for it; one that cannot be told is only logged."""
        client = self.clients.get("portkey")
        if isinstance(client, PortkeyClient) and client.takes_feedback:
            try:
                await client.send_feedback(call_id, value)
            except GatewayError as error:
                _log.warning("Portkey was not told of a rating of call %s: %s", call_id, error)

    async def _check(self, gateway: str, timeout_s: float) -> None:
        client = self.clients.get(gateway)  # type: ignore[call-overload]
        if client is not None:
            await client.check(timeout_s)

    def _changed(self, change: BreakerChange) -> None:
        try:
            self._optimizer.tell(BreakerState(**{name: getattr(change, name) for name in change.__slots__}))
        except LedgerError as error:
            _log.warning("A breaker's state is not in the ledger: %s", error)

    def _adopt(self) -> None:
        """Take over which breakers other processes found open; for any thread."""
        states = read_health(self._optimizer.database)
        self.breakers.adopt(
            BreakerChange(*(getattr(state, name) for name in BreakerChange.__slots__)) for state in states
        )

    def _adopt_quietly(self) -> None:
        try:
            self._adopt()
        except LedgerError as error:
            _log.warning("Which gateways are in trouble is found out anew: %s", error)

    # Addresses, looked up once per set of routes

    def target(self, candidate: Candidate) -> Target:
        """Return how a candidate's gateway addresses it."""
        self._forget_old()
        key = candidate.model_id, candidate.gateway
        if key not in self._targets:
            self._targets[key] = target_of(self._catalog, self._optimizer.settings, candidate)
        return self._targets[key]

    def through(self, candidate: Candidate, gateway: Gateway) -> Candidate | None:
        """Return the same model through a gateway, at its price there; None where it is not offered."""
        if candidate.gateway == gateway:
            return candidate
        self._forget_old()
        key = candidate.model_id, gateway
        if key not in self._candidates:
            model = self._catalog[candidate.model_id]
            offered = gateway in self.clients and model.offered_by(gateway)
            at = self._optimizer.clock()
            self._candidates[key] = self._catalog.candidate(model.key, gateway, at) if offered else None
        return self._candidates[key]

    def candidate(self, model_id: str) -> Candidate:
        """Return a model through the first gateway that offers it."""
        at, model = self._optimizer.clock(), self._catalog[model_id]
        gateway = next((each for each in self.clients if model.offered_by(each)), self._optimizer.settings.gateways[0])
        return self._catalog.candidate(model_id, gateway, at)

    def troubled(self, candidates: Iterable[Candidate]) -> dict[str, str]:
        """Return model → why it is left out of a choice: breakers are open at every gateway that could serve it."""
        found: dict[str, str] = {}
        for each in candidates:
            if not self.breakers.allows(each.gateway, each.model_id):
                gateways = (each.gateway, *(other.gateway for other in self.elsewhere(each)))
                found |= self.breakers.open_models(gateways, (each.model_id,))
        return found

    def elsewhere(self, candidate: Candidate) -> tuple[Candidate, ...]:
        """Return the same model through the settings' other gateways, in order of preference."""
        others = [each for each in self._optimizer.settings.gateways if each != candidate.gateway]
        return tuple(other for each in others if (other := self.through(candidate, each)) is not None)

    @property
    def _catalog(self) -> Catalog:
        return self._optimizer.catalog

    def _forget_old(self) -> None:
        if self._routes is not self._optimizer.routes:  # prices may have changed
            self._routes = self._optimizer.routes
            self._targets, self._candidates = {}, {}
