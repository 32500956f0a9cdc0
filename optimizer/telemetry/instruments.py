"""The instruments of `prometheus_client`, made once per process; without that package there are none."""

import logging
from functools import cache
from typing import Any

REFRESHED = "llm_refresh_timestamp_seconds"
_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0, 120.0)
_TENTHS = tuple(tenth / 10 for tenth in range(11))
_SHARES = (0.001, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)

_log = logging.getLogger(__name__)


class Instruments:
    """What is counted, in one registry of `prometheus_client`; made once per process by `process_instruments`."""

    def __init__(self, registry: Any) -> None:  # noqa: ANN401 - of an optional dependency
        from prometheus_client import Counter, Gauge, Histogram

        asked, served, whose = ("provider", "model"), ("provider", "model", "use_case"), ("use_case",)

        def counter(name: str, says: str, labels: tuple[str, ...]) -> Counter:
            return Counter(name, says, labels, registry=registry)

        def gauge(name: str, says: str, labels: tuple[str, ...], mode: Any) -> Gauge:  # noqa: ANN401 - a word of theirs
            return Gauge(name, says, labels, registry=registry, multiprocess_mode=mode)

        def histogram(name: str, says: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, says, labels, registry=registry, buckets=buckets)

        self.requests = counter("llm_requests_total", "Attempts at calls, failed ones too.", served)
        self.duration = histogram("llm_request_duration_seconds", "Time to the last token.", asked, _SECONDS)
        self.ttft = histogram("llm_time_to_first_token_seconds", "Time to the first token.", asked, _SECONDS)
        self.tokens = counter("llm_tokens_used_total", "Tokens; input includes cached.", (*asked, "type"))
        self.errors = counter("llm_errors_total", "Attempts that failed, by kind.", (*asked, "error_type"))
        self.cost = counter("llm_cost_usd_total", "Dollars, where known or estimated.", asked)
        self.unknown_cost = counter("llm_unknown_cost_total", "Attempts whose cost is unknown.", asked)
        self.calls = counter("llm_calls_total", "Calls decided, by what overrode the draw.", (*whose, "overridden_by"))
        self.reused = counter("llm_reused_replies_total", "Replies that were another call's.", (*whose, "reused"))
        self.propensity = histogram("llm_propensity", "Chance of the model drawn.", whose, _SHARES)
        self.ratings = counter("llm_ratings_total", "Ratings, repeats too.", (*whose, "metric", "rater"))
        self.quality = histogram("llm_quality", "Ratings of the quality metric.", (*whose, "model"), _TENTHS)
        self.price = gauge("llm_lambda", "Quality that a dollar must buy (λ).", whose, "livemostrecent")
        self.used = gauge("llm_budget_used_usd", "Spent in the present window.", ("limit", "window"), "livemostrecent")
        self.left = gauge("llm_budget_left_usd", "Left in the present window.", ("limit", "window"), "livemostrecent")
        self.breaker = gauge("llm_breaker_state", "0 closed, 1 half open, 2 open.", asked, "livemostrecent")
        self.journal = gauge("llm_journal_length", "Records in the journal, not in the database yet.", (), "livesum")
        # The oldest of all workers; how long ago that is, is worked out when it is asked for.
        self.refreshed = gauge(REFRESHED, "When evidence was last read.", (), "livemin")


@cache
def process_instruments() -> Instruments | None:
    """Return this process's instruments, in the default registry; None where they cannot be had."""
    try:
        from prometheus_client import REGISTRY
    except ImportError:
        return None
    try:
        return Instruments(REGISTRY)
    except (ValueError, OSError) as error:  # names that the application has taken, or no folder to share
        _log.warning("There are no metrics: %s", error)
        return None
