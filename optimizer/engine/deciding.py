"""From a snapshot and a kind of request to a decision: eligibility, the chain on one row, everybody's standing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from optimizer.decision.belief import FloatArray
from optimizer.decision.chain import Chain, Settled, Shares, decide
from optimizer.decision.choice import floor_chances
from optimizer.decision.eligibility import Limits, Measured, exclusions, refusal
from optimizer.decision.guard import GATE_RATINGS
from optimizer.decision.situation import Situation
from optimizer.domain import Objective, Request
from optimizer.engine.arrays import share_within
from optimizer.engine.facts import Facts
from optimizer.engine.snapshot import Snapshot, cell_name, chain_of
from optimizer.errors import QualityUnreachable
from optimizer.routes import Route
from optimizer.selection import Decision, Standing

_HOPELESS = 0.05  # chance below which a required quality counts as out of reach


@dataclass(frozen=True)
class Versions:
    """What a decision was made by, so that it can be told from others."""

    policy: str
    segmenter: str = ""


def make_decision(
    snapshot: Snapshot,
    route: Route,
    segment: str,
    request: Request,
    context_tokens: float,
    versions: Versions,
    *,
    troubled: Mapping[str, str] = MappingProxyType({}),
) -> Decision:
    """Return the decision for a request, and for all that are like it.

    Parameters
    ----------
    troubled : mapping of str to str
        Model → why a breaker keeps calls away from it.
    context_tokens : float
        The length that costs are expected at: what stands for the request's bin.

    Raises
    ------
    NoEligibleCandidate
        If nobody can serve it; the error says why, model by model.
    """
    objective = _objective(route, request)
    chain = chain_of(route, objective)
    context = snapshot.context(route.name, segment)
    facts = snapshot.facts(route, context)
    costs = facts.costs(np.array([context_tokens]), request.expected_output_tokens)[0]
    models = tuple(candidate.model_id for candidate in route.candidates)
    output_tokens = request.expected_output_tokens or route.settings.expected_output_tokens or 0
    limits = Limits(objective.kind != "quality", route.settings.max_latency_ms, output_tokens, troubled)
    excluded = exclusions(request, route.candidates, _measured(snapshot, route, context, costs), limits)
    if len(excluded) == len(models):
        raise refusal(route.name, request, route.candidates, excluded)
    situation = Situation(
        facts.belief,
        np.zeros(1, dtype=np.intp),
        np.where(np.isnan(costs), 0.0, costs)[None, :],  # unknown is eligible only where cost plays no part
        np.array([[model not in excluded for model in models]]),
        np.array([facts.incumbent]),
        np.ones(1),
        (cell_name(snapshot.axes.contexts[context]),),
        models,
        facts.theta,
    )
    settled = snapshot.settle(route, chain)
    shares = decide(situation, chain, settled=settled)
    _check_reach(route, chain, situation, shares, excluded)
    standings = _standings(facts, costs, excluded, shares)
    warming = settled.holdout == 1.0
    return Decision(
        use_case=route.name,
        segment=segment,
        objective=str(objective),
        required_quality=None if request.required_quality is None else str(request.required_quality),
        standings=standings,
        incumbent=route.incumbent,
        threshold=None if shares.threshold is None else round(float(shares.threshold[0]), 6),
        price=shares.price,
        holdout=0.0 if warming or route.incumbent in excluded else settled.holdout,
        exploration=shares.exploration,
        policy_version=versions.policy,
        price_version=snapshot.routes.price_version,
        segmenter_version=versions.segmenter,
        headline=headline(snapshot, route, settled),
        max_tokens=route.settings.max_tokens,
        temperature=route.settings.temperature,
        fallback_models=tuple(candidate.model_id for candidate in route.fallbacks),
        output_tokens=output_tokens,
        lowered=settled.lowered,
    )


def _objective(route: Route, request: Request) -> Objective:
    if request.required_quality is not None:
        return Objective.floor(request.required_quality)
    return route.objective if request.objective is None else Objective.parse(request.objective)


def _measured(snapshot: Snapshot, route: Route, context: int, costs: FloatArray) -> dict[str, Measured]:
    target, found = route.settings.max_latency_ms, {}
    for candidate, cost in zip(route.candidates, costs.tolist(), strict=True):
        timed = (0.0, 1.0)
        if target is not None:
            arm = snapshot.axes.models.index(candidate.model_id)
            timed = share_within(snapshot.arrays.latencies.get((context, arm), {}), target)
        found[candidate.model_id] = Measured(cost, *timed)
    return found


def _check_reach(route: Route, chain: Chain, situation: Situation, shares: Shares, excluded: Mapping[str, str]) -> None:
    """Refuse an absolute floor that nobody left, after enough ratings, is believed to reach."""
    if chain.objective.kind != "floor" or chain.objective.relative or shares.threshold is None:
        return
    belief, eligible = situation.belief, situation.eligible[0]
    if (belief.n[0][eligible] < GATE_RATINGS).any():
        return
    chances = floor_chances(belief.mean, belief.strength, shares.threshold[:, None])[0]
    if (chances[eligible] < _HOPELESS).all():
        reasons = {
            model: f"believed at {mean:.3f} from {n:.0f} ratings"
            for model, mean, n in zip(situation.models, belief.mean[0], belief.n[0], strict=True)
        }
        advice = f"ask for less than {float(shares.threshold[0]):g}, or add a better candidate"
        raise QualityUnreachable(route.name, reasons | dict(excluded), advice)


def _standings(facts: Facts, costs: FloatArray, excluded: Mapping[str, str], shares: Shares) -> tuple[Standing, ...]:
    names = [name for name, _ in shares.steps]
    by_step = np.stack([step[0] for _, step in shares.steps], axis=1).tolist()
    found = []
    for candidate, known, cost, after in zip(facts.candidates, facts.known, costs.tolist(), by_step, strict=True):
        reason = excluded.get(candidate.model_id)
        found.append(
            Standing(
                candidate,
                reason,
                known.quality,
                known.low,
                known.high,
                None if math.isnan(cost) else float(f"{cost:.6g}"),
                known.latency_ms,
                known.n_ratings,
                () if reason is not None else tuple(zip(names, after, strict=True)),
            )
        )
    return tuple(found)


def headline(snapshot: Snapshot, route: Route, settled: Settled) -> str:
    """Return what a person should know first: that a limit holds the choice, or that learning has hardly begun."""
    return "; ".join(line for line in (_held(snapshot, route, settled), _begun(snapshot, route, settled)) if line)


def _held(snapshot: Snapshot, route: Route, settled: Settled) -> str:
    if not settled.lowered:
        return ""
    target = snapshot.targets[route.name]
    sunk = "" if settled.ceiling is None else f", so that a quality of {settled.ceiling:.3g} has to do"
    return f"held to ${target.usd_per_call:.2g} a call by {target.limit.name}{sunk}"


def _begun(snapshot: Snapshot, route: Route, settled: Settled) -> str:
    n = snapshot.facts(route, snapshot.context(route.name, "")).n_ratings
    if settled.holdout == 1.0:
        return f"{n:.0f} ratings: staying on {route.incumbent} until enough is known of it"
    if n < 0.5:
        start = "the priors" if route.prior_means else "equal beliefs"
        return f"0 ratings: starting from {start}; nothing is learned until calls are rated"
    return ""
