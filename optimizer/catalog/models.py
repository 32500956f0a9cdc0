"""One model as the catalogue knows it: how to address it, what it can do, what it charges, how long it is served."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveInt

from optimizer.catalog.tables import PricedRow
from optimizer.domain import Gateway, Price

Status = Literal["active", "preview", "deprecated", "retired"]
Confidence = Literal["confirmed", "single", "secondary"]


def _split(separator: str) -> BeforeValidator:
    def split(text: object) -> object:
        return tuple(text.split(separator)) if isinstance(text, str) else text

    return BeforeValidator(split)


class Model(PricedRow):
    """A line of `models.csv`; None is unknown.

    `price` is what its vendor charges on the day `prices_as_of`, and unless a dated change says otherwise; those stand
    in `price_changes.csv`. `confidence` says whether several lists agree on it.
    """

    key: str
    vendor: str
    openrouter_id: str | None
    portkey_provider: str
    portkey_model: str
    cache_write_usd_per_mtok: NonNegativeFloat | None
    openrouter_input_usd_per_mtok: NonNegativeFloat | None
    openrouter_output_usd_per_mtok: NonNegativeFloat | None
    context_window_tokens: PositiveInt | None
    max_output_tokens: PositiveInt | None
    input_modalities: Annotated[tuple[str, ...], _split("+")]
    supports_tools: bool | None
    supports_json_schema: bool | None
    is_reasoning: bool | None
    accepts_temperature: bool | None
    status: Status
    retires_on: date | None
    prices_as_of: Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")]
    confidence: Confidence
    sources: Annotated[tuple[str, ...], _split(";")]
    notes: str | None

    @property
    def supports_vision(self) -> bool:
        """Whether it takes images."""
        return "image" in self.input_modalities

    @property
    def priced_on(self) -> date:
        """The day on which its prices were looked up; the first of the month where only that is known."""
        return date.fromisoformat(
            self.prices_as_of if len(self.prices_as_of) > len("2026-08") else f"{self.prices_as_of}-01"
        )

    def servable(self, at: datetime) -> bool:
        """Return whether its vendor serves it at this aware time, by what was announced."""
        if self.retires_on is not None:
            return at.date() < self.retires_on
        return self.status != "retired"

    def offered_by(self, gateway: Gateway) -> bool:
        """Return whether it can be addressed through this gateway."""
        return gateway != "openrouter" or self.openrouter_id is not None

    @property
    def openrouter_price(self) -> Price:
        """What OpenRouter charged when last seen; its long-context prices are not known."""
        return Price(
            self.openrouter_input_usd_per_mtok,
            self.openrouter_output_usd_per_mtok,
            long_over_tokens=self.long_context_over_tokens,
        )
