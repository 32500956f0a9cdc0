"""From what a caller gives to a request, refused by the caller's own names where it is wrong."""

from pydantic import ValidationError

from optimizer.domain import Request
from optimizer.engine.outcome import refused


def request_of(**given: object) -> Request:
    """Return the request.

    Raises
    ------
    InvalidRequest
        If a value is out of range; the error names the argument.
    """
    try:
        return Request.model_validate(given)
    except ValidationError as error:
        raise refused(error, names={"context_tokens": "context_length"}) from None
