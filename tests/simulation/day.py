"""Small simulated days of the built-in use cases, on a date when every candidate is served."""

from datetime import UTC, datetime, timedelta

from optimizer.catalog import load_catalog
from optimizer.routes import effective_routes
from optimizer.settings import load_settings
from optimizer.simulation.events import with_gates
from optimizer.simulation.world import World

START = datetime(2026, 11, 25, tzinfo=UTC)
CATALOG = load_catalog()
SETTINGS = with_gates(load_settings(None, {}))
ROUTES = effective_routes(SETTINGS, CATALOG, START)


def a_day(seed: int, n_calls: int) -> World:
    return World.day(seed, start=START, n_calls=n_calls, routes=ROUTES, catalog=CATALOG)


def clock(hour: float) -> datetime:
    return START + timedelta(hours=hour)
