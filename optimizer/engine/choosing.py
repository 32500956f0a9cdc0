"""One selection from a view: the draw, the session's own, and what stands above them: pin, rule, flags."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from uuid_utils import uuid7

from optimizer.decision.eligibility import Limits, exclusions
from optimizer.decision.rules import Rule, first_match
from optimizer.domain import Candidate, Request
from optimizer.engine.drawing import Lottery, session_uniform
from optimizer.engine.forced import can_serve, undrawn
from optimizer.engine.learning import NOBODY, View
from optimizer.engine.recent import Sessions
from optimizer.errors import NoEligibleCandidate, UnknownModel
from optimizer.routes import Route
from optimizer.selection import Decision, Selection, Standing
from optimizer.settings import Flags


@dataclass(frozen=True)
class Chooser:
    """Makes selections; keeps nothing but what it asks sessions for.

    Attributes
    ----------
    uniform : callable
        Returns the next random number in [0, 1).
    clock : callable
        Returns the aware time now.
    """

    sessions: Sessions
    uniform: Callable[[], float]
    clock: Callable[[], datetime]

    def choose(self, view: View, request: Request, troubled: Mapping[str, str] = NOBODY) -> Selection:
        """Return the selection for a request.

        Parameters
        ----------
        troubled : mapping of str to str
            Model → why a breaker keeps calls away from it.

        Raises
        ------
        UnknownUseCase, UnknownModel
            If the request names what is not there.
        NoEligibleCandidate
            If nobody can serve it, and nothing above the draw names a model that can.
        """
        route = view.route(request.use_case)
        rule = first_match(view.routes.rules, request, route.name)
        try:
            selection = self._drawn(request, route, view.lottery(route, request, troubled))
        except NoEligibleCandidate as refused:
            selection = self._undrawn(view, request, route, rule, refused)
        return self._overridden(selection, route, rule, view.settings.flags)

    def _drawn(self, request: Request, route: Route, lottery: Lottery) -> Selection:
        if request.session_id is not None:
            return self._of_session(request.session_id, route, request, lottery)
        model, held_out = lottery.draw(self.uniform())
        return self._selection(request, lottery.decision, model, held_out)

    def _undrawn(
        self, view: View, request: Request, route: Route, rule: Rule | None, refused: NoEligibleCandidate
    ) -> Selection:
        """Return who serves by pin or rule where no candidate can; refuse where that model cannot either."""
        forced = None if rule is None else rule.candidate
        if request.model is not None:
            forced = candidate_of(route, request.model)
        if forced is None or not can_serve(forced, request):
            raise refused
        decision = undrawn(view, route, request, refused)
        return Selection(str(uuid7()), self.clock(), request, decision, forced.model_id, forced.model_id, None)

    def _selection(self, request: Request, decision: Decision, model: str, held_out: bool) -> Selection:
        return Selection(
            str(uuid7()),
            self.clock(),
            request,
            decision,
            model,
            model,
            decision.distribution[model],
            None,
            held_out,
        )

    def _of_session(self, session_id: str, route: Route, request: Request, lottery: Lottery) -> Selection:
        """Return the session's model while it is eligible; else the one its own number draws."""
        decision = lottery.decision
        known = self.sessions.model_of(route.name, session_id)
        if known is not None and known in decision.distribution:
            turn = self._selection(request, decision, known, held_out=False)
            return replace(turn, propensity=None, overridden_by="session")
        model, held_out = lottery.draw(session_uniform(route.name, session_id))
        return self._selection(request, decision, model, held_out)

    def _overridden(self, selection: Selection, route: Route, rule: Rule | None, flags: Flags) -> Selection:
        """Return the selection with what stands above the draw: pin, rule, flags."""
        pin = selection.request.model
        if pin is not None:
            return self._served_by(selection, _able(candidate_of(route, pin), route, selection.request), "pin")
        if rule is not None and can_serve(rule.candidate, selection.request):
            return self._served_by(selection, rule.candidate, f"rule:{rule.name}")
        if not flags.routing:
            return self._served_by(selection, candidate_of(route, route.incumbent), "flag:routing")
        if not flags.cost_optimization:
            return self._served_by(selection, candidate_of(route, route.incumbent), "observe")
        return selection

    @staticmethod
    def _served_by(selection: Selection, candidate: Candidate, why: str) -> Selection:
        decision = selection.decision
        if candidate.model_id not in decision.by_model:
            guest = Standing(candidate, f"not a candidate; serves by {why}")
            decision = replace(decision, standings=(*decision.standings, guest))
        return replace(selection, decision=decision, model_id=candidate.model_id, overridden_by=why)


def _able(candidate: Candidate, route: Route, request: Request) -> Candidate:
    """Return a pinned candidate that can serve; refuse one whose window or abilities do not suffice."""
    if not can_serve(candidate, request):
        reasons = exclusions(request, (candidate,), {}, Limits(needs_cost=False))
        raise NoEligibleCandidate(route.name, reasons, "pin another model, or none")
    return candidate


def candidate_of(route: Route, model: str) -> Candidate:
    """Return a candidate or fallback of a route by its model; `UnknownModel` if it is neither."""
    for candidate in (*route.candidates, *route.fallbacks):
        if candidate.model_id == model:
            return candidate
    raise UnknownModel(model, tuple(candidate.model_id for candidate in route.candidates))
