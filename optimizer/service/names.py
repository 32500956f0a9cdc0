"""The names that a request may give for a model: `auto`, `auto:<use case>`, or a model as any gateway calls it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from optimizer.catalog import Catalog
from optimizer.errors import UnknownModel
from optimizer.routes import Route, Routes

AUTO = "auto"


@dataclass(frozen=True)
class Asked:
    """What a model's name comes to: a use case, a pinned model, or neither."""

    use_case: str | None = None
    model: str | None = None


class ModelNames:
    """Reads model names: ours, and those of OpenRouter and Portkey."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def asked(self, name: str | None, use_case: str | None, routes: Routes) -> Asked:
        """Return what a request's `model` asks for, together with the use case that it names elsewhere.

        No name is `auto`. A pinned model without a use case goes to the default one if it is offered there, else to
        the first one that offers it. `auto:<use case>` counts before what is named elsewhere.

        Raises
        ------
        UnknownModel
            If no use case offers such a model.
        """
        if name is None or name == AUTO:
            return Asked(use_case)
        if name.startswith(f"{AUTO}:"):
            return Asked(name.removeprefix(f"{AUTO}:") or use_case)
        key = self._key(name)
        if use_case is None and key is not None:
            use_case = next((route.name for route in _default_first(routes) if key in _offered(route)), None)
        if key is None or use_case is None:
            offered = dict.fromkeys(model for route in routes.by_use_case.values() for model in _offered(route))
            raise UnknownModel(name[:100], (AUTO, *offered))
        return Asked(use_case, key)

    def _key(self, name: str) -> str | None:
        """Return the catalogue's key of a model by any of its names, whatever stored key or variant they mention."""
        if name in self._catalog:
            return name
        if name.startswith("@"):
            name = name.partition("/")[2]
        return self._keys.get(name) or self._keys.get(name.partition(":")[0])

    @cached_property
    def _keys(self) -> dict[str, str]:
        keys = {model.portkey_model: key for key, model in reversed(list(self._catalog.models.items()))}
        keys |= {model.openrouter_id: key for key, model in self._catalog.models.items() if model.openrouter_id}
        return keys | {key: key for key in self._catalog.models}


def _offered(route: Route) -> list[str]:
    return [candidate.model_id for candidate in (*route.candidates, *route.fallbacks)]


def _default_first(routes: Routes) -> Iterator[Route]:
    if routes.default_use_case is not None:
        yield routes[routes.default_use_case]
    yield from routes.by_use_case.values()
