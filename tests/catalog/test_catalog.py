"""The catalogue that ships: complete, priced by date, addressed per gateway, and strict about its files."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from optimizer.catalog import Model, data_folder, load_catalog
from optimizer.catalog.tables import read_rows
from optimizer.domain import Price
from optimizer.errors import InvalidCatalog, UnknownModel

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CATALOG = load_catalog()


def test_every_model_is_there_with_its_benchmark_figures() -> None:
    assert len(CATALOG.models) == 63
    assert len(CATALOG.figures) == 627
    assert {figure.key for figure in CATALOG.figures} == set(CATALOG.models)


def test_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match=r"gpt-9.*known: gpt-4o"):
        CATALOG.price("gpt-9", "portkey", NOW)


@pytest.mark.parametrize(
    ("key", "change", "before", "after"),
    [
        ("gemini-3.8-flash", datetime(2027, 1, 1, tzinfo=UTC), (0.75, 3.75, 0.075), (1.5, 7.5, 0.15)),
        ("gpt-5.6-luna", datetime(2026, 7, 30, tzinfo=UTC), (1.0, 6.0, None), (0.2, 1.2, 0.02)),
        ("gpt-5.6-sol", datetime(2026, 11, 22, tzinfo=UTC), (4.0, 20.0, 0.4), (5.0, 30.0, 0.5)),
    ],
)
def test_price_changes_at_midnight_utc(key: str, change: datetime, before: tuple, after: tuple) -> None:
    """A price holds up to but without `valid_until`; past the last known row the list price is back."""
    assert _plain(CATALOG.price(key, "portkey", change - timedelta(microseconds=1))) == before
    assert _plain(CATALOG.price(key, "portkey", change)) == after


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-23 00:59:59", 0.66),  # a Monday
        ("2026-11-23 01:00:00", 1.32),
        ("2026-11-23 03:59:59", 1.32),
        ("2026-11-23 04:00:00", 0.66),
        ("2026-11-27 09:59:59", 1.32),  # a Friday
        ("2026-11-27 10:00:00", 0.66),
        ("2026-11-28 02:00:00", 0.66),  # a Saturday
    ],
)
def test_peak_hours_cost_more(at: str, expected: float) -> None:
    price = CATALOG.price("deepseek-v4-pro", "portkey", datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert price.input_usd_per_mtok == expected


def test_time_zone_of_the_question_does_not_matter() -> None:
    peak = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
    elsewhere = datetime.fromisoformat("2026-11-22T20:30:00-05:00")
    assert CATALOG.price("deepseek-v4-pro", "portkey", elsewhere) == CATALOG.price("deepseek-v4-pro", "portkey", peak)


def test_price_of_an_hour_that_was_never_published_is_unknown() -> None:
    assert CATALOG.price("deepseek-v4-flash", "portkey", datetime(2026, 11, 23, 2, tzinfo=UTC)) == Price()


def test_price_of_another_host_is_not_the_vendors() -> None:
    """Azure went on charging 2.5/15 for gpt-5.6-terra when OpenAI had cut it to 2/12."""
    assert _plain(CATALOG.price("gpt-5.6-terra", "portkey", NOW)) == (2.0, 12.0, 0.2)


def test_openrouter_has_prices_of_its_own() -> None:
    assert CATALOG.price("llama-3.3-70b", "openrouter", NOW).input_usd_per_mtok == 0.13
    assert CATALOG.price("llama-3.3-70b", "portkey", NOW).input_usd_per_mtok == 0.59
    assert CATALOG.price("gpt-6-sol", "openrouter", NOW) == Price(long_over_tokens=272_000)


@given(st.integers(-10_000, 10_000).map(lambda hours: NOW + timedelta(hours=hours)), st.sampled_from([*CATALOG.models]))
def test_price_stands_still_until_the_next_known_day(at: datetime, key: str) -> None:
    """Only days named in the table, and hours of the week, change a price."""
    until = CATALOG.next_price_change(key, at)
    week_later = at + timedelta(days=7)
    if until is None or week_later.date() < until:
        assert CATALOG.price(key, "portkey", week_later) == CATALOG.price(key, "portkey", at)
    assert until is None or until > at.date()


def test_next_change_of_an_introductory_price_is_known() -> None:
    assert CATALOG.next_price_change("gemini-3.8-flash", NOW) == date(2027, 1, 1)
    assert CATALOG.next_price_change("gpt-4o", NOW) is None


def test_price_version_changes_with_a_price_and_only_then() -> None:
    new_year = datetime(2027, 1, 1, 11, tzinfo=UTC)
    assert CATALOG.price_version(NOW) == CATALOG.price_version(NOW + timedelta(hours=5))
    assert CATALOG.price_version(new_year) != CATALOG.price_version(new_year - timedelta(hours=12))
    assert len(CATALOG.price_version(NOW)) == 12


def test_model_is_served_until_the_day_it_retires() -> None:
    assert CATALOG.servable("o3", datetime(2026, 12, 9, 23, 59, tzinfo=UTC))
    assert not CATALOG.servable("o3", datetime(2026, 12, 10, tzinfo=UTC))
    assert not CATALOG.servable("claude-3-opus", NOW)
    assert CATALOG.servable("gpt-4o", NOW)


def test_each_gateway_has_its_own_name_for_a_model() -> None:
    assert CATALOG.wire_name("claude-haiku-4-5", "portkey") == "@anthropic/claude-haiku-4-5"
    assert CATALOG.wire_name("claude-haiku-4-5", "openrouter") == "anthropic/claude-haiku-4.5"
    assert CATALOG.wire_name("gpt-oss-120b", "portkey", slug="my-groq") == "@my-groq/openai/gpt-oss-120b"
    assert CATALOG.wire_name("mistral-large-2512", "direct") == "mistral-large-2512"
    with pytest.raises(UnknownModel, match="claude-3-opus at OpenRouter"):
        CATALOG.wire_name("claude-3-opus", "openrouter")


def test_candidate_carries_what_the_decision_needs() -> None:
    candidate = CATALOG.candidate("gpt-5.4-mini", "portkey", NOW)
    assert candidate.context_window_tokens == 400_000
    assert candidate.supports_vision is True
    assert candidate.accepts_temperature is False
    assert candidate.price.cost_usd(1_000_000, 1_000_000) == pytest.approx(5.25)


def test_what_is_not_known_of_a_model_is_none() -> None:
    candidate = CATALOG.candidate("claude-haiku-5-5", "portkey", NOW)
    assert candidate.context_window_tokens is None
    assert candidate.supports_json_schema is None


# What is wrong with a file is said with its name, line and column.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("models.csv", "price_changes.csv", "benchmarks.csv"):
        shutil.copy(data_folder() / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "models.csv",
            ",128000,16384,text+image+pdf",
            ",many,16384,text",
            r"models\.csv, line 2, column context_window_t",
        ),
        (
            "models.csv",
            "gpt-4o,openai,openai/gpt-4o,openai,gpt-4o,2.5",
            "gpt-4o,,,openai,gpt-4o,nan",
            "line 2, column vendor",
        ),
        ("models.csv", "gpt-4o,2.5,10", "gpt-4o,-2.5,10", r"line 2, column input_usd_per_mtok.*-2\.5"),
        ("models.csv", "gpt-4o,2.5,10", "gpt-4o,inf,10", "line 2, column input_usd_per_mtok"),
        ("models.csv", "\ngpt-4o-mini,", "\ngpt-4o,", "line 3, column key: 'gpt-4o' stands here a second time"),
        ("models.csv", "key,vendor", "key,vendour", "line 1, column vendor: must stand in the header once"),
        ("models.csv", "\ngpt-4o,openai,", "\ngpt-4o,openai,x,", "line 2, column notes: 28 cells where 27 belong"),
        ("price_changes.csv", ",promotion,", ",peak: Mon-Fri,", "price_changes.csv, line 3, column condition"),
        ("price_changes.csv", "2026-07-09", "2026-13-09", "price_changes.csv, line 2, column valid_from"),
        ("benchmarks.csv", "gpt-4o,code", "gpt-9,code", "benchmarks.csv, line 2, column key: no model 'gpt-9'"),
        ("benchmarks.csv", "percent", "stars", "benchmarks.csv, line 2, column scale"),
    ],
)
def test_wrong_cell_is_named(folder: Path, name: str, old: str, new: str, message: str) -> None:
    text = (folder / name).read_text()
    (folder / name).write_text(text.replace(old, new, 1))
    with pytest.raises(InvalidCatalog, match=message):
        load_catalog(folder)


@given(st.floats(0.05, 0.98))
def test_file_cut_inside_a_line_is_refused(share: float) -> None:
    """A cut between two lines cannot be seen in one file; the other tables then name models that are missing."""
    text = (data_folder() / "models.csv").read_text()
    cut = text[: int(len(text) * share)]
    assume(not cut.endswith("\n"))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "models.csv"
        path.write_text(cut)
        with pytest.raises(InvalidCatalog, match=r"models\.csv, line \d+"):
            read_rows(path, Model)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"key\n", b"\x00"])
def test_unreadable_file_is_refused(folder: Path, content: bytes) -> None:
    (folder / "models.csv").write_bytes(content)
    with pytest.raises(InvalidCatalog, match=r"models\.csv"):
        load_catalog(folder)


def test_missing_file_is_refused(folder: Path) -> None:
    (folder / "benchmarks.csv").unlink()
    with pytest.raises(InvalidCatalog, match=r"benchmarks\.csv: cannot be read"):
        load_catalog(folder)


def _plain(price: Price) -> tuple[float | None, float | None, float | None]:
    return price.input_usd_per_mtok, price.output_usd_per_mtok, price.cached_usd_per_mtok
