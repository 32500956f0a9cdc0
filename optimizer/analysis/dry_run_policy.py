"""What another policy would have drawn each logged call from: by name, or by the production decision code.

The latter decides every block of an hour anew on the evidence of buckets that had ended when the block began, so no
call's distribution hangs on what came of it or of later ones. A rating counts with its call, however late it came.
Candidates are those that were eligible at the time; limits of spending are left aside.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from optimizer.analysis.dry_run_log import UseCaseLog
from optimizer.catalog import Catalog
from optimizer.decision.belief import FloatArray
from optimizer.decision.evidence import EvidenceKey, Sums, bin_tokens, length_bin
from optimizer.domain import Objective, Request
from optimizer.engine.deciding import Versions, make_decision
from optimizer.engine.snapshot import Snapshot, make_snapshot
from optimizer.errors import InvalidRequest, NoEligibleCandidate
from optimizer.ledger.alarms import RaisedAlarm, read_alarms
from optimizer.ledger.calls import StoredCall
from optimizer.ledger.database import Database
from optimizer.ledger.evidence import EvidenceReader
from optimizer.ledger.prices import read_prices
from optimizer.routes import Routes, effective_routes
from optimizer.selection import Selection
from optimizer.settings import Settings

FIXED, CONFIGURED, LOGGED, INCUMBENT, RANDOM = "fixed:", "configured", "logged", "incumbent", "random"
NAMES = (LOGGED, INCUMBENT, RANDOM, CONFIGURED)

Policy = Callable[[Selection], Mapping[str, float]]


def check_policy(name: str) -> str:
    """Return the name of a policy as it is written, an objective as `Objective` writes it; or say which there are."""
    if name in NAMES or (name.startswith(FIXED) and name != FIXED):
        return name
    try:
        return str(Objective.parse(name))
    except InvalidRequest:
        known = f"{', '.join(NAMES)}, {FIXED}<model>"
        raise InvalidRequest(
            "policy", f"{name!r} is none of {known}, nor an objective such as average:95% or floor:0.9"
        ) from None


def is_decided(name: str) -> bool:
    """Return whether the production code decides for a policy, rather than a rule of one line."""
    return name == CONFIGURED or not (name in NAMES or name.startswith(FIXED))


def simple(name: str) -> Policy:
    """Return a policy of one line: as logged, one model, or chance over whoever was eligible."""
    if name == LOGGED:
        return lambda selection: selection.distribution
    if name == RANDOM:
        return lambda selection: dict.fromkeys(selection.distribution, 1.0 / len(selection.distribution))
    if name == INCUMBENT:
        return lambda selection: {selection.decision.incumbent: 1.0}
    return lambda _: {name.removeprefix(FIXED): 1.0}


def with_objective(settings: Settings, objective: str) -> Settings:
    """Return settings in which every use case asks for an objective."""
    asked = {"objective": objective, "required_quality": None}
    use_cases = {name: each.model_copy(update=asked) for name, each in settings.use_cases.items()}
    return settings.model_copy(update={"use_cases": use_cases})


def read_policy(database: Database, settings: Settings, catalog: Catalog, name: str) -> Policy:
    """Return a policy by its name, as `check_policy` knows it; `configured` decides by these settings as they are."""
    if not is_decided(name):
        return simple(name)
    reader = EvidenceReader(database)
    reader.refresh()
    asked = settings if name == CONFIGURED else with_objective(settings, name)
    priced = catalog.with_prices(read_prices(database))
    return Decider(asked, priced, reader.rows, override=name != CONFIGURED, alarms=read_alarms(database))


@dataclass
class Decider:
    """Decides logged calls by settings, hour by hour, on the evidence before the hour.

    Attributes
    ----------
    override : bool
        Whether the settings' objective stands above what a call asked for itself.
    alarms : sequence of RaisedAlarm
        Drift, believed from the hour after it was raised.
    """

    settings: Settings
    catalog: Catalog
    rows: Mapping[EvidenceKey, Sums]
    override: bool = False
    alarms: Sequence[RaisedAlarm] = ()
    _snapshots: dict[datetime, Snapshot] = field(default_factory=dict)
    _made: dict[tuple[object, ...], Mapping[str, float] | None] = field(default_factory=dict)
    _by_end: list[tuple[int, EvidenceKey, Sums]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._by_end = sorted((key.bucket_start_s + key.bucket_width_s, key, sums) for key, sums in self.rows.items())

    def __call__(self, selection: Selection) -> Mapping[str, float]:
        """Return the distribution; empty where nobody that was eligible can serve by these settings."""
        block = _block(selection.decided_at)
        request = self._asked(selection.request)
        excluded = tuple(sorted(selection.decision.exclusions))
        key = (block, selection.use_case, selection.segment, *_kind(request), excluded)
        if key not in self._made:
            self._made[key] = self._decided(block, selection, request)
        return self._made[key] or {}

    def models(self, asked: Iterable[tuple[str, datetime]]) -> set[str]:
        """Return every candidate of use cases at some times."""
        found: set[str] = set()
        for use_case, at in {(name, _block(at)) for name, at in asked}:
            route = self._snapshot(at).routes.by_use_case.get(use_case)
            found |= {candidate.model_id for candidate in route.candidates} if route else set()
        return found

    def _asked(self, request: Request) -> Request:
        return request.model_copy(update={"objective": None, "required_quality": None}) if self.override else request

    def _decided(self, block: datetime, selection: Selection, request: Request) -> Mapping[str, float] | None:
        snapshot = self._snapshot(block)
        route = snapshot.routes.by_use_case.get(selection.use_case)
        if route is None:
            return None
        tokens = bin_tokens(length_bin(request.context_tokens))
        gone = selection.decision.exclusions
        try:
            decision = make_decision(
                snapshot, route, selection.segment, request, tokens, Versions("dry run"), troubled=gone
            )
        except NoEligibleCandidate:
            return None
        return decision.distribution

    def _snapshot(self, block: datetime) -> Snapshot:
        if block not in self._snapshots:
            n = bisect_right(self._by_end, block.timestamp(), key=lambda row: row[0])
            known = {key: sums for _, key, sums in self._by_end[:n]}
            last = max((at for at in self._snapshots if at < block), default=None)
            before = None if last is None else self._snapshots[last]
            alarms = [each.alarm for each in self.alarms if each.raised_at <= block]
            self._snapshots[block] = make_snapshot(block, self._routes(block), known, before=before, alarms=alarms)
        return self._snapshots[block]

    def _routes(self, at: datetime) -> Routes:
        return effective_routes(self.settings, self.catalog, at)


def _block(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _kind(request: Request) -> tuple[object, ...]:
    """Return what tells requests apart that are decided alike."""
    return (
        length_bin(request.context_tokens) if request.max_cost_usd is None else request.context_tokens,
        request.window_tokens,
        request.objective,
        request.required_quality,
        request.needs_tools,
        request.needs_json_schema,
        request.needs_vision,
        request.max_cost_usd,
        request.expected_output_tokens,
    )


def target_of(log: UseCaseLog, policy: Policy, told: Callable[[], None] = lambda: None) -> FloatArray:
    """Return the policy's probabilities, shape (n_calls, n_arms); rows of 0 where it can decide nothing."""
    place = {model: i for i, model in enumerate(log.models)}
    shares = np.zeros((len(log.stored), len(log.models)))
    for row, call in enumerate(log.stored):
        for model, share in _drawn_by(policy, call).items():
            shares[row, place[model]] = share
        told()
    return shares


def _drawn_by(policy: Policy, call: StoredCall) -> Mapping[str, float]:
    # Later turns go with their session's draw; their rows are not read.
    return call.selection.distribution if call.selection.propensity is None else policy(call.selection)
