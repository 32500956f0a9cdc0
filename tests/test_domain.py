"""The nouns refuse what makes no sense, and never take the unknown for zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from optimizer.domain import NANO_USD, Candidate, Objective, Price, Request, Usage, parse_quality
from optimizer.errors import InvalidRequest

qualities = st.integers(0, 10_000).map(lambda n: n / 10_000)
dollars = st.floats(1e-9, 1e3)
objectives = (
    st.just(Objective("quality"))
    | st.builds(Objective, st.sampled_from(["floor", "average"]), qualities, st.booleans())
    | st.builds(Objective, st.sampled_from(["value", "budget"]), dollars)
)


@given(objectives)
def test_text_of_an_objective_is_read_back(objective: Objective) -> None:
    """Twelve digits survive: more than any dollar amount or quality that a person writes."""
    read = Objective.parse(str(objective))
    assert (read.kind, read.relative) == (objective.kind, objective.relative)
    assert read.amount == (None if objective.amount is None else pytest.approx(objective.amount, rel=1e-11))
    assert str(Objective.parse(str(read))) == str(read)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quality", Objective("quality")),
        ("floor", Objective("floor", 0.8)),
        ("floor:0.9", Objective("floor", 0.9)),
        ("average:97%", Objective("average", 0.97, relative=True)),
        ("value:0.05", Objective("value", 0.05)),
        (" budget:5e-4 ", Objective("budget", 0.0005)),
    ],
)
def test_objective_is_read(text: str, expected: Objective) -> None:
    assert Objective.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cheap",
        "floor:1.1",
        "floor:101%",
        "average:nan",
        "value",
        "value:0",
        "value:-1",
        "budget:inf",
        "quality:1",
    ],
)
def test_objective_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="objective"):
        Objective.parse(text)


def test_required_quality_is_a_number_or_a_share_of_the_incumbents() -> None:
    assert parse_quality("97%", field="q") == (0.97, True)
    assert parse_quality(0.9, field="q") == (0.9, False)
    with pytest.raises(InvalidRequest, match=r"^q: "):
        parse_quality("much", field="q")


def test_cost_is_tokens_times_price() -> None:
    """1000 in at $2, 400 of them cached at $0.5, 100 out at $10: (600·2 + 400·0.5 + 100·10)/1e6 = 0.0024."""
    price = Price(2.0, 10.0, 0.5)
    assert price.cost_usd(1000, 100, 400) == pytest.approx(0.0024)


def test_cached_tokens_without_a_price_of_their_own_cost_as_much_as_others() -> None:
    assert Price(2.0, 10.0).cost_usd(1000, 0, 400) == Price(2.0, 10.0).cost_usd(1000, 0)


def test_long_context_is_charged_whole_at_the_long_price() -> None:
    """Up to 200 tokens at $1, past them everything at $3: 200 cost 0.0002, 201 cost 0.000603."""
    price = Price(1.0, 1.0, 0.1, long_over_tokens=200, long_input_usd_per_mtok=3.0, long_output_usd_per_mtok=3.0)
    assert price.cost_usd(200, 0) == pytest.approx(0.0002)
    assert price.cost_usd(201, 0) == pytest.approx(0.000603)


@pytest.mark.parametrize(
    "price",
    [Price(), Price(1.0), Price(None, 1.0), Price(1.0, 1.0, long_over_tokens=5)],
)
def test_unknown_price_is_an_unknown_cost(price: Price) -> None:
    assert price.cost_usd(10, 10) is None


def test_free_is_not_unknown() -> None:
    assert Price(0.0, 0.0).cost_usd(10, 10) == 0.0


@given(st.integers(0, 10**6), st.integers(0, 10**5), st.data())
def test_caching_never_makes_a_call_dearer(n_in: int, n_out: int, data: st.DataObject) -> None:
    n_cached = data.draw(st.integers(0, n_in))
    price = Price(2.0, 10.0, 0.5)
    cached, plain = price.cost_usd(n_in, n_out, n_cached), price.cost_usd(n_in, n_out)
    assert cached is not None
    assert plain is not None
    assert cached <= plain + 1 / NANO_USD


@pytest.mark.parametrize(
    "fields",
    [
        {"context_tokens": -1},
        {"context_tokens": 5, "cost_tier": "platinum"},
        {"context_tokens": 5, "max_cost_usd": float("nan")},
        {"context_tokens": 5, "session_id": ""},
        {"context_tokens": 5, "colour": "red"},
    ],
)
def test_request_out_of_range_is_refused(fields: dict) -> None:
    with pytest.raises(ValidationError):
        Request(use_case="chat", **fields)


def test_nouns_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Candidate(model_id="m").model_id = "n"


def test_negative_tokens_are_refused() -> None:
    with pytest.raises(ValidationError):
        Usage(input_tokens=-1, output_tokens=0)
