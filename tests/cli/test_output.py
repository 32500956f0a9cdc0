"""What verbs print beside their results: short numbers, and how far they have come."""

import pytest

from optimizer.cli.output import READ_IN_SECONDS, WORTH_TELLING, progress, reading, share, short_usd


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "unknown"),
        (0.0, "$0.00"),
        (1234.5, "$1,234.50"),
        (0.5, "$0.500"),
        (0.012345, "$0.0123"),
        (-0.00002071, "-$0.0000207"),
        (1e-12, "$0.000000000"),
    ],
)
def test_dollars_are_short_and_unknown_is_not_zero(usd: float | None, text: str) -> None:
    assert short_usd(usd) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "unknown"), (0.0, "0.0%"), (0.0002, "<0.1%"), (0.4567, "45.7%"), (1.0, "100.0%")]
)
def test_shares_are_short(value: float | None, text: str) -> None:
    assert share(value) == text


def test_long_work_says_on_stderr_how_much_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    for total in (WORTH_TELLING - 1, WORTH_TELLING):
        with progress("Reading calls", total) as told:
            told(1)
    assert capsys.readouterr() == ("", f"Reading calls: {WORTH_TELLING:,}\n")


def test_a_long_reading_is_told_of_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with reading("Reading") as told:
        for n in (READ_IN_SECONDS - 1, READ_IN_SECONDS + 5, READ_IN_SECONDS + 6, 2 * READ_IN_SECONDS + 5):
            told(n)
    assert capsys.readouterr() == ("", "Reading: 500,005\nReading: 1,000,005\n")
