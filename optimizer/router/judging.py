"""Judges: a share of the replies is rated by another model, through the same attempts, limits and ledger."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from uuid_utils import uuid7

from optimizer.calling.judge import judge_body, may_judge, rater_of, should_judge
from optimizer.calling.token_features import body_features
from optimizer.calling.tokens import TokenEstimator
from optimizer.calling.verdicts import read_verdict
from optimizer.domain import JUDGING, Candidate, Feedback, Request
from optimizer.engine import Optimizer
from optimizer.errors import OptimizerError
from optimizer.gateway.wire import ChatReply
from optimizer.router.asking import Asked, Hints
from optimizer.router.call import Call
from optimizer.router.course import Course
from optimizer.router.line import Line
from optimizer.router.reply import Reply
from optimizer.selection import Decision, Selection, Standing
from optimizer.settings import Judge

PATIENCE_S = 10.0  # that judges get when the router closes

_log = logging.getLogger(__name__)


class Judges:
    """Has replies rated in the background.

    Parameters
    ----------
    finish : callable
        Makes a call whose model is chosen.
    rng : random.Random
        Draws which replies are rated, and the marks that keep a judge from being talked to.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        line: Line,
        estimator: TokenEstimator,
        finish: Callable[[Call], Awaitable[tuple[Reply, ChatReply]]],
        rng: random.Random,
        timer: Callable[[], float],
    ) -> None:
        self._optimizer = optimizer
        self._line = line
        self._estimator = estimator
        self._finish = finish
        self._rng = rng
        self._timer = timer
        self._tasks: set[asyncio.Task[None]] = set()

    def consider(self, call: Call, reply: Reply, raw: ChatReply) -> None:
        """Have a reply rated, if its use case has a judge and the sample takes it; never by the model that gave it."""
        settings = call.settings.use_cases.get(call.selection.use_case)
        judge = None if settings is None else settings.judge
        if (
            settings is None
            or judge is None
            or not may_judge(judge, reply.model)
            or not should_judge(judge, self._rng.random())
        ):
            return
        metric = judge.metric or settings.metrics.quality
        task = asyncio.create_task(self._judged(judge, metric, call, raw))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait a while for judges that are at work, then end them."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=PATIENCE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _judged(self, judge: Judge, metric: str, call: Call, raw: ChatReply) -> None:
        body = judge_body(
            judge, call.body["messages"], raw.content, rng=self._rng
        )  # in memory only, masked as the prompt was
        try:
            reply, _ = await self._finish(self._call(judge, call, body))
        except OptimizerError as error:
            _log.warning("Call %s was not judged: %s", call.call_id, error)
            return
        value = read_verdict(reply.content)
        if value is None:
            _log.warning("Call %s was judged, and the verdict cannot be read", call.call_id)
            return
        self._optimizer.tell(Feedback(call.call_id, metric, rater_of(judge), value, self._optimizer.clock()))

    def _call(self, judge: Judge, judged: Call, body: Mapping[str, Any]) -> Call:
        features = body_features(body)
        tokens = self._estimator.estimate(judge.model, features).mean
        candidate = self._line.candidate(judge.model)
        selection = judge_selection(candidate, judged.selection, tokens, self._optimizer.clock())
        return Call(
            Asked(body, Hints(use_case=JUDGING)),
            judged.settings,
            selection,
            Course(((candidate, "chosen"),), self._line.elsewhere),
            body,
            None,
            features,
            judged.spends_for,
            judged.settings.routing.deadline_seconds,
            self._timer(),
        )


def judge_selection(candidate: Candidate, judged: Selection, context_tokens: int, at: datetime) -> Selection:
    """Return the selection of a judge: pinned, never drawn, with the judged call's id among its tags."""
    tags = tuple(sorted((*judged.request.tags, ("judges", judged.call_id))))
    request = Request(use_case=JUDGING, context_tokens=context_tokens, tenant=judged.request.tenant, tags=tags)
    decision = Decision(
        use_case=JUDGING,
        segment="",
        objective="quality",
        required_quality=None,
        standings=(Standing(candidate, steps=(("pin", 1.0),)),),
        incumbent=candidate.model_id,
        policy_version=judged.decision.policy_version,
        price_version=judged.decision.price_version,
        headline=f"It judges a call of {judged.use_case}",
    )
    model = candidate.model_id
    return Selection(str(uuid7()), at, request, decision, model, model, None, overridden_by="pin")
