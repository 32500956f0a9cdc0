"""A session keeps the model that was written first, until that one cannot serve any more."""

from optimizer.ledger.database import Database
from optimizer.ledger.sessions import SessionChoice, recall_session, remember_session
from tests.ledger.factory import NOON


def choice(model_id: str, instead_of: str | None = None, use_case: str = "chat") -> SessionChoice:
    return SessionChoice(use_case, "s", model_id, NOON, instead_of)


def test_the_first_choice_is_everybodys(database: Database) -> None:
    assert recall_session(database, "chat", "s") is None
    assert remember_session(database, choice("small")) == "small"
    assert remember_session(database, choice("large")) == "small"
    assert recall_session(database, "chat", "s") == "small"


def test_use_cases_of_a_session_choose_apart(database: Database) -> None:
    remember_session(database, choice("small"))
    assert remember_session(database, choice("large", use_case="code")) == "large"
    assert recall_session(database, "chat", "s") == "small"


def test_a_session_moves_away_from_the_model_it_has_and_no_other(database: Database) -> None:
    remember_session(database, choice("small"))
    assert remember_session(database, choice("large", instead_of="other")) == "small"
    assert remember_session(database, choice("large", instead_of="small")) == "large"
    assert remember_session(database, choice("third", instead_of="small")) == "large"
