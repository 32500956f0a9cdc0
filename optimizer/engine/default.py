"""The default optimizer: opened at the first call from the environment, closed at exit."""

import atexit
import threading
from typing import Any

from optimizer.engine.optimizer import Optimizer
from optimizer.selection import Selection

_lock = threading.Lock()
_default: list[Optimizer] = []


def default_optimizer() -> Optimizer:
    """Return the process's own optimizer: the built-in use cases, DATABASE_URL or `optimizer.db` here."""
    with _lock:
        if not _default:
            _default.append(Optimizer.open())
            atexit.register(close_default)
        return _default[0]


def close_default() -> None:
    """Close the default optimizer, if one is open; the next call opens another."""
    with _lock:
        while _default:
            _default.pop().close()


def select_optimal_model(
    use_case: str,
    context_length: int = 0,
    required_quality: float | str | None = None,
    **more: Any,  # noqa: ANN401 - the method's own keywords, which it checks
) -> Selection:
    """Choose the model for one call with the default optimizer; see `Optimizer.select_optimal_model`.

    Record what came of it and rate it with `default_optimizer()`, or open an `Optimizer` of your own.
    """
    return default_optimizer().select_optimal_model(use_case, context_length, required_quality, **more)
