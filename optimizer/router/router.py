"""The Router: choose, ask, survive failures, keep limits, and put down the truth about every call."""

import random
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import asdict, replace
from difflib import get_close_matches
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Self

import anyio
from uuid_utils import uuid7

from optimizer.calling.cache import reply_key
from optimizer.calling.token_features import body_features
from optimizer.calling.tokens import TokenEstimator
from optimizer.domain import Attempt, Reuse
from optimizer.engine import Optimizer
from optimizer.errors import InvalidRequest
from optimizer.gateway.wire import ChatCall, ChatReply, GatewayClient
from optimizer.router.asking import HINTS, Asked, Messages, asked, prompt_hmac
from optimizer.router.attempts import REAL, Attempts, Clocks
from optimizer.router.call import Call
from optimizer.router.course import course_of
from optimizer.router.ending import Ending
from optimizer.router.equipment import Equipment
from optimizer.router.judging import Judges
from optimizer.router.line import Line
from optimizer.router.many import complete_many
from optimizer.router.reply import Chunk, Progress, Reply, ReplyStream
from optimizer.router.streaming import Reception, open_stream, received

_ARGUMENTS = {*HINTS, "deadline_s", "extra_body"}
# Hints that leave it open which reply is right.
_NOT_ASKED_FOR = {"session_id", "tags", "expected_output_tokens", "context_tokens"}


class Router:
    """Makes calls: chooses the model, asks for it through a gateway, and survives what goes wrong there.

    Use one router in one event loop, and close it, or use it as an asynchronous context manager. `SyncRouter` does the
    same for code without an event loop.

    Parameters
    ----------
    optimizer : Optimizer
        Chooses and learns; closed by whoever opened it.
    rng : random.Random
        Where the order of failover, pauses and samples come from.
    clocks : Clocks
        How latencies are measured, and pauses made.
    owned : bool
        Whether the optimizer is closed with the router.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        rng: random.Random | None = None,
        clocks: Clocks = REAL,
        owned: bool = False,
    ) -> None:
        self.optimizer = optimizer
        self._owned = owned
        self._clocks = clocks
        self._uniform: Callable[[], float] = (rng or random.Random()).random  # noqa: S311 - for order and pauses
        rng = rng or random.SystemRandom()
        self._secret = rng.randbytes(32)  # of cache keys, in memory only
        self._estimator = TokenEstimator()
        self.line = Line(optimizer, rng)
        self._attempts = Attempts(optimizer, self.line, self._estimator, self._uniform, clocks)
        self._ending = Ending(optimizer, self._attempts, self.line.breakers, self._estimator)
        self._equipment = Equipment(optimizer)
        self._judges = Judges(optimizer, self.line, self._estimator, self.finished, rng, clocks.timer)

    @classmethod
    def open(cls, config: str | Path | None = None, **more: Any) -> Self:  # noqa: ANN401 - as Optimizer.open's
        """Return a router over an optimizer of its own, opened as `Optimizer.open` says and closed with it."""
        return cls(Optimizer.open(config, **more), owned=True)

    async def complete(self, messages: Messages, *, use_case: str | None = None, **options: Any) -> Reply:  # noqa: ANN401
        """Return the reply to a chat.

        Parameters
        ----------
        messages : sequence of mapping
            As OpenAI's `messages`.
        use_case : str, optional
            Default: `default_use_case`.
        **options
            For the choice, as `Optimizer.select_optimal_model` takes them: `model` (a pin), `required_quality`,
            `objective`, `cost_tier`, `session_id`, `tenant`, `tags`, `features`, `max_cost_usd`,
            `expected_output_tokens`, and `context_tokens` where the length is known; `deadline_s` for the whole call;
            all else goes into the body as it is: `max_tokens`, `temperature`, `tools`, `response_format` and so on.
            So does what `extra_body` holds, whatever its fields are called.

        Raises
        ------
        InvalidRequest
            If an argument is wrong; the error names it.
        NoEligibleCandidate
            If nobody can serve the request.
        LimitReached
            If a spending limit leaves too little; the error says when it opens again.
        AllCandidatesFailed, DeadlineExceeded
            If nobody answered; the error lists every attempt.
        """
        self._look_again()
        wanted = self._asked(messages, use_case, options)
        key = self._key(wanted)
        if key is not None and self._equipment.cache is not None:
            found = self._equipment.cache.get(key)
            if found is not None:
                return self._reused(wanted, found, "cache")
        if key is None or self._equipment.flights is None:
            return await self._complete(wanted, key)
        reply, shared = await self._equipment.flights.run(key, lambda: self._complete(wanted, key))
        return self._reused(wanted, reply, "in_flight") if shared else reply

    def stream(self, messages: Messages, *, use_case: str | None = None, **options: Any) -> ReplyStream:  # noqa: ANN401
        """Return the reply to a chat as it comes; arguments and errors as of `complete`.

        Until the first token, failures are survived as in `complete`. After it they are the caller's to know:
        `StreamBroken`, `ConnectionBroken`, `GatewayTimeout` or `DeadlineExceeded` end the iteration.
        """
        self._look_again()
        wanted = self._asked(messages, use_case, options)
        progress = Progress()
        return ReplyStream(self._streamed(wanted, progress), progress)

    async def complete_many(
        self,
        requests: Iterable[Mapping[str, Any]],
        *,
        max_concurrency: int = 16,
        return_exceptions: bool = False,
        on_done: Callable[[int, Reply | Exception], None] | None = None,
    ) -> list[Reply | Exception]:
        """Return the replies to many chats, in the order of the requests, with bounded concurrency.

        Parameters
        ----------
        requests : iterable of mapping
            Each the arguments of one `complete`, such as `{"messages": [...], "use_case": "chat"}`; read as they are
            needed.
        return_exceptions : bool
            Whether an error stands in the list in its reply's place; else the first one ends the others.
        on_done : callable, optional
            Called with each request's position and outcome, as they come.
        """
        return await complete_many(self.complete, requests, max_concurrency, return_exceptions, on_done)

    async def rate(self, call_id: str, value: float | bool, **more: Any) -> None:  # noqa: ANN401 - as Optimizer.rate's
        """Rate a call as `Optimizer.rate` does; where the settings ask for it, Portkey is told, too."""
        await anyio.to_thread.run_sync(lambda: self.optimizer.rate(call_id, value, **more))
        await self.line.open()
        await self.line.send_feedback(call_id, float(value))

    async def aclose(self) -> None:
        """Let judges end, close connections, write what waits."""
        await self._judges.close()
        await self.line.close()
        self._equipment.close()
        await anyio.to_thread.run_sync(self.optimizer.close if self._owned else self.optimizer.flush)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def reload(self) -> bool:
        """Read the settings again; see `Optimizer.reload`. Calls that are under way end as they began."""
        return self.optimizer.reload()

    # One call

    def _look_again(self) -> None:
        self.optimizer.look_again()
        self._equipment.renew()

    def _asked(self, messages: Messages, use_case: str | None, options: Mapping[str, Any]) -> Asked:
        hints = {name: options[name] for name in HINTS if options.get(name) is not None}
        body = {name: value for name, value in options.items() if name not in _ARGUMENTS}
        if strange := _misspelt(body):
            raise InvalidRequest(*strange)
        body |= options.get("extra_body") or {}
        use_case = use_case or self.optimizer.settings.default_use_case
        if use_case is None:
            raise InvalidRequest("use_case", "name one: the settings have no default_use_case")
        return asked(messages, {"use_case": use_case, **hints}, body, options.get("deadline_s"))

    def _key(self, wanted: Asked) -> bytes | None:
        if self._equipment.cache is None and self._equipment.flights is None:
            return None
        asked_for = {name: value for name, value in asdict(wanted.hints).items() if name not in _NOT_ASKED_FOR}
        return reply_key(asked_for, wanted.body, secret=self._secret)

    async def _begun(self, wanted: Asked, *, streamed: bool = False) -> Call:
        """Return the call, its model chosen; nothing is written yet."""
        started = self._clocks.timer()
        await self.line.open()
        body, restoration = wanted.body, None
        if self._equipment.redactor is not None:
            body, restoration = self._equipment.redactor.redact(body)
        features = body_features(body)
        tokens = self._estimator.estimate(None, features)
        request = wanted.request(tokens.mean, tokens.high)
        route = self.optimizer.view.route(request.use_case)
        choose = partial(self.optimizer.choose, request, self.line.troubled(route.candidates))
        # A session that memory does not know is looked up in the ledger, and other calls must not wait for that.
        selection = choose() if request.session_id is None else await anyio.to_thread.run_sync(choose)
        settings = self.optimizer.settings
        if settings.secret is not None:
            noted = prompt_hmac(settings.secret.get_secret_value().encode(), wanted.body)
            selection = replace(selection, prompt_hmac=noted)
        return Call(
            wanted,
            settings,
            selection,
            course_of(selection, route.fallbacks, self.line.elsewhere, self._uniform),
            body,
            restoration,
            features,
            selection.use_case,
            wanted.deadline_s or settings.routing.deadline_seconds,
            started,
            route.fallbacks,
            streamed,
        )

    async def _complete(self, wanted: Asked, key: bytes | None) -> Reply:
        call = await self._begun(wanted)
        reply, raw = await self.finished(call)
        self._after(call, reply, raw, key)
        return reply

    async def finished(self, call: Call) -> tuple[Reply, ChatReply]:
        """Make a call whose model is chosen; return its reply, and what came over the wire."""
        served = await self._attempts.serve(call, _ask)
        reply, receipt = self._ending.whole(call, served, served.value)
        if receipt is not None and self.optimizer.settings.durability == "sync":
            await receipt
        return reply, served.value

    def _after(self, call: Call, reply: Reply, raw: ChatReply, key: bytes | None) -> None:
        if key is not None and self._equipment.cache is not None:
            self._equipment.cache.put(key, reply)
        self._judges.consider(call, reply, raw)

    async def _streamed(self, wanted: Asked, progress: Progress) -> AsyncGenerator[Chunk, None]:
        key = self._key(wanted)
        if key is not None and self._equipment.cache is not None:
            found = self._equipment.cache.get(key)
            if found is not None:
                progress.whole = self._reused(wanted, found, "cache")
                progress.selection, progress.model = progress.whole.selection, found.model
                yield Chunk.whole(found.body)
                return
        call = await self._begun(wanted, streamed=True)
        progress.selection = call.selection
        served = await self._attempts.serve(call, partial(open_stream, timer=self._clocks.timer))
        progress.selection = call.selection
        progress.model, progress.degraded_by = self._ending.begun(call, served)
        reception = Reception(served.value, call.restoration)
        async with aclosing(received(call, served, self._attempts, reception)) as chunks:
            async for chunk in chunks:
                yield chunk
        raw = reception.reply
        progress.whole, receipt = self._ending.whole(call, served, raw, served.value.ttft_ms)
        if receipt is not None and self.optimizer.settings.durability == "sync":
            await receipt
        self._after(call, progress.whole, raw, key)

    def _reused(self, wanted: Asked, original: Reply, how: Reuse) -> Reply:
        """Return another call's reply as this call's, and put it down: it cost nothing, and teaches nothing."""
        at, decision = self.optimizer.clock(), original.selection.decision
        selection = replace(
            original.selection,
            call_id=str(uuid7()),
            decided_at=at,
            request=wanted.request(original.selection.request.context_tokens, 0),
            model_id=original.model if original.model in decision.by_model else original.selection.model_id,
            propensity=None,
            overridden_by=how,
            held_out=False,
        )
        attempt = Attempt(selection.call_id, original.model, original.provider, at, reused=how)
        self.optimizer.keep(selection, attempt)
        return replace(original, selection=selection, attempts=(attempt,), latency_ms=0.0, ttft_ms=None)


async def _ask(client: GatewayClient, chat: ChatCall) -> ChatReply:
    return await client.complete(chat)


def _misspelt(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the first option that looks like one of ours with a slip of the pen, and what to do."""
    for name in body:
        close = _like_ours(name)
        if close:
            return name, f"is unknown; did you mean {close}?"
    return None


@lru_cache(maxsize=1024)
def _like_ours(name: str) -> str | None:
    return next(iter(get_close_matches(name, HINTS, n=1, cutoff=0.85)), None)
