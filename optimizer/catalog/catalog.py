"""The catalogue: every model by its key, with the price in force at a time; parsed once from the data folder."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from optimizer.catalog.benchmarks import Figure, prior_means
from optimizer.catalog.models import Model
from optimizer.catalog.prices import (
    PriceChange,
    change_in_force,
    last_dated_change,
    midnight,
    next_dated_change,
    price_in_force,
    prices_of_the_day,
)
from optimizer.catalog.tables import read_rows
from optimizer.domain import Candidate, DatedPrice, Family, Gateway, Price
from optimizer.errors import InvalidCatalog, UnknownModel

R = TypeVar("R", PriceChange, Figure)


@dataclass(frozen=True)
class Catalog:
    """Models, the dated changes of their prices, and their benchmark figures. Times are aware.

    Attributes
    ----------
    seen : mapping of (str, str) to tuple of DatedPrice
        (model, gateway) → prices that its list was seen to name since, the earliest first.
    """

    models: Mapping[str, Model]
    changes: Mapping[str, tuple[PriceChange, ...]]
    figures: tuple[Figure, ...] = ()
    seen: Mapping[tuple[str, Gateway], tuple[DatedPrice, ...]] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Model:
        """Return the model with this key, or raise `UnknownModel`."""
        if key not in self.models:
            raise UnknownModel(key, tuple(self.models))
        return self.models[key]

    def __contains__(self, key: object) -> bool:
        return key in self.models

    def price(self, key: str, gateway: Gateway, at: datetime) -> Price:
        """Return what a gateway charges for a model at a time; what is unknown is None.

        OpenRouter sets its own prices; Portkey and a direct call cost what the vendor charges. Of what the files say
        and what was seen since, the later word counts: a change that they date after a price was seen still comes.
        """
        model, seen = self[key], self.seen_price(key, gateway, at)
        if seen is not None:
            return seen.price
        if gateway == "openrouter":
            return model.openrouter_price
        return price_in_force(self.changes.get(key, ()), model.price, at)

    def seen_price(self, key: str, gateway: Gateway, at: datetime) -> DatedPrice | None:
        """Return the price in force at a time, if it is one that a list was seen to name; else None."""
        listed = self.seen.get((key, "openrouter" if gateway == "openrouter" else "portkey"), ())
        latest = next((dated for dated in reversed(listed) if dated.from_at <= at), None)
        return None if latest is None or latest.from_at < self._last_word(key, gateway, at) else latest

    def _last_word(self, key: str, gateway: Gateway, at: datetime) -> datetime:
        """Return when the files last say something of a price, of what they say until then."""
        day = self[key].priced_on
        change = None if gateway == "openrouter" else last_dated_change(self.changes.get(key, ()), at)
        days = (each for each in (day, change) if each is not None and midnight(each) <= at)
        return max(map(midnight, days), default=datetime.min.replace(tzinfo=at.tzinfo))

    def with_prices(self, dated: Iterable[DatedPrice]) -> "Catalog":
        """Return the catalogue with these prices as all that was seen since; those of unknown models are left out."""
        seen: dict[tuple[str, Gateway], list[DatedPrice]] = {}
        for each in sorted(dated, key=lambda price: price.from_at):
            if each.model_id in self:
                seen.setdefault((each.model_id, each.gateway), []).append(each)
        return replace(self, seen={key: tuple(prices) for key, prices in seen.items()})

    def price_condition(self, key: str, at: datetime) -> str | None:
        """Return why the vendor's price holds at this time, such as `promotion` or `off-peak`, where it says so."""
        if self.seen_price(key, "portkey", at) is not None:
            return None
        change = change_in_force(self.changes.get(key, ()), at)
        return change.condition.label if change and change.condition else None

    def priced_by_the_hour(self, key: str, at: datetime) -> bool:
        """Return whether the files say that the vendor's price depends on the hour, at this time."""
        self[key]
        today = prices_of_the_day(self.changes.get(key, ()), at)
        return any(change.condition is not None and change.condition.spans for change in today)

    def next_price_change(self, key: str, at: datetime) -> date | None:
        """Return the next day on which the vendor's price changes, where one is known."""
        self[key]
        return next_dated_change(self.changes.get(key, ()), at)

    def servable(self, key: str, at: datetime) -> bool:
        """Return whether the model is served at a time; a retired one is no candidate."""
        return self[key].servable(at)

    def wire_name(self, key: str, gateway: Gateway, *, slug: str | None = None) -> str:
        """Return the name by which a gateway knows the model.

        `slug` is the name under which the user saved the provider at Portkey; by default the provider's own.
        """
        model = self[key]
        if gateway == "portkey":
            return f"@{slug or model.portkey_provider}/{model.portkey_model}"
        if gateway == "direct":
            return model.portkey_model
        if model.openrouter_id is None:
            raise UnknownModel(f"{key} at OpenRouter", tuple(k for k, m in self.models.items() if m.openrouter_id))
        return model.openrouter_id

    def candidate(self, key: str, gateway: Gateway, at: datetime) -> Candidate:
        """Return the model as a candidate, at the price in force."""
        model = self[key]
        return Candidate(
            model_id=key,
            gateway=gateway,
            context_window_tokens=model.context_window_tokens,
            max_output_tokens=model.max_output_tokens,
            supports_tools=model.supports_tools,
            supports_json_schema=model.supports_json_schema,
            supports_vision=model.supports_vision,
            accepts_temperature=model.accepts_temperature,
            price=self.price(key, gateway, at),
        )

    def prior_means(self, family: Family) -> dict[str, float]:
        """Return model → what public benchmarks of this family say, as a mean in [0, 1]."""
        return prior_means(self.figures, family)

    def price_version(self, at: datetime) -> str:
        """Return a short name of all prices in force: 12 hexadecimal characters, equal while they are equal."""
        prices = [(key, self.price(key, "portkey", at), self.price(key, "openrouter", at)) for key in self.models]
        return blake2b(repr(prices).encode(), digest_size=6).hexdigest()


def data_folder() -> Path:
    """Return the folder of the data that comes with the package, in a checkout as in an installed wheel."""
    package = Path(__file__).parents[1]
    installed = package / "data"
    return installed if installed.is_dir() else package.parent / "data"


def load_catalog(folder: Path | None = None) -> Catalog:
    """Return the catalogue in `folder`, by default the one that comes with the package.

    Raises
    ------
    InvalidCatalog
        If a file is missing, half-written or wrong; the message names file, line and column.
    """
    folder = data_folder() if folder is None else folder
    models = _models(folder / "models.csv")
    changes = _known(folder / "price_changes.csv", read_rows(folder / "price_changes.csv", PriceChange), models)
    figures = _known(folder / "benchmarks.csv", read_rows(folder / "benchmarks.csv", Figure), models)
    return Catalog(models, _by_model(changes, models), tuple(figures))


def _models(path: Path) -> dict[str, Model]:
    models: dict[str, Model] = {}
    for line, model in read_rows(path, Model):
        if model.key in models:
            raise InvalidCatalog(f"{path}, line {line}, column key: {model.key!r} stands here a second time")
        models[model.key] = model
    if not models:
        raise InvalidCatalog(f"{path}, line 2, column key: no models; is the file half-written?")
    return models


def _known(path: Path, rows: list[tuple[int, R]], models: Mapping[str, Model]) -> list[R]:
    for line, row in rows:
        if row.key not in models:
            raise InvalidCatalog(f"{path}, line {line}, column key: no model {row.key!r} in models.csv")
    return [row for _, row in rows]


def _by_model(changes: Iterable[PriceChange], models: Mapping[str, Model]) -> dict[str, tuple[PriceChange, ...]]:
    """Return model → its price changes, without those of other hosts: Azure's price of a model is not OpenAI's."""
    grouped: dict[str, list[PriceChange]] = {}
    for change in changes:
        if change.portkey_provider == models[change.key].portkey_provider:
            grouped.setdefault(change.key, []).append(change)
    return {key: tuple(rows) for key, rows in grouped.items()}
