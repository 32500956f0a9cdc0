"""What happens on a simulated day: a price cut at noon, two bad times, and a model that silently gets worse at six.

A catalogue and settings that know of the day are made here; nobody is told of the other two.
"""

from datetime import date, datetime, timedelta

from optimizer.catalog import Catalog, PriceChange
from optimizer.domain import Gateway, Price
from optimizer.settings import Settings
from optimizer.simulation.raters import GATE

CHEAPER, CHEAPER_FROM, CHEAPER_BY = "gemini-3.7-flash", timedelta(hours=12), 0.6
SHAKY, SHAKY_RATE = "gemini-3.1-flash-lite", 0.45
SHAKY_FROM, SHAKY_UNTIL = timedelta(hours=14, minutes=30), timedelta(hours=15)
LOCKED: Gateway = "portkey"  # plays its part where calls go through gateways
LOCKED_FROM, LOCKED_UNTIL = timedelta(hours=16), timedelta(hours=16, minutes=15)
WORSE, WORSE_FROM, WORSE_BY = "gpt-5.6-luna", timedelta(hours=18), 2.0  # on the scale of ability

# What is told to whoever watches the day, when it happens.
EVENTS = (
    (
        timedelta(),
        "a SIMULATED day begins: calls go over HTTP to a fake gateway on this machine; nothing leaves it or is spent",
    ),
    (CHEAPER_FROM, f"{CHEAPER} gets {CHEAPER_BY:.0%} cheaper, as the catalogue says"),
    (SHAKY_FROM, f"{SHAKY} fails on {SHAKY_RATE:.0%} of its calls for half an hour; nobody is told"),
    (LOCKED_FROM, f"{LOCKED} refuses our key for a quarter of an hour; the router is on its own"),
    (WORSE_FROM, f"{WORSE} gets worse; nobody is told"),
)

GATED = ("business_analytics", "quick_responses", "code_generation")


def with_price_cut(catalog: Catalog, start: datetime) -> Catalog:
    """Return the catalogue with the cut: from noon on `CHEAPER` loses the share `CHEAPER_BY` of its vendor's price."""
    if CHEAPER not in catalog:
        return catalog
    today, tomorrow = start.date(), (start + timedelta(days=1)).date()
    before = catalog.price(CHEAPER, "direct", start)
    noon = int(CHEAPER_FROM.total_seconds()) // 3_600
    earlier = tuple(c for c in catalog.changes.get(CHEAPER, ()) if (c.valid_from or date.min) < today)
    ours = (
        _change(catalog, before, 1.0, (today, tomorrow), f"list: Mon-Sun 00-{noon:02} UTC"),
        _change(catalog, before, 1.0 - CHEAPER_BY, (today, tomorrow), f"cut: Mon-Sun {noon:02}-24 UTC"),
        _change(catalog, before, 1.0 - CHEAPER_BY, (tomorrow, None), None),
    )
    return Catalog(catalog.models, {**catalog.changes, CHEAPER: earlier + ours}, catalog.figures)


def with_gates(settings: Settings) -> Settings:
    """Return settings whose use cases with structured replies also take `valid_schema`, as a gate."""
    use_cases = dict(settings.use_cases)
    for name in GATED:
        if name in use_cases and GATE not in use_cases[name].metrics.names:
            metrics = use_cases[name].metrics
            gated = metrics.model_copy(update={"gates": (*metrics.gates, GATE)})
            use_cases[name] = use_cases[name].model_copy(update={"metrics": gated})
    return settings.model_copy(update={"use_cases": use_cases})


def _change(
    catalog: Catalog, price: Price, factor: float, dates: tuple[date, date | None], condition: str | None
) -> PriceChange:
    """Return a dated price as a line of `price_changes.csv` would give it."""
    model = catalog[CHEAPER]
    dollars = {
        "input_usd_per_mtok": price.input_usd_per_mtok,
        "output_usd_per_mtok": price.output_usd_per_mtok,
        "cached_input_usd_per_mtok": price.cached_usd_per_mtok,
        "long_input_usd_per_mtok": price.long_input_usd_per_mtok,
        "long_output_usd_per_mtok": price.long_output_usd_per_mtok,
    }
    cells = {
        "key": CHEAPER,
        "portkey_provider": model.portkey_provider,
        "portkey_model": model.portkey_model,
        "valid_from": dates[0].isoformat(),
        "valid_until": dates[1].isoformat() if dates[1] else "",
        "condition": condition or "",
        "long_context_over_tokens": str(price.long_over_tokens or ""),
        "confidence": "confirmed",
        "note": "simulated",
        **{name: "" if usd is None else repr(round(usd * factor, 9)) for name, usd in dollars.items()},
    }
    return PriceChange.model_validate(cells)
