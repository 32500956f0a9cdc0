"""Settings and catalogue brought together at one time: who may really serve each use case, through which gateway."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from optimizer.catalog import Catalog
from optimizer.decision.rules import Rule, RuleSpec, compile_rules
from optimizer.domain import Candidate, Gateway, Objective
from optimizer.errors import InvalidRequest, InvalidSettings, UnknownModel, UnknownUseCase
from optimizer.settings import Settings, UseCase


@dataclass(frozen=True)
class Route:
    """A use case ready to be decided: its settings, and its candidates at the prices in force.

    Attributes
    ----------
    candidates : tuple of Candidate
        Those that their vendor serves, the incumbent among them, in the order of the settings.
    incumbent, baseline : str
        Models; the baseline is the incumbent where the settings name none, and may be retired.
    fallbacks : tuple of Candidate
        Tried in order after the candidates.
    retired : tuple of str
        Models that the settings name and nobody serves any more.
    prior_means : mapping of str to float
        Candidate → what public benchmarks of the use case's family say, in [0, 1]; without a figure it is missing.
    """

    name: str
    settings: UseCase
    candidates: tuple[Candidate, ...]
    incumbent: str
    baseline: str
    fallbacks: tuple[Candidate, ...] = ()
    retired: tuple[str, ...] = ()
    prior_means: Mapping[str, float] = field(default_factory=dict)

    @property
    def objective(self) -> Objective:
        """What the settings ask of the choice."""
        return self.settings.asks


@dataclass(frozen=True)
class Routes:
    """Every use case's route and the rules over them, as they stand at a time."""

    at: datetime
    by_use_case: Mapping[str, Route]
    names: Mapping[str, str]
    default_use_case: str | None
    rules: tuple[Rule, ...] = ()
    price_version: str = ""

    def __getitem__(self, name: str) -> Route:
        """Return the route of a use case or alias; an unknown name gets the default's, or `UnknownUseCase`."""
        known = self.names.get(name) or (self.default_use_case and self.names[self.default_use_case])
        if known is None:
            raise UnknownUseCase(name, tuple(self.names))
        return self.by_use_case[known]


def effective_routes(settings: Settings, catalog: Catalog, at: datetime, *, source: str = "settings") -> Routes:
    """Return the routes in force at an aware time.

    A candidate that its vendor no longer serves is left out; an incumbent or a rule's model must be served. Where a
    candidate names no provider, the first gateway that has a key and offers the model serves it.

    Raises
    ------
    InvalidSettings
        If settings and catalogue do not fit together; names every key that does not. `source` is named in it.
    """
    problems: list[str] = []
    offer = _Offer(settings, catalog, at)
    routes = {}
    for name, use_case in settings.use_cases.items():
        key = f"use_cases.{name}"
        found = list(_problems_of(offer, key, use_case))
        problems += found
        if not found:
            routes[name] = _route(offer, name, use_case)
    rules = _rules(offer, problems)
    if problems:
        raise InvalidSettings(source, tuple(problems))
    version = catalog.price_version(at)
    return Routes(at, routes, settings.names, settings.default_use_case, rules, version)


@dataclass(frozen=True)
class _Offer:
    """What can be had at a time with these keys."""

    settings: Settings
    catalog: Catalog
    at: datetime

    def gateway(self, model: str, wanted: Gateway | None) -> Gateway:
        """Return who serves a model, or raise `UnknownModel` or `InvalidRequest` with the reason that nobody does."""
        known = self.catalog[model]
        gateways = (wanted,) if wanted else self.settings.gateways
        for gateway in gateways:
            if known.offered_by(gateway):
                return gateway
        raise InvalidRequest("model", f"{model!r} is not offered by {' or '.join(gateways)}")

    def candidate(self, model: str, wanted: Gateway | None = None) -> Candidate:
        return self.catalog.candidate(model, self.gateway(model, wanted), self.at)

    def served(self, model: str) -> bool:
        return self.catalog.servable(model, self.at)

    def problem(self, model: str, wanted: Gateway | None = None, *, must_serve: bool = False) -> str | None:
        """Return why a model cannot stand where it is named, or None."""
        try:
            self.gateway(model, wanted)
        except UnknownModel:
            return f"no model {model!r} in the catalogue; `optimizer prices` lists them"
        except InvalidRequest as error:
            return str(error).removeprefix("model: ")
        if must_serve and not self.served(model):
            until = self.catalog[model].retires_on
            return f"{model!r} is not served any more" + (f" (until {until})" if until else "") + "; name a current one"
        return None


def _named(key: str, use_case: UseCase) -> Iterator[tuple[str, str, Gateway | None, bool]]:
    """Yield (key, model, gateway asked for, whether it must be served) of every model that a use case names."""
    incumbent = use_case.incumbent or use_case.candidates[0].model_id
    for i, candidate in enumerate(use_case.candidates):
        is_incumbent = candidate.model_id == incumbent and use_case.incumbent is None
        yield f"{key}.candidates[{i}]", candidate.model_id, candidate.provider, is_incumbent
    if use_case.incumbent is not None:
        yield f"{key}.incumbent", use_case.incumbent, None, True
    for i, model in enumerate(use_case.fallback_models):
        yield f"{key}.fallback_models[{i}]", model, None, False
    if use_case.judge is not None:
        yield f"{key}.judge.model", use_case.judge.model, None, True


def _problems_of(offer: _Offer, key: str, use_case: UseCase) -> Iterator[str]:
    for where, model, wanted, must_serve in _named(key, use_case):
        if problem := offer.problem(model, wanted, must_serve=must_serve):
            yield f"{where}: {problem}"
    for model in use_case.baseline:
        if model not in offer.catalog:
            yield f"{key}.baseline: no model {model!r} in the catalogue; `optimizer prices` lists them"


def _route(offer: _Offer, name: str, use_case: UseCase) -> Route:
    wanted = {candidate.model_id: candidate.provider for candidate in use_case.candidates}
    incumbent = use_case.incumbent or next(iter(wanted))
    wanted.setdefault(incumbent, None)
    named = (*wanted, *use_case.fallback_models)
    means = offer.catalog.prior_means(use_case.family) if use_case.family else {}
    fallbacks = (model for model in use_case.fallback_models if offer.served(model))
    return Route(
        name=name,
        settings=use_case,
        candidates=tuple(offer.candidate(model, wanted[model]) for model in wanted if offer.served(model)),
        incumbent=incumbent,
        baseline=use_case.baseline[0] if use_case.baseline else incumbent,
        fallbacks=tuple(offer.candidate(model).model_copy(update={"fallback": True}) for model in fallbacks),
        retired=tuple(dict.fromkeys(model for model in named if not offer.served(model))),
        prior_means={model: means[model] for model in wanted if model in means},
    )


def _rules(offer: _Offer, problems: list[str]) -> tuple[Rule, ...]:
    """Return the compiled rules, and add what is wrong with the others to `problems`."""
    rules: list[Rule] = []
    for i, rule in enumerate(offer.settings.routing.rules):
        key = f"routing.rules[{i}]"
        if problem := offer.problem(rule.model, rule.provider, must_serve=True):
            problems.append(f"{key}.model: {problem}")
            continue
        spec = RuleSpec(rule.name, rule.condition, offer.candidate(rule.model, rule.provider))
        try:
            rules += compile_rules([spec], offer.settings.names)
        except InvalidRequest as error:
            problems.append(f"{key}.condition: {str(error).removeprefix(f'{error.field}: ')}")
    return tuple(rules)
