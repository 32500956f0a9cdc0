"""Rules that a person writes: conditions on a request, checked when they are read, of which the first to hold wins."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import get_args

import rule_engine
from rule_engine import ast
from rule_engine.errors import EngineError

from optimizer.domain import Candidate, CostTier, Request
from optimizer.errors import InvalidRequest

_STRING, _FLAG = rule_engine.DataType.STRING, rule_engine.DataType.BOOLEAN
ATTRIBUTES: Mapping[str, object] = {
    "use_case": _STRING,
    "context_tokens": rule_engine.DataType.FLOAT,
    "cost_tier": rule_engine.DataType.NULLABLE(_STRING),
    "tenant": rule_engine.DataType.NULLABLE(_STRING),
    "needs_tools": _FLAG,
    "needs_json_schema": _FLAG,
    "needs_vision": _FLAG,
    "required_quality": rule_engine.DataType.FLOAT,
    "expected_output_tokens": rule_engine.DataType.FLOAT,
    "max_cost_usd": rule_engine.DataType.FLOAT,
    "tags": rule_engine.DataType.MAPPING(_STRING, _STRING),
}
COST_TIERS = get_args(CostTier)


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """A rule as it is written: where `condition` holds, `candidate` serves."""

    name: str
    condition: str
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was checked; `use_cases` maps every name of a use case, aliases too, to the one it means."""

    name: str
    condition: str
    candidate: Candidate
    use_cases: Mapping[str, str] = field(repr=False)
    compiled: rule_engine.Rule = field(repr=False, compare=False)

    def holds(self, request: Request, use_case: str | None = None) -> bool:
        """Return whether the condition holds; one that asks for a tag which the request lacks does not."""
        try:
            return bool(self.compiled.matches((request, use_case or self.use_cases.get(request.use_case))))
        except EngineError:
            return False


def compile_rules(specs: Iterable[RuleSpec], use_cases: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return the rules, ready to be asked.

    Parameters
    ----------
    specs : iterable of RuleSpec
        In order of precedence.
    use_cases : mapping of str to str
        Every name that a condition may give a use case, aliases too → the use case it means.

    Raises
    ------
    InvalidRequest
        If a condition is no expression, names what a request does not have, compares what cannot be compared, or a
        use case or cost tier that does not exist; `field` is `rules[i].condition`.
    """
    return tuple(_compiled(spec, use_cases, f"rules[{i}].condition") for i, spec in enumerate(specs))


def first_match(rules: Sequence[Rule], request: Request, use_case: str | None = None) -> Rule | None:
    """Return the first rule that holds, or None; `use_case` says what the request's name came to, where it is known."""
    if not rules:
        return None
    return next((rule for rule in rules if rule.holds(request, use_case)), None)


def _compiled(spec: RuleSpec, use_cases: Mapping[str, str], where: str) -> Rule:
    try:
        compiled = rule_engine.Rule(spec.condition, context=_context())
    except EngineError as error:
        raise InvalidRequest(where, _explained(spec.condition, error)) from error
    expression = compiled.statement.expression
    if expression.result_type != _FLAG:
        raise InvalidRequest(where, f"{spec.condition!r} is neither true nor false: compare it with something")
    for node in _walk(expression):
        if isinstance(node, ast.SymbolExpression) and node.name not in ATTRIBUTES:
            raise InvalidRequest(where, f"{node.name!r} is not known about a request; known: {', '.join(ATTRIBUTES)}")
        _settle_names(node, use_cases, where)
    return Rule(spec.name, spec.condition, spec.candidate, use_cases, compiled)


@cache
def _context() -> rule_engine.Context:
    return rule_engine.Context(
        resolver=_attribute,
        type_resolver=rule_engine.type_resolver_from_dict(ATTRIBUTES),
        default_timezone="utc",
        mapping_attribute_lookup=False,
    )


def _attribute(thing: tuple[Request, str | None], name: str) -> object:
    """Return what a condition sees of a request; asking for no quality is 0, for no limit infinitely much."""
    request, use_case = thing
    if name == "use_case":
        return use_case or request.use_case
    if name == "tags":
        return dict(request.tags)
    value = getattr(request, name)
    if name == "required_quality":
        return float(value) if value is not None and not str(value).endswith("%") else 0.0
    if name == "max_cost_usd":
        return float("inf") if value is None else value
    return 0 if name == "expected_output_tokens" and value is None else value


def _explained(condition: str, error: EngineError) -> str:
    advice = "compare numbers with numbers and words with words" if "mismatch" in error.message else ""
    advice = f"known: {', '.join(ATTRIBUTES)}" if "unknown symbol" in error.message else advice
    return "; ".join(filter(None, (f"{condition!r}: {error.message}", advice)))


def _walk(node: object) -> Iterator[ast.ExpressionBase]:
    """Yield an expression and all that it is made of."""
    if isinstance(node, ast.ExpressionBase):
        yield node
        slots = [name for kind in type(node).__mro__ for name in getattr(kind, "__slots__", ())]
        names = {*slots, *getattr(node, "__dict__", {})} - {"context", "result_type"}
        for name in sorted(names):
            yield from _walk(getattr(node, name, None))
    elif isinstance(node, list | tuple | set | frozenset):
        for part in node:
            yield from _walk(part)


def _settle_names(node: ast.ExpressionBase, use_cases: Mapping[str, str], where: str) -> None:
    """Check names that a use case or cost tier is compared with, and turn aliases into what they mean."""
    if isinstance(node, ast.ContainsExpression):
        sides = (node.member, node.container)
    elif isinstance(node, ast.ComparisonExpression) and not isinstance(node, ast.FuzzyComparisonExpression):
        sides = (node.left, node.right)
    else:
        return
    symbols = {side.name for side in sides if isinstance(side, ast.SymbolExpression)}
    values = [literal for side in sides for literal in _literals(side)]
    for literal in values:
        if "cost_tier" in symbols and literal.value not in COST_TIERS:
            raise InvalidRequest(where, f"no cost tier {literal.value!r}; known: {', '.join(COST_TIERS)}")
        if "use_case" in symbols:
            if literal.value not in use_cases:
                raise InvalidRequest(where, f"no use case {literal.value!r}; known: {', '.join(use_cases)}")
            literal.value = use_cases[literal.value]


def _literals(side: object) -> list[ast.StringExpression]:
    members = side.value if isinstance(side, ast.ArrayExpression | ast.SetExpression) else (side,)
    return [member for member in members if isinstance(member, ast.StringExpression)]
