"""Looks for drift as evidence comes in, keeps the alarms in force, and tells people once."""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime

import numpy as np

from optimizer.decision.belief import FloatArray
from optimizer.decision.drift import SCANNED_S, Alarm, Buckets, alarms_in, subject_of
from optimizer.decision.evidence import QUALITY, QUALITY_UNIT, EvidenceKey, Sums
from optimizer.ledger.alarms import raise_alarms, read_alarms
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import EvidenceReader
from optimizer.routes import Routes

_log = logging.getLogger(__name__)


class Drift:
    """The alarms that one process knows of; whatever worker finds one writes it for all.

    Attributes
    ----------
    alarms : tuple of Alarm
        Replaced, never changed in place.
    """

    def __init__(self, database: Database, reader: EvidenceReader) -> None:
        self.alarms: tuple[Alarm, ...] = ()
        self._database = database
        self._reader = reader
        self._watch: Watch | None = None
        self._qualities: dict[str, str] = {}

    def read(self) -> bool:
        """Read the alarms anew; return whether there are others than before."""
        before, self.alarms = self.alarms, tuple(raised.alarm for raised in read_alarms(self._database))
        return self.alarms != before

    def look(self, routes: Routes, now: datetime) -> bool:
        """Look at the evidence that the reader has just read; return whether there are new alarms."""
        news = self.read()
        found = self._watched(routes, int(now.timestamp())).alarms(self.alarms, int(now.timestamp()))
        if not found:
            return news
        for alarm in raise_alarms(self._database, found, now):
            since = f"{datetime.fromtimestamp(alarm.since_s, now.tzinfo):%Y-%m-%d %H:%M %Z}"
            _log.warning("Drift: %s, since %s; what was seen before that weighs less from now on", alarm, since)
        return self.read() or news

    def _watched(self, routes: Routes, now_s: int) -> "Watch":
        """Return the buckets with what has changed in them; of everything, where the reader has read everything."""
        qualities = {name: route.settings.metrics.quality for name, route in routes.by_use_case.items()}
        changed = self._reader.changed
        if self._watch is None or changed is None or qualities != self._qualities:
            self._watch, self._qualities, changed = Watch(qualities), qualities, self._reader.rows
        self._watch.take(changed, now_s)
        return self._watch


class Watch:
    """The buckets of the last two weeks as arrays, changed where rows of evidence change.

    Parameters
    ----------
    qualities : mapping of str to str
        Use case → the metric that is its quality; they are looked at together, whatever their names.
    """

    def __init__(self, qualities: Mapping[str, str]) -> None:
        self._measures = {use_case: QUALITY + metric for use_case, metric in qualities.items()}
        self._cells: dict[tuple[str, str], int] = {}
        self._models: dict[str, int] = {}
        self._slabs: dict[str, dict[int, FloatArray]] = {}  # measure → bucket's start → n, total, square by cell, model

    def take(self, rows: Mapping[EvidenceKey, Sums], now_s: int) -> None:
        """Put rows of evidence in the place of what was known of their keys."""
        for key, (n, total, square) in rows.items():
            subject = subject_of(key.measure)
            if subject is None or key.use_case not in self._measures or key.bucket_start_s < now_s - SCANNED_S:
                continue
            cell = self._cells.setdefault((key.use_case, key.segment), len(self._cells))
            model = self._models.setdefault(key.model_id, len(self._models))
            slabs = self._slabs.setdefault(self._name(key), {})
            slab = slabs.get(key.bucket_start_s)
            if slab is None or cell >= slab.shape[1] or model >= slab.shape[2]:
                slab = slabs[key.bucket_start_s] = self._fitting(slab)
            unit = 1 if subject == "failure" else QUALITY_UNIT
            slab[:, cell, model] = n, total / unit, square / unit**2

    def alarms(self, known: Iterable[Alarm], now_s: int) -> list[Alarm]:
        """Return what is new; what is too old to be looked at is forgotten."""
        return alarms_in(self.measures(now_s), self.models, known)

    @property
    def models(self) -> tuple[str, ...]:
        """The model axis of the measures."""
        return tuple(self._models)

    def measures(self, now_s: int) -> dict[str, Buckets]:
        """Return the buckets of each measure that drift shows in, by the measure's name."""
        return {name: self._buckets(slabs, now_s) for name, slabs in self._slabs.items()}

    def _name(self, key: EvidenceKey) -> str:
        return QUALITY if key.measure == self._measures[key.use_case] else key.measure

    def _fitting(self, slab: FloatArray | None) -> FloatArray:
        """Return the slab with room for all cells and models met so far."""
        room = np.zeros((3, len(self._cells), len(self._models)))
        if slab is not None:
            room[:, : slab.shape[1], : slab.shape[2]] = slab
        return room

    def _buckets(self, slabs: dict[int, FloatArray], now_s: int) -> Buckets:
        for start_s in [start_s for start_s in slabs if start_s < now_s - SCANNED_S]:
            del slabs[start_s]
        starts = sorted(slabs)
        shape = len(self._cells), len(self._models)
        for start_s in starts:
            if slabs[start_s].shape[1:] != shape:
                slabs[start_s] = self._fitting(slabs[start_s])
        sums = np.empty((3, len(starts), *shape))
        for at, start_s in enumerate(starts):
            sums[:, at] = slabs[start_s]
        return Buckets(np.array(starts, dtype=np.int64), *sums)
