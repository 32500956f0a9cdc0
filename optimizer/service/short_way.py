"""The way of a chat past FastAPI's routing, which would take a sixth of its time; every other request goes on as ever.

FastAPI's route stays: it documents the endpoint, and answers other methods. What it would do before the endpoint and
after it is little, and is done here: find out who calls, and put errors into OpenAI's shape.
"""

from datetime import UTC, datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from optimizer.errors import OptimizerError
from optimizer.service import chat
from optimizer.service.errors import ApiError, answer_to, http_answer
from optimizer.service.security import called_by

_ROUTE = chat.router.routes[0]
_PATH = "/v1/chat/completions"


class ShortWay:
    """Answers chats itself; to stand innermost of all that stands before every request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a chat, and pass on what is none."""
        if scope["type"] != "http" or scope["path"] != _PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["route"] = _ROUTE  # for the log
        response = await _answer(Request(scope, receive))
        await response(scope, receive, send)


async def _answer(request: Request) -> Response:
    try:
        caller = await called_by(request, "call")
        return await chat.chat(request, request.app.state.service, caller)
    except HTTPException as error:
        return http_answer(request, error).response
    except (ApiError, OptimizerError, RecursionError) as error:
        return answer_to(error, datetime.now(UTC)).response
