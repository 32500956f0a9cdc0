"""Which model a request means, under whatever name a gateway gives it, and whose script and price that model has."""

from dataclasses import dataclass
from datetime import datetime

from optimizer.catalog import Catalog, Model
from optimizer.domain import Gateway, Price
from optimizer.simulation.fake_gateway.script import ModelScript, Script

REAL_NAMES = ("@cf/", "@hf/")  # of models, not of stored providers
FREE = Price(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Known:
    """A model as it was asked for, with all that is known about it.

    Attributes
    ----------
    name : str
        On the wire, without the `@slug/`.
    provider : str
        Portkey's slug.
    key : str
        The catalogue's name where it has one, else the wire's.
    """

    name: str
    provider: str
    key: str
    script: ModelScript
    price: Price
    model: Model | None = None
    is_known: bool = True


class Names:
    """Finds models by name; what was found once is remembered, as the script and the day do not change."""

    def __init__(self, script: Script, catalog: Catalog, at: datetime) -> None:
        self._script, self._catalog, self._at = script, catalog, at
        models = catalog.models.values()
        self._by_wire = {model.portkey_model: model for model in models}
        self._by_wire |= {model.openrouter_id: model for model in models if model.openrouter_id}
        self._by_wire |= {model.key: model for model in models}
        self._found: dict[tuple[Gateway, str, str | None], Known] = {}
        self._scripts = {name: own.over(script.default) for name, own in script.models.items()}

    @property
    def providers(self) -> frozenset[str]:
        """Portkey's slugs of all providers in the catalogue."""
        return frozenset(model.portkey_provider for model in self._catalog.models.values()) | {
            "openrouter",
            "vertex-ai",
        }

    @property
    def models(self) -> tuple[Model, ...]:
        """All models of the catalogue that are served."""
        return tuple(model for model in self._catalog.models.values() if model.servable(self._at))

    def find(self, gateway: Gateway, name: str, provider: str | None) -> Known:
        """Return the model of this name; `provider` is Portkey's slug where the request names one."""
        asked = (gateway, name, provider)
        if asked not in self._found:
            self._found[asked] = self._find(gateway, name, provider)
        return self._found[asked]

    def _find(self, gateway: Gateway, name: str, provider: str | None) -> Known:
        plain = name.partition(":")[0] if gateway == "openrouter" or provider == "openrouter" else name
        model = self._by_wire.get(plain)
        key = plain if model is None else model.key
        names = (name, plain, key)
        script = next((self._scripts[n] for n in names if n in self._scripts), None)
        return Known(
            name=name,
            provider=provider or (model.portkey_provider if model else "openai"),
            key=key,
            script=script or self._script.default,
            price=self._price(gateway if provider != "openrouter" else "openrouter", name, model),
            model=model,
            is_known=script is not None or model is not None,
        )

    def _price(self, gateway: Gateway, name: str, model: Model | None) -> Price:
        if name.endswith(":free"):
            return FREE
        return Price() if model is None else self._catalog.price(model.key, gateway, self._at)


def split_slug(model: str) -> tuple[str | None, str]:
    """Return the slug in front of a model's name at Portkey, if any, and the name without it."""
    if not model.startswith("@") or model.startswith(REAL_NAMES):
        return None, model
    slug, _, name = model.removeprefix("@").partition("/")
    return slug, name
