"""What every handler needs, in one value that hangs on the application."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from optimizer.engine import Optimizer
from optimizer.router import Router
from optimizer.service.names import ModelNames
from optimizer.service.security import Gate
from optimizer.service.traffic import Traffic


@dataclass(frozen=True)
class Service:
    """One process's service.

    Attributes
    ----------
    gate : Gate
        Lets callers in, and signs the feedback tokens.
    """

    router: Router
    traffic: Traffic
    names: ModelNames
    gate: Gate

    @property
    def optimizer(self) -> Optimizer:
        """Who chooses and learns."""
        return self.router.optimizer


async def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(service_of)]
