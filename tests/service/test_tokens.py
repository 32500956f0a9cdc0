"""A feedback token opens one call until it expires, and no other text does."""

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from optimizer.ledger.database import Database
from optimizer.service.tokens import FeedbackTokens, sign, verify
from optimizer.settings import load_settings

NOW = datetime(2026, 3, 2, 12, 5, tzinfo=UTC)
LATER = NOW + timedelta(days=7)
SECRET = b"s" * 32
CALL = "01936b2e-7c1f-7d3a-9a55-0c1f5e7a2b90"
TOKEN = sign(SECRET, CALL, LATER)


def test_a_token_names_its_call_until_it_expires() -> None:
    assert verify(SECRET, TOKEN, NOW) == CALL
    assert verify(SECRET, TOKEN, LATER - timedelta(seconds=1)) == CALL
    assert verify(SECRET, TOKEN, LATER) is None


def test_a_token_is_short_and_safe_in_urls() -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]{70}", TOKEN)


@given(st.integers(0, len(TOKEN) - 1), st.characters(max_codepoint=255))
def test_any_changed_byte_is_refused(position: int, character: str) -> None:
    changed = TOKEN[:position] + character + TOKEN[position + 1 :]
    assert (verify(SECRET, changed, NOW) == CALL) == (changed == TOKEN)


@given(st.text())
def test_no_other_text_is_a_token(text: str) -> None:
    assert verify(SECRET, text, NOW) is None
    assert verify(SECRET, TOKEN + text, NOW) in (None, CALL if not text else None)


@given(st.binary(max_size=40), st.text(st.characters(codec="ascii"), max_size=60))
def test_every_call_id_comes_back_and_other_secrets_open_nothing(secret: bytes, call_id: str) -> None:
    token = sign(SECRET, call_id, LATER)
    assert verify(SECRET, token, NOW) == call_id
    assert verify(secret, token, NOW) is None


def test_workers_share_the_secret_of_the_settings_or_of_the_ledger(database: Database) -> None:
    of_settings = FeedbackTokens.of(load_settings(None, {"OPTIMIZER_SECRET": "x"}), database)
    for settings in (load_settings(None, {"OPTIMIZER_SECRET": "x"}), load_settings(None, {})):
        one, other = FeedbackTokens.of(settings, database), FeedbackTokens.of(settings, database)
        assert other.verify(one.sign(CALL, NOW), NOW) == CALL
        assert one.verify(one.sign(CALL, NOW), LATER) is None
    assert one.verify(of_settings.sign(CALL, NOW), NOW) is None
