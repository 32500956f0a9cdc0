"""`GET /metrics`: what all workers of this service have counted, in Prometheus's words.

Several workers count in files of a folder that they share (prometheus_client's multiprocess mode), and whichever is
asked adds them up. What a worker that died had counted stays counted; what it showed of itself goes.
"""

import os
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from optimizer.service.security import Caller, needs
from optimizer.service.state import ServiceOf
from optimizer.telemetry import REFRESHED, process_instruments

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
LAG = "llm_refresh_lag_seconds"

router = APIRouter()


@router.get("/metrics", include_in_schema=False)  # it speaks Prometheus's words, not those of an API
def metrics(request: Request, service: ServiceOf, _: Annotated[Caller, Depends(needs("read"))]) -> Response:
    """Return what was counted, as text; 404 where LLM_MONITORING_ENABLED is false."""
    optimizer = service.optimizer
    if not optimizer.settings.flags.monitoring or process_instruments() is None:
        raise HTTPException(404)
    text, content_type = exposition(request.headers.get("accept", ""), optimizer.clock())
    return Response(text, media_type=content_type)


def exposition(accept: str, now: datetime) -> tuple[bytes, str]:
    """Return what this process, or all that share its folder, have counted, and the content type that it is in.

    Parameters
    ----------
    accept : str
        The header by which the asker says what it can read.
    """
    from prometheus_client.exposition import choose_encoder

    encode, content_type = choose_encoder(accept)
    collecting: Any = _WithLag(_registry(), now)  # all that it is asked for is to collect
    return encode(collecting), content_type


@contextmanager
def shared_by_workers(environ: MutableMapping[str, str]) -> Iterator[None]:
    """Let the processes that are started meanwhile, with this environment, count together; a folder of ours goes after.

    Those processes must be new ones: prometheus_client looks at the environment once, when it is first imported.
    """
    if environ.get(FOLDER):  # whoever runs us has made one
        yield
        return
    with tempfile.TemporaryDirectory(prefix="optimizer-metrics-", ignore_cleanup_errors=True) as folder:
        environ[FOLDER] = folder
        try:
            yield
        finally:
            del environ[FOLDER]


def forget_dead(folder: Path) -> None:
    """Remove what workers that are gone showed of themselves; what they counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    shown = (path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*_*.db"))
    for pid in {int(pid) for pid in shown if pid.isdecimal()}:
        if not _lives(pid):
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


class _WithLag:
    """What a registry has, and how long ago evidence was last read, which only the asking can tell."""

    def __init__(self, registry: Any, now: datetime) -> None:  # noqa: ANN401 - of an optional dependency
        self._registry = registry
        self._now = now

    def collect(self) -> Iterator[Any]:
        """Yield every metric."""
        from prometheus_client.core import GaugeMetricFamily

        for metric in self._registry.collect():
            yield metric
            if metric.name == REFRESHED and metric.samples:
                lag_s = self._now.timestamp() - metric.samples[0].value
                yield GaugeMetricFamily(LAG, "Age of the evidence of the worker that is furthest behind.", lag_s)


def _registry() -> Any:  # noqa: ANN401 - of an optional dependency
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    folder = os.environ.get(FOLDER)
    if not folder:
        return REGISTRY
    forget_dead(Path(folder))
    together = CollectorRegistry()
    MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]
    return together


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
