"""Tokens with which whoever got a reply may rate that one call, without an API key, until they expire.

A token reads `<call id>.<expiry>.<signature>`, all of it safe in URLs: expiry in seconds since the epoch, signature
the first 128 bits of an HMAC-SHA256. The text itself is signed, so that one token has one spelling.
"""

import hmac
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from optimizer.ledger.database import Database
from optimizer.ledger.shared_secrets import shared_secret
from optimizer.settings import Settings

HEADER = "x-optimizer-feedback-token"
_PURPOSE = b"feedback token\0"
_BYTES = 16
_LONGEST = 400


def sign(secret: bytes, call_id: str, expires_at: datetime) -> str:
    """Return the token of a call; `expires_at` is aware."""
    claim = f"{call_id}.{int(expires_at.timestamp())}"
    return f"{claim}.{_signature(secret, claim)}"


def verify(secret: bytes, token: str, now: datetime) -> str | None:
    """Return the id of the call that a token is for; None where it is not ours, was changed or has expired."""
    if len(token) > _LONGEST or not token.isascii():
        return None
    claim, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature, _signature(secret, claim)):
        return None
    call_id, _, expiry_s = claim.rpartition(".")
    return call_id if now < datetime.fromtimestamp(int(expiry_s), UTC) else None


class FeedbackTokens:
    """Signs and reads the tokens of one service: the same on all workers at one database.

    Parameters
    ----------
    ttl : timedelta
        How long a token lives.
    """

    def __init__(self, secret: bytes, ttl: timedelta) -> None:
        self._secret = secret
        self._ttl = ttl

    @classmethod
    def of(cls, settings: Settings, database: Database) -> "FeedbackTokens":
        """Return what signs by OPTIMIZER_SECRET, else with a secret that is made once and kept in the ledger."""
        given = settings.secret
        secret = shared_secret(database, "feedback token") if given is None else given.get_secret_value().encode()
        return cls(secret, settings.service.feedback_token_ttl)

    def sign(self, call_id: str, now: datetime) -> str:
        """Return the token of a call that is answered now."""
        return sign(self._secret, call_id, now + self._ttl)

    def verify(self, token: str, now: datetime) -> str | None:
        """Return the id of the call that a token is for, or None."""
        return verify(self._secret, token, now)


def _signature(secret: bytes, claim: str) -> str:
    # The purpose keeps this apart from all else that the same secret may sign.
    # Not `hmac.digest`: it lets go of the interpreter, which another thread may then keep for milliseconds.
    digest = hmac.new(secret, _PURPOSE + claim.encode(), sha256).digest()[:_BYTES]
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
