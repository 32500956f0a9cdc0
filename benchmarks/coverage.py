"""How often do off-policy intervals hold? Logs of the engine, learning in a world that is not its own model.

Each log is 3,000 calls chosen by the decision code at the settings that users get (`average:97%`, holdout, guard and
exploration as they are), all rated, or one call in five with a chance that hangs on the call. Fixed policies are judged
on the whole log, a policy learned on its first 40% on the rest. The truth is the mean of 400,000 other calls.
"""

import argparse
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from optimizer.analysis.estimators import (
    Estimate,
    LoggedCalls,
    Options,
    direct_method,
    doubly_robust,
    ips,
    predicted,
    snips,
)
from optimizer.analysis.estimators.outcomes import OutcomeSums
from optimizer.decision.belief import FloatArray
from optimizer.simulation.logged_worlds import CONTEXTS, MODELS, Log, log_calls, true_means

ESTIMATORS = ("IPS", "SNIPS", "DM", "DR, unweighed", "DR")
RATES = (1.0, 0.2)
N_LOGS, N_CALLS, FIRST_SEED = 200, 3_000, 10_000
TRAINED, WORTH = 0.4, 5.0  # share of the log that a policy is learned on; quality that it gives for a dollar
SECONDS = 15.0  # between two calls
_ALONE = np.eye(len(MODELS))
FIXED = {
    "always large": _ALONE[[0, 0, 0]],
    "always medium": _ALONE[[1, 1, 1]],
    "always small": _ALONE[[2, 2, 2]],
    "by context": _ALONE[[1, 1, 2]],
}
LEARNED = "learned"


@dataclass(frozen=True)
class Judged:
    """One estimate of one policy on one log, beside the truth."""

    rate: float
    policy: str
    estimator: str
    estimate: Estimate
    truth: float

    @property
    def answered(self) -> bool:
        return self.estimate.value is not None

    @property
    def holds(self) -> bool:
        return self.estimate.low <= self.truth <= self.estimate.high


def judge_log(
    seed: int, rate: float, n_calls: int, truth: tuple[FloatArray, FloatArray], options: Options
) -> list[Judged]:
    """Return every estimate of every policy on the log of a seed; the options are those of the robust estimates."""
    log, (share, means) = log_calls(seed, n_calls, rate), truth
    whole, trained = logged_calls(log), int(TRAINED * n_calls)
    later = log.traffic.session > log.traffic.session[trained - 1]
    found = []
    for calls, at, policies in (
        (whole, slice(None), FIXED),
        (whole.take(later), later, {LEARNED: learned(log, trained)}),
    ):
        ahead = predicted(calls, len(MODELS))
        for name, policy in policies.items():
            value = float(share @ (policy * means).sum(axis=1))
            target = policy[log.traffic.context[at]]
            rng = np.random.default_rng((seed, len(name)))
            for estimator, estimate in zip(
                ESTIMATORS,
                (
                    ips(calls, target, ahead=ahead),
                    snips(calls, target, ahead=ahead),
                    direct_method(calls, target, rng=rng),
                    doubly_robust(calls, target, replace(options, stabilised=False), ahead=ahead),
                    doubly_robust(calls, target, options, ahead=ahead),
                ),
                strict=True,
            ):
                found.append(Judged(rate, name, estimator, estimate, value))
    return found


def logged_calls(log: Log) -> LoggedCalls:
    """Return a log as the estimators take it."""
    return LoggedCalls(
        arm=log.arm,
        propensity=log.propensity,
        reward=log.reward,
        context=log.cell,
        unit=log.traffic.session,
        time_s=np.arange(len(log.arm)) * SECONDS,
        distribution=log.distribution,
        features=log.traffic.features,
    )


def learned(log: Log, n_calls: int) -> FloatArray:
    """Return the policy that is best in each context, by shrunken mean ratings less cost, on the first calls."""
    context, cost = log.traffic.context[:n_calls], log.traffic.cost_usd[:n_calls]
    told = np.flatnonzero(np.isfinite(log.reward[:n_calls]))
    sums = OutcomeSums.empty(len(CONTEXTS), len(MODELS), 0)
    sums = sums.after(context[told], log.arm[told], np.zeros((told.size, 0)), log.reward[told])
    paid = np.array([cost[context == number].mean(axis=0) for number in range(len(CONTEXTS))])
    return _ALONE[(sums.fit().cell - WORTH * paid).argmax(axis=1)]


def summary(judged: Iterable[Judged]) -> str:
    """Return `share that holds of those answered, half width, bias` of some estimates."""
    answered = [each for each in judged if each.answered]
    if not answered:
        return "none answered"
    holds = np.mean([each.holds for each in answered])
    half = np.mean([(each.estimate.high - each.estimate.low) / 2.0 for each in answered])
    bias = np.mean([each.estimate.value - each.truth for each in answered])
    return f"{holds:.1%} of {len(answered)}, ±{half:.3f}, {bias:+.3f}"


def table(judged: list[Judged], rate: float) -> str:
    """Return one rate's Markdown table: policies down, estimators across, all policies together last."""
    at_rate = [each for each in judged if each.rate == rate]
    names = [*FIXED, LEARNED]
    lines = [f"| {rate:.0%} rated | " + " | ".join(ESTIMATORS) + " |", "|---" * (len(ESTIMATORS) + 1) + "|"]
    for name in [*names, "all"]:
        mine = [each for each in at_rate if name in (each.policy, "all")]
        cells = [summary(each for each in mine if each.estimator == estimator) for estimator in ESTIMATORS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def run(n_logs: int, first_seed: int, n_calls: int, *, n_jobs: int = 1, options: Options | None = None) -> list[Judged]:
    """Return the estimates on all logs."""
    truth, options = true_means(), options or Options()
    tasks = [(first_seed + number, rate, n_calls) for rate in RATES for number in range(n_logs)]
    if n_jobs == 1:
        return [judged for task in tasks for judged in judge_log(*task, truth, options)]
    with ProcessPoolExecutor(n_jobs) as pool:
        return [judged for found in pool.map(partial(_judged, truth, options), tasks, chunksize=4) for judged in found]


def _judged(truth: tuple[FloatArray, FloatArray], options: Options, task: tuple[int, float, int]) -> list[Judged]:
    return judge_log(*task, truth, options)


def main() -> None:
    """Print a table per share of rated calls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=N_LOGS)
    parser.add_argument("--calls", type=int, default=N_CALLS)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-refusals", action="store_true", help="let the robust estimates answer on any log")
    asked = parser.parse_args()
    options = Options(min_ess=0.0, max_off_support=1.0) if asked.no_refusals else Options()
    judged = run(asked.logs, asked.first_seed, asked.calls, n_jobs=asked.jobs, options=options)
    print(f"{asked.logs} logs of {asked.calls} calls: share of 95% intervals that hold, half width, bias\n")
    print("\n\n".join(table(judged, rate) for rate in RATES))


if __name__ == "__main__":
    main()
