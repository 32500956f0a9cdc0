"""`optimizer ask`: one real call, its answer as it comes, and what it took; or several models' answers side by side."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import click

from optimizer.cli.app import App, Verb
from optimizer.cli.asking import open_to_ask
from optimizer.cli.calls import ledger_options
from optimizer.cli.compare import Answer, answers_of, show_answers
from optimizer.cli.output import short_usd, show_json
from optimizer.engine import Optimizer
from optimizer.errors import InvalidRequest
from optimizer.ledger.calls import attempt_dict
from optimizer.router import Reply, Router


def _names(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    """Return what stands between the commas, each once."""
    return tuple(dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip()))


@click.command(cls=Verb, epilog='optimizer ask "Why is the sky blue?" --use-case chat --models gpt-4o,claude-haiku-4-5')
@click.argument("prompt")
@click.option("--use-case", metavar="NAME", help="What kind of request it is.  [default: default_use_case]")
@click.option("--models", callback=_names, metavar="A,B,C", help="Ask each of these models, and compare the answers.")
@click.option("--system", metavar="TEXT", help="Say this first, as the system.")
@click.option("--required-quality", metavar="Q", help="In [0, 1], or 97% of the incumbent's: the cheapest good enough.")
@click.option("--objective", metavar="O", help="Such as average:97%, floor:0.9, value:0.05, budget:0.0005 or quality.")
@click.option("--max-tokens", type=int, metavar="N", help="Upper limit of the answer's length.")
@click.option("--session-id", metavar="ID", help="Calls of one session stay with one model.")
@click.option("--fake", is_flag=True, help="Ask a fake gateway on this machine: no key, no cost, a throw-away ledger.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as JSON, once it is there.")
@click.pass_context
def ask(
    ctx: click.Context,
    /,
    prompt: str,
    *,
    models: tuple[str, ...],
    system: str | None,
    fake: bool,
    as_json: bool,
    **asked: Any,  # noqa: ANN401 - the router's own keywords
) -> None:
    """Ask a model: PROMPT is the question, or - for what comes on stdin.

    The cheapest model that is good enough answers, on stdout; what it took stands on stderr. With --models each named
    model of the catalogue answers, all at once, and a model that fails shows why in its place.
    """
    app: App = ctx.obj
    request = {
        "messages": _messages(prompt, system),
        **{name: given for name, given in asked.items() if given is not None},
    }
    with open_to_ask(app, fake=fake, use_case=asked["use_case"], models=models) as opt:
        if models:
            answers = asyncio.run(answers_of(opt, models, request))
            _show_all(answers, as_json=as_json)
            ctx.exit(0 if any(answer.reply for answer in answers) else 1)
        kept = "its ledger is thrown away" if fake and app.database is None else None
        if as_json:
            show_json(_reply_json(asyncio.run(_whole(opt, request))))
        else:
            click.echo(_told(asyncio.run(_streamed(opt, request)), ledger_options(app), kept), err=True)


def _messages(prompt: str, system: str | None) -> list[Mapping[str, str]]:
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise InvalidRequest("prompt", "is empty")
    first: list[Mapping[str, str]] = [{"role": "system", "content": system}] if system else []
    return [*first, {"role": "user", "content": text}]


async def _whole(opt: Optimizer, request: Mapping[str, Any]) -> Reply:
    async with Router(opt) as router:
        return await router.complete(**request)


async def _streamed(opt: Optimizer, request: Mapping[str, Any]) -> Reply:
    """Print the answer as it comes; whatever ends it, what follows begins on a line of its own."""
    last = "\n"
    try:
        async with Router(opt) as router, router.stream(**request) as stream:
            async for chunk in stream:
                click.echo(chunk.text, nl=False)
                last = chunk.text[-1:] or last
            return stream.reply
    finally:
        if last != "\n":
            click.echo()


def _told(reply: Reply, options: str, kept: str | None) -> str:
    """Return the line that says what an answer took and what can be done about it."""
    first = "" if reply.ttft_ms is None else f", first token {reply.ttft_ms:,.0f} ms"
    stood_in = f" ({reply.degraded_by.replace('_', ' ')})" if reply.degraded_by else ""
    cost = short_usd(reply.cost_usd) + ("" if reply.cost_usd is None else f" {reply.cost_source}")
    nothing = "" if reply.content else f"no text (finish reason: {reply.finish_reason}) · "
    done = kept or f"optimizer rate {reply.call_id} 0.9{options} · optimizer explain {reply.call_id}{options}"
    took = f"{reply.latency_ms:,.0f} ms{first} · {_tokens(reply)} · {cost} · call {reply.call_id}"
    return f"{nothing}{reply.model} through {reply.provider}{stood_in} · {took} · {done}"


def _tokens(reply: Reply) -> str:
    usage = reply.usage
    return "tokens unknown" if usage is None else f"{usage.input_tokens:,} in, {usage.output_tokens:,} out tokens"


def _show_all(answers: list[Answer], *, as_json: bool) -> None:
    if not as_json:
        show_answers(answers)
        return
    show_json({"answers": [_answer_json(answer) for answer in answers]})


def _answer_json(answer: Answer) -> dict[str, Any]:
    return {
        "model": answer.model,
        "error": None if answer.error is None else str(answer.error),
        "reply": None if answer.reply is None else _reply_json(answer.reply),
    }


def _reply_json(reply: Reply) -> dict[str, Any]:
    return {
        "call_id": reply.call_id,
        "use_case": reply.selection.use_case,
        "model": reply.model,
        "gateway": reply.provider,
        "content": reply.content,
        "finish_reason": reply.finish_reason,
        "usage": None if reply.usage is None else reply.usage.model_dump(),
        "latency_ms": reply.latency_ms,
        "cost_usd": reply.cost_usd,
        "cost_source": reply.cost_source,
        "degraded_by": reply.degraded_by,
        "reused": reply.reused,
        "attempts": [attempt_dict(attempt) for attempt in reply.attempts],
    }
