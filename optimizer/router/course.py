"""The order in which a call is tried: chosen model, others by the same distribution, fallbacks, other gateways."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from optimizer.domain import Candidate, Gateway
from optimizer.selection import Selection

Reason = Literal["chosen", "failover", "fallback_model", "fallback_gateway"]


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a call may be tried, and why there."""

    candidate: Candidate
    reason: Reason

    @property
    def gateway(self) -> Gateway:
        """Through which gateway."""
        return self.candidate.gateway

    @property
    def model_id(self) -> str:
        """Which model."""
        return self.candidate.model_id


@dataclass(frozen=True)
class Course:
    """Whom to ask, in order.

    Attributes
    ----------
    order : tuple of (Candidate, Reason)
        The chosen model first.
    elsewhere : callable
        Candidate → the same model through other gateways.
    """

    order: tuple[tuple[Candidate, Reason], ...]
    elsewhere: Callable[[Candidate], tuple[Candidate, ...]]

    def stops(self, is_down: Callable[[Gateway], bool]) -> Iterator[Stop]:
        """Yield the stops, each made when it is asked for.

        The other gateway comes last, but where a gateway as a whole is in trouble its models are at once asked for
        through the other one: its other models would fail alike.
        """
        later: list[Candidate] = []
        for candidate, reason in self.order:
            if is_down(candidate.gateway):
                others = self.elsewhere(candidate)
                yield from (Stop(other, "fallback_gateway") for other in others if not is_down(other.gateway))
            else:
                yield Stop(candidate, reason)
                later += self.elsewhere(candidate)
        yield from (Stop(other, "fallback_gateway") for other in later if not is_down(other.gateway))

    def cheaper(self, selection: Selection) -> "Course":
        """Return the course with everybody after the first in order of expected cost, the unknown ones last."""
        known = selection.decision.by_model

        def cost(entry: tuple[Candidate, Reason]) -> float:
            standing = known.get(entry[0].model_id)
            expected = None if standing is None else standing.expected_cost_usd
            return float("inf") if expected is None else expected

        return Course((self.order[0], *sorted(self.order[1:], key=cost)), self.elsewhere)


def course_of(
    selection: Selection,
    fallbacks: tuple[Candidate, ...],
    elsewhere: Callable[[Candidate], tuple[Candidate, ...]],
    uniform: Callable[[], float],
) -> Course:
    """Return the course of a call.

    A pinned model is what the caller wants: it is asked for through another gateway, and nobody stands in for it.

    Parameters
    ----------
    uniform : callable
        Returns the next random number in [0, 1).
    """
    chosen = selection.decision.by_model[selection.model_id].candidate
    if selection.overridden_by == "pin":
        return Course(((chosen, "chosen"),), elsewhere)
    others = dict(selection.distribution)
    others.pop(selection.model_id, None)
    candidates = [selection.decision.by_model[model].candidate for model in _drawn(others, uniform)]
    after = [candidate for candidate in fallbacks if candidate.model_id not in {chosen.model_id, *others}]
    order: list[tuple[Candidate, Reason]] = [(chosen, "chosen")]
    order += [(candidate, "failover") for candidate in candidates]
    order += [(candidate, "fallback_model") for candidate in after]
    return Course(tuple(order), elsewhere)


def _drawn(shares: Mapping[str, float], uniform: Callable[[], float]) -> Iterator[str]:
    """Yield models without replacement, each draw in proportion to the shares left; those without a share come last."""
    left = dict(shares)
    while left:
        total = sum(left.values())
        if total <= 0.0:
            yield from sorted(left)
            return
        at = uniform() * total
        for model, share in left.items():  # noqa: B007 - the last one stands where rounding leaves nobody
            at -= share
            if at < 0.0:
                break
        del left[model]
        yield model
