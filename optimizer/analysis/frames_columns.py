"""What the frames' tables hold: every column's name, type and meaning, and which tables are stored by day."""

from collections.abc import Mapping
from typing import NamedTuple

TEXT, WHOLE, NUMBER, YES_NO, TIME = "string", "int64", "float64", "boolean", "timestamp('UTC', 6)"


class Column(NamedTuple):
    """One column: its name, its type as ibis writes it, and what it means, in words."""

    name: str
    type: str
    meaning: str


_CALL = Column("call_id", TEXT, "the call, a UUIDv7")
_MODEL = Column("model", TEXT, "the model")
_TOKENS = (
    Column("input_tokens", WHOLE, "tokens of the prompt, cached ones too; null is unknown"),
    Column("cached_tokens", WHOLE, "of these, from the provider's cache"),
    Column("output_tokens", WHOLE, "tokens of the reply, reasoning too"),
    Column("reasoning_tokens", WHOLE, "of these, spent on reasoning"),
)
_SPEED = (
    Column("latency_ms", NUMBER, "milliseconds to the last token"),
    Column("ttft_ms", NUMBER, "milliseconds to the first token"),
)
_STANDING = (
    Column("model", TEXT, "a candidate of the use case"),
    Column("gateway", TEXT, "the gateway that it is reached through"),
    Column("share", NUMBER, "its probability to be drawn, 0 where it was left out; sums to 1"),
    Column("exclusion", TEXT, "why it was left out, in words; null where it was not"),
    Column("is_incumbent", YES_NO, "whether it is who would serve without us"),
    Column("expected_quality", NUMBER, "posterior mean quality, 0 to 1"),
    Column("quality_low", NUMBER, "lower end of the quality's 95% interval"),
    Column("quality_high", NUMBER, "upper end of the quality's 95% interval"),
    Column("asked_quality", NUMBER, "the quality asked for, 0 to 1, where the objective has one"),
    Column("expected_cost_usd", NUMBER, "expected dollars of the call; null is unknown"),
    Column("expected_latency_ms", NUMBER, "median latency of the model in this use case, milliseconds"),
    Column("n_ratings", NUMBER, "ratings behind the belief, faded with age"),
)

STORED: Mapping[str, tuple[Column, ...]] = {
    "calls": (
        _CALL,
        Column("decided_at", TIME, "when its model was chosen"),
        Column("use_case", TEXT, "the use case, aliases resolved"),
        Column("segment", TEXT, "the segment of the use case; empty where it has none"),
        Column("session_id", TEXT, "the session that the call belongs to"),
        Column("tenant", TEXT, "whom the call was for"),
        Column("decision", TEXT, "the decision that it was drawn from, shared by calls that are alike"),
        Column("model", TEXT, "who was to serve"),
        Column("drawn_model", TEXT, "who was drawn; another only where something overrode the draw"),
        Column("propensity", NUMBER, "probability of the drawn model; null where nothing was drawn"),
        Column("overridden_by", TEXT, "what overrode the draw, such as `pin`, `session` or `rule:<name>`"),
        Column("held_out", YES_NO, "whether it belongs to the holdout, which the incumbent serves"),
        Column("objective", TEXT, "what was asked of the choice, such as `average:97%`"),
        Column("required_quality", TEXT, "the quality that the request asked for, a number or a share such as `97%`"),
        Column("quality_per_usd", NUMBER, "the price of money: quality given up for a dollar a call saved"),
        Column("exploration", NUMBER, "share of calls spread over all candidates left in"),
        Column("context_tokens", WHOLE, "length of the prompt as it was known before the choice"),
        Column("policy_version", TEXT, "version of settings and code that decided"),
        Column("price_version", TEXT, "version of the prices"),
        Column("segmenter_version", TEXT, "version of what tells segments apart"),
    ),
    "tags": (
        _CALL,
        Column("name", TEXT, "name of a tag of the call"),
        Column("value", TEXT, "its value"),
    ),
    "attempts": (
        _CALL,
        Column("number", WHOLE, "0 is the first attempt at the call"),
        Column("model", TEXT, "who was asked"),
        Column("gateway", TEXT, "the gateway"),
        Column("ended_at", TIME, "when the attempt ended"),
        Column("served", YES_NO, "whether its reply is the one that the caller got"),
        Column("status", WHOLE, "HTTP status; null where there was none"),
        Column("error_kind", TEXT, "a word such as `timeout`; null where it succeeded"),
        Column("provider", TEXT, "the company that ran the model, where the gateway said so"),
        Column("model_version", TEXT, "the version that answered, as the provider names it"),
        *_SPEED,
        *_TOKENS,
        Column("cost_usd", NUMBER, "dollars; null is unknown, never free"),
        Column("cost_source", TEXT, "`reported`, `priced`, `estimated` or `unknown`"),
        Column("reused", TEXT, "`cache` or `in_flight`: the reply is another call's, and cost nothing"),
    ),
    "feedback": (
        _CALL,
        Column("metric", TEXT, "what was rated; empty is the quality of the call's use case"),
        Column("rater", TEXT, "who rated; judges' names begin with `judge:`"),
        Column("value", NUMBER, "0 to 1; null where the rating was withdrawn"),
        Column("rated_at", TIME, "when it was rated"),
    ),
    "standings": (Column("decision", TEXT, "the decision, as in `calls`"), *_STANDING),
    "evidence": (
        Column("use_case", TEXT, "the use case"),
        Column("segment", TEXT, "its segment"),
        _MODEL,
        Column(
            "measure",
            TEXT,
            "`calls`, `failure`, `input_tokens`, `cached_tokens`, `output_tokens`, `cost_usd`, `quality`, "
            "`latency_ms` or `ttft_ms`",
        ),
        Column("metric", TEXT, "of `quality`: which"),
        Column(
            "bin_from",
            NUMBER,
            "of `latency_ms`, `ttft_ms`: where the bin begins, in ms; of `calls`: its centre, tokens",
        ),
        Column("from_at", TIME, "when the bucket begins"),
        Column("width_s", WHOLE, "how long it is, in seconds"),
        Column("n", WHOLE, "calls counted, for `failure` attempts"),
        Column("total", NUMBER, "sum in the measure's unit: tokens, dollars, quality, failures; 0 for bins of time"),
        Column("square", NUMBER, "sum of squares, in the unit's square; 0 for money and bins of time"),
    ),
    "prices": (
        _MODEL,
        Column("gateway", TEXT, "the gateway"),
        Column("from_at", TIME, "from when on this price is in force"),
        Column("input_usd_per_mtok", NUMBER, "dollars per million tokens of input; null is unknown, never free"),
        Column("output_usd_per_mtok", NUMBER, "the same of output"),
        Column("cached_usd_per_mtok", NUMBER, "the same of cached input; null: as uncached"),
        Column(
            "long_over_tokens", WHOLE, "above so many tokens of input, the whole call is charged at the long prices"
        ),
        Column("long_input_usd_per_mtok", NUMBER, "long price of input"),
        Column("long_output_usd_per_mtok", NUMBER, "long price of output"),
        Column("source", TEXT, "where the price was found"),
    ),
    "alarms": (
        _MODEL,
        Column("subject", TEXT, "`quality` or `failure`"),
        Column("direction", TEXT, "`decline` or `improvement`"),
        Column("since_at", TIME, "when it began to drift"),
        Column("raised_at", TIME, "when the alarm was raised"),
    ),
    "budgets": (
        Column("scope_kind", TEXT, "`everything`, `use_case` or `tenant`"),
        Column("scope_name", TEXT, "which; empty for everything"),
        Column("window_kind", TEXT, "the limit's window, such as `day`"),
        Column("start_at", TIME, "when the window begins"),
        Column("spent_usd", NUMBER, "dollars spent in it"),
        Column("reserved_usd", NUMBER, "dollars set aside for calls under way"),
    ),
}

DERIVED: Mapping[str, tuple[Column, ...]] = {
    "candidates": (
        _CALL,
        Column("decided_at", TIME, "when its model was chosen"),
        Column("use_case", TEXT, "the use case"),
        *_STANDING,
    ),
    "served": (
        _CALL,
        Column("decided_at", TIME, "when its model was chosen"),
        Column("use_case", TEXT, "the use case"),
        Column("segment", TEXT, "its segment"),
        Column("tenant", TEXT, "whom the call was for"),
        Column("session_id", TEXT, "the session that the call belongs to"),
        Column("held_out", YES_NO, "whether it belongs to the holdout"),
        Column("chosen_model", TEXT, "who was to serve"),
        Column("model", TEXT, "who served"),
        Column("gateway", TEXT, "through which gateway"),
        Column("provider", TEXT, "the company that ran the model, where the gateway said so"),
        *_SPEED,
        *_TOKENS,
        Column("cost_usd", NUMBER, "dollars of all attempts, failed ones too; null if that of any is unknown"),
        Column("n_attempts", WHOLE, "attempts that were made"),
    ),
}

COLUMNS: Mapping[str, tuple[Column, ...]] = {**STORED, **DERIVED}

BY_DAY = ("calls", "tags", "attempts", "feedback", "standings")  # of the call, in UTC; the others are small


def data_dictionary() -> str:
    """Return every table with its columns, in Markdown."""
    return "\n\n".join(_described(table, columns) for table, columns in COLUMNS.items()) + "\n"


def _described(table: str, columns: tuple[Column, ...]) -> str:
    rows = [f"| `{column.name}` | {column.type.partition('(')[0]} | {column.meaning} |" for column in columns]
    return "\n".join((f"### `{table}`", "", "| column | type | meaning |", "|---|---|---|", *rows))
