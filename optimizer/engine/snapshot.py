"""All that a choice reads, made at one moment and never changed: beliefs, expected costs and solved prices of a dollar.

A snapshot is made when evidence, prices or settings have changed; requests that are alike share one decision in it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from scipy.special import betaincinv

from optimizer.decision.belief import Belief, BoolArray, FloatArray, IntArray, believe
from optimizer.decision.chain import Chain, Settled, decide
from optimizer.decision.choice import scenarios
from optimizer.decision.cost import START_OUTPUT_TOKENS, input_ratio, paid_mean, shrunk_mean
from optimizer.decision.credit import percentile_ms
from optimizer.decision.drift import Alarm
from optimizer.decision.evidence import EvidenceKey, Sums, bin_tokens
from optimizer.decision.held import expected_usd, held_to
from optimizer.decision.pacing import Target
from optimizer.decision.price import Pace, shortfall
from optimizer.decision.prior import incumbent_shift, prior_shift
from optimizer.decision.situation import Situation, floor_of
from optimizer.domain import Candidate, Objective
from optimizer.engine.arrays import Arrays, Axes, Context, gather
from optimizer.engine.facts import Facts, Known
from optimizer.routes import Route, Routes

_TYPICAL_TOKENS = 1_000.0  # context of a use case that nobody has called yet, where λ must be solved all the same


@dataclass(frozen=True)
class Snapshot:
    """What was known at `at`.

    Attributes
    ----------
    low, high : ndarray, shape (n_contexts, n_models)
        95% interval of every cell's quality at full spread.
    targets : mapping of str to Target
        Use case → what a call may cost on average, where limits of spending say so.
    settled, held, read : dict
        What was solved for a use case and chain, the same held to the target, and what is known of a use case and
        context; each made when first asked for, and the same whoever asks.
    """

    at: datetime
    routes: Routes
    axes: Axes
    arrays: Arrays
    belief: Belief
    low: FloatArray
    high: FloatArray
    guesses: Mapping[tuple[str, Chain], float] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    settled: dict[tuple[str, Chain], Settled] = field(default_factory=dict)
    held: dict[tuple[str, Chain], Settled] = field(default_factory=dict)
    read: dict[tuple[str, int], Facts] = field(default_factory=dict)

    def context(self, use_case: str, segment: str) -> int:
        """Return the position of a context on the context axis; the use case as a whole where a segment is new."""
        contexts = self.axes.contexts
        wanted = (use_case, segment) if (use_case, segment) in contexts else (use_case, "")
        return contexts.index(wanted)

    def arms(self, candidates: tuple[Candidate, ...]) -> IntArray:
        """Return the positions of candidates on the model axis."""
        return np.array([self.axes.models.index(candidate.model_id) for candidate in candidates], dtype=np.intp)

    def settle(self, route: Route, chain: Chain) -> Settled:
        """Return λ, holdout and exploration for a route's chain, held to the use case's target where it has one."""
        target = self.targets.get(route.name)
        if target is None:
            return self.own(route, chain)
        key = route.name, chain
        if key not in self.held:
            self.held[key] = self.held_to(route, chain, target.usd_per_call)
        return self.held[key]

    def held_to(self, route: Route, chain: Chain, usd_per_call: float) -> Settled:
        """Return what a target over the use case's traffic makes of the objective's own solution."""
        traffic = self._traffic((route,))
        return held_to(traffic, chain, self.own(route, chain), usd_per_call, route.settings.quality_min)

    def expected_usd(self, route: Route, chain: Chain, settled: Settled) -> float:
        """Return the expected dollars a call over the use case's traffic."""
        return expected_usd(self._traffic((route,)), chain, settled)

    def own(self, route: Route, chain: Chain) -> Settled:
        """Return λ, holdout and exploration for a route's chain by itself, solved over all use cases that share it."""
        key = route.name, chain
        if key not in self.settled:
            together = self._together(route, chain)
            solved = self._solved(together, chain, self.guesses.get(key, 0.0))
            self.settled.update({(each.name, chain): solved for each in together})
        return self.settled[key]

    def facts(self, route: Route, context: int) -> Facts:
        """Return what is known of a route's candidates in one context."""
        key = route.name, context
        if key not in self.read:
            self.read[key] = self._facts(route, context)
        return self.read[key]

    def _facts(self, route: Route, context: int) -> Facts:
        arms = self.arms(route.candidates)
        models = tuple(candidate.model_id for candidate in route.candidates)
        belief, usage = self.belief.cell(context, arms), self.arrays.usage.arms(arms)
        start = float(route.settings.expected_output_tokens or START_OUTPUT_TOKENS)
        return Facts(
            candidates=route.candidates,
            arms=arms,
            incumbent=models.index(route.incumbent),
            belief=belief,
            theta=scenarios(belief, (cell_name(self.axes.contexts[context]),), models),
            input_ratio=input_ratio(usage),
            output_tokens=shrunk_mean(usage.n, usage.output_tokens, start)[context],
            cached_share=self.arrays.cached_share[context, arms],
            failure_rate=self.arrays.failure_rate[context, arms],
            # Unknown is not the others' mean.
            paid_usd=np.where(usage.n_paid.sum(axis=0) > 0, paid_mean(usage)[context], np.nan),
            known=tuple(self._known(context, arm) for arm in arms.tolist()),
            n_ratings=float(self.arrays.ratings.n[self._contexts_of({route.name})].sum()),
        )

    def _contexts_of(self, use_cases: set[str]) -> BoolArray:
        return np.array([name in use_cases for name, _ in self.axes.contexts])

    def _known(self, context: int, arm: int) -> Known:
        mean, low, high = (round(float(each[context, arm]), 5) for each in (self.belief.mean, self.low, self.high))
        latency = percentile_ms(self.arrays.latencies.get((context, arm), {}), 0.5)
        return Known(mean, low, high, round(float(self.belief.n[context, arm]), 2), latency)

    def _together(self, route: Route, chain: Chain) -> tuple[Route, ...]:
        """Return the routes solved with this one: those that share its floor, and the settings it is held by.

        Shares of two incumbents are two floors: what one use case has to spare must not pay for another's failures.
        """
        if chain.objective.kind not in ("floor", "average"):
            return (route,)
        alike = tuple(
            each
            for each in self.routes.by_use_case.values()
            if chain_of(each) == chain and (not chain.objective.relative or each.incumbent == route.incumbent)
        )
        return alike if any(each.name == route.name for each in alike) else (route,)

    def _solved(self, together: tuple[Route, ...], chain: Chain, guess: float) -> Settled:
        situation = self._traffic(together)
        target = None
        names = {route.name for route in together}
        if chain.objective.kind == "budget" and chain.objective.amount is not None:
            target = self._pace(names, chain.objective.amount).budget_target(chain.objective.amount)
        if chain.objective.kind == "average":
            floor = floor_of(situation, chain.objective)
            target = self._average_target(names, situation, floor)
        return decide(situation, chain, target=target, guess=guess).settled

    def _pace(self, use_cases: set[str], usd_per_call: float) -> Pace:
        """Return how the last 24 hours kept to a budget, bucket after bucket."""
        pace = Pace()
        for (context, _), (n, usd) in sorted(self.arrays.spent.items(), key=lambda bucket: bucket[0][1]):
            if self.axes.contexts[context][0] in use_cases:
                pace = pace.after(n, usd, usd_per_call)
        return pace

    def _average_target(self, use_cases: set[str], situation: Situation, floor: FloatArray) -> float:
        by_context = np.zeros(len(self.axes.contexts))
        by_context[situation.context] = floor
        recent = self.arrays.recent
        mine = self._contexts_of(use_cases) & np.isin(np.arange(len(self.axes.contexts)), situation.context)
        only = replace(recent, n=recent.n * mine[:, None], total=recent.total * mine[:, None])
        missing = shortfall(only, by_context)
        incumbent = float(situation.traffic @ situation.belief.mean[situation.context, situation.incumbent])
        return Pace(-missing, float(only.n.sum())).average_target(float(situation.traffic @ floor), incumbent)

    def _traffic(self, together: tuple[Route, ...]) -> Situation:
        """Return the rows, each a context and a length, that the evidence knows of these use cases."""
        mine = {route.name: route for route in together}
        seen = {at: n for at, n in self.arrays.traffic.items() if self.axes.contexts[at[0]][0] in mine and n > 0}
        rows = [(context, bin_tokens(number), n) for (context, number), n in sorted(seen.items())]
        called = {self.axes.contexts[context][0] for context, _, _ in rows}
        rows += [(self.context(name, ""), _TYPICAL_TOKENS, 0.1) for name in mine if name not in called]
        context = np.array([row[0] for row in rows], dtype=np.intp)
        tokens = np.array([row[1] for row in rows])
        weight = np.array([row[2] for row in rows])
        cost = np.full((len(rows), len(self.axes.models)), np.nan)
        incumbent = np.zeros(len(rows), dtype=np.intp)
        for each in sorted(set(context.tolist())):
            facts, here = self.facts(mine[self.axes.contexts[each][0]], each), context == each
            cost[np.ix_(here, facts.arms)] = facts.costs(tokens[here])
            incumbent[here] = facts.arms[facts.incumbent]
        eligible = ~np.isnan(cost)
        cells = tuple(cell_name(each) for each in self.axes.contexts)
        return Situation(
            self.belief, context, cost, eligible, incumbent, weight / weight.sum(), cells, self.axes.models
        )


def make_snapshot(
    at: datetime,
    routes: Routes,
    rows: Mapping[EvidenceKey, Sums],
    segments: tuple[Context, ...] = (),
    before: Snapshot | None = None,
    *,
    alarms: Collection[Alarm] = (),
) -> Snapshot:
    """Return what routes and evidence come to at a moment.

    Parameters
    ----------
    segments : tuple of (use case, segment)
        Segments that requests may fall into, though no evidence has them yet.
    before : Snapshot, optional
        The last one; its λ are where the search for the new ones begins.
    alarms : collection of Alarm
        What is known of drift: evidence from before it weighs less.
    """
    by_name = routes.by_use_case
    axes = Axes.over(by_name.values(), rows, segments)
    arrays = gather(axes, by_name, rows, at.timestamp(), alarms=alarms)
    coldest = np.array([[by_name[name].settings.temperature_of_exploration] for name, _ in axes.contexts])
    belief = believe(arrays.ratings, prior=_priors(axes, by_name), coldest=coldest)
    a, b = belief.mean * belief.strength, (1.0 - belief.mean) * belief.strength
    guesses = {} if before is None else {key: s.price for key, s in before.settled.items() if s.price}
    return Snapshot(at, routes, axes, arrays, belief, betaincinv(a, b, 0.025), betaincinv(a, b, 0.975), guesses)


def chain_of(route: Route, objective: Objective | None = None) -> Chain:
    """Return the chain that a route's settings ask for, or the same with another objective."""
    settings = route.settings
    guard = settings.guard or None
    return Chain(objective or route.objective, guard, settings.holdout, settings.exploration)


def cell_name(context: Context) -> str:
    """Return the name that seeds a context's scenarios."""
    return "/".join(part for part in context if part)


def _priors(axes: Axes, routes: Mapping[str, Route]) -> FloatArray:
    shifts = axes.zeros()
    for i, (name, _) in enumerate(axes.contexts):
        route = routes[name]
        scores = np.array([route.prior_means.get(model, np.nan) for model in axes.models])
        incumbent = axes.models.index(route.incumbent)
        shifts[i] = prior_shift(scores) + incumbent_shift(route.objective, incumbent, len(scores))
    return shifts
