"""What went wrong on a day is found: the key that was refused, who stood in, and bills as the list has them."""

from datetime import timedelta

import pytest

from optimizer.analysis import figures
from optimizer.analysis.questions import incidents
from optimizer.analysis.questions.reading import Records
from optimizer.simulation.events import CHEAPER, CHEAPER_BY, LOCKED, LOCKED_FROM, LOCKED_UNTIL
from tests.simulation.day import START


def test_refused_key_is_one_incident(records: Records) -> None:
    (found,) = [each for each in incidents.incidents(records) if each.kind == "auth"]
    assert found.gateway == LOCKED
    assert found.failures[0].at >= START + LOCKED_FROM
    assert found.failures[-1].at < START + LOCKED_UNTIL + timedelta(minutes=1)
    assert len(found.failures) <= found.n_attempts
    assert str(found) in incidents.in_words(records)


def test_failures_and_stand_ins_are_those_of_the_calls(records: Records) -> None:
    frame = incidents.failures_by_hour(records)
    failed = frame.filter(frame["what"].str.starts_with("failed"))["count"].sum()
    stood_in = frame.filter(frame["what"].str.starts_with("served"))["count"].sum()
    assert failed == sum(a.error_kind is not None for call in records.calls for a in call.attempts)
    assert stood_in == sum(call.failed_over_to is not None for call in records.calls)


def test_bills_are_what_the_list_asks_for_but_for_the_price_that_was_cut(records: Records) -> None:
    """The catalogue that ships knows nothing of the simulated cut, which Portkey's calls were priced by."""
    for row in incidents.bills(records).iter_rows(named=True):
        cut = row["model"] == CHEAPER and row["source"] == "priced"
        assert row["ratio"] == pytest.approx(1.0 - CHEAPER_BY if cut else 1.0)
    assert f"{CHEAPER} cost 0.40 of its list price" in incidents.in_words(records)


def test_trouble_is_drawn_and_its_absence_said(records: Records) -> None:
    frame = incidents.failures_by_hour(records)
    assert "attempts and calls" in figures.trouble(frame).to_json()
    assert "nothing failed" in figures.trouble(frame.clear()).to_json()
