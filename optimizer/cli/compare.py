"""One question to several models at once, and their answers side by side, a model that fails in its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import click

from optimizer.cli.output import short_usd, show_table
from optimizer.engine import Optimizer
from optimizer.errors import OptimizerError
from optimizer.router import Reply, Router

_WIDTH = 48  # of an answer's column


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one model: a reply, or why there is none."""

    model: str
    reply: Reply | None = None
    error: OptimizerError | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """What stands below the model, from the answer down."""
        if self.reply is None:
            return (_wrapped(f"failed: {self.error}"), "", "", "", "", "")
        reply, usage = self.reply, self.reply.usage
        return (
            _wrapped(reply.content or f"no text (finish reason: {reply.finish_reason})"),
            reply.provider,
            f"{reply.latency_ms:,.0f} ms",
            "unknown" if usage is None else f"{usage.input_tokens:,} in, {usage.output_tokens:,} out",
            f"{short_usd(reply.cost_usd)} ({reply.cost_source})" if reply.cost_usd is not None else "unknown",
            reply.call_id,
        )


async def answers_of(opt: Optimizer, models: Sequence[str], request: Mapping[str, Any]) -> list[Answer]:
    """Return every model's answer to a request, all asked at once; nobody stands in for a model that fails."""

    def tell(i: int, outcome: Reply | Exception) -> None:
        click.echo(f"{models[i]}: {'answered' if isinstance(outcome, Reply) else 'failed'}", err=True)

    async with Router(opt) as router:
        requests = [{**request, "model": model} for model in models]
        outcomes = await router.complete_many(
            requests, max_concurrency=len(models), return_exceptions=True, on_done=tell
        )
    return [_answer(model, outcome) for model, outcome in zip(models, outcomes, strict=True)]


def _answer(model: str, outcome: Reply | Exception) -> Answer:
    if isinstance(outcome, Reply):
        return Answer(model, outcome)
    if isinstance(outcome, OptimizerError):
        return Answer(model, error=outcome)
    raise outcome


def show_answers(answers: Sequence[Answer]) -> None:
    """Print the answers as columns, each with what it took below."""
    names = ("answer", "gateway", "latency", "tokens", "cost", "call id")
    rows = zip(names, *(answer.cells for answer in answers), strict=True)
    show_table(("", *(answer.model for answer in answers)), rows)


def _wrapped(text: str) -> str:
    return "\n".join(fill(line, _WIDTH) for line in text.splitlines())
