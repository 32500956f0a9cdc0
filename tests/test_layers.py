"""Imports point down, one way, and effects stay at their edges: the folders keep the design honest."""

import ast
import graphlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "optimizer"

# From the rim down to the nouns. A part may import what stands on lower lines.
LINES = (
    ("service", "cli"),
    ("simulation", "analysis"),
    ("router",),
    ("engine",),
    ("routes",),
    ("calling", "ledger", "gateway", "telemetry"),
    ("catalog", "settings", "decision"),
    ("domain", "errors", "decided", "selection", "listening"),
)
LEVELS = {part: level for level, parts in enumerate(reversed(LINES)) for part in parts}
NEIGHBOURS = {("cli", "service"), *((a, b) for a in LINES[-1] for b in LINES[-1])}

# Who alone may import these.
EDGES = {
    "sqlalchemy": ("optimizer.ledger",),
    "alembic": ("optimizer.ledger",),
    "psycopg": ("optimizer.ledger",),
    "sqlite3": ("optimizer.ledger",),
    "duckdb": ("optimizer.analysis",),
    "ibis": ("optimizer.analysis",),
    "httpx": ("optimizer.gateway",),
    "aiohttp": ("optimizer.gateway",),
    "requests": ("optimizer.gateway",),
    "urllib.request": ("optimizer.gateway",),
    "fastapi": ("optimizer.service", "optimizer.simulation.fake_gateway"),
    "starlette": ("optimizer.service", "optimizer.simulation.fake_gateway"),
    "uvicorn": ("optimizer.service", "optimizer.simulation.fake_gateway"),
}
PURE = ("optimizer.decision", "optimizer.analysis.estimators", "optimizer.analysis.intervals")
EFFECTS = {"time", "random", "os", "io", "pathlib", "tempfile", "socket", "subprocess", "secrets", "uuid", "uuid_utils"}
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
OPENS = {"open", "input", "print"}
GENERATORS = {"default_rng", "Generator", "SeedSequence", "PCG64", "Philox", "BitGenerator"}


def test_imports_point_down() -> None:
    assert list(_upward(_sources(ROOT))) == []


def test_imports_make_no_cycle() -> None:
    assert _cycle(_sources(ROOT)) is None


def test_effects_stay_at_their_edges() -> None:
    assert list(_strays(_sources(ROOT))) == []


def test_pure_code_has_no_clock_no_chance_and_no_files() -> None:
    assert list(_impurities(_sources(ROOT))) == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("optimizer.decision.belief", "from optimizer.ledger import tables"),
        ("optimizer.decision.belief", "def f():\n    import optimizer.engine"),
        (
            "optimizer.catalog",
            "import typing\nif typing.TYPE_CHECKING:\n    from .settings import Settings",
        ),
        ("optimizer.ledger.writer", "from ..gateway.client import complete"),
        ("optimizer.service.app", "from optimizer.cli import main"),
        ("optimizer.errors", "from optimizer import catalog"),
        ("optimizer.engine", "from optimizer import Optimizer"),
        ("optimizer.novelty", "import json"),
    ],
)
def test_checker_sees_an_import_that_points_up(module: str, text: str) -> None:
    assert list(_upward(_with(module, text)))


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("optimizer.cli.serve", "from optimizer.service import app"),
        ("optimizer.decision.belief", "from .evidence import Sums\nfrom optimizer.domain import Noun"),
        ("optimizer.__main__", "from optimizer.cli import main"),
        ("optimizer.__init__", "from optimizer.engine import Optimizer"),
    ],
)
def test_checker_lets_an_import_that_points_down_pass(module: str, text: str) -> None:
    assert list(_upward(_with(module, text))) == []


def test_checker_sees_a_cycle_inside_a_package() -> None:
    sources = _with("optimizer.catalog.models", "from .prices import Price")
    assert _cycle({**sources, "optimizer.catalog.prices": "def f():\n    from .models import Model"})


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("optimizer.engine", "import sqlalchemy as sa"),
        ("optimizer.decision.belief", "from sqlalchemy.engine import Engine"),
        ("optimizer.router", "import httpx"),
        ("optimizer.simulation.replay", "from fastapi import FastAPI"),
    ],
)
def test_checker_sees_an_effect_away_from_its_edge(module: str, text: str) -> None:
    assert list(_strays(_with(module, text)))


def test_checker_lets_the_fake_gateway_answer_requests() -> None:
    assert list(_strays(_with("optimizer.simulation.fake_gateway", "import starlette.routing"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from random import random",
        "import os.path",
        "from datetime import datetime, UTC\nat = datetime.now(UTC)",
        "import datetime as dt\nat = dt.datetime.utcnow()",
        "import numpy as np\nrng = np.random.default_rng()",
        "import numpy as np\nx = np.random.rand(3)",
        "def f():\n    return open('x')",
        "print(1)",
    ],
)
def test_checker_sees_impure_code(text: str) -> None:
    assert list(_impurities(_with("optimizer.decision.choice", text)))


def test_checker_lets_a_seeded_generator_and_a_given_time_pass() -> None:
    text = "import numpy as np\nfrom datetime import datetime\ndef f(now: datetime): return np.random.default_rng(7)"
    assert list(_impurities(_with("optimizer.decision.choice", text))) == []


# The checker: sources are module name → text, so that it can be shown bad ones.


def _sources(root: Path) -> dict[str, str]:
    names = {path: ".".join(path.relative_to(root.parent).with_suffix("").parts) for path in root.rglob("*.py")}
    return {name: path.read_text("utf-8") for path, name in sorted(names.items())}


def _with(module: str, text: str) -> dict[str, str]:
    """Return just enough modules for relative names to resolve, and `module` with this text."""
    parts = {f"optimizer.{part}": "" for part in LEVELS}
    return {"optimizer.__init__": "", **parts, "optimizer.decision.evidence": "", module: text}


def _plain(module: str) -> str:
    return module.removesuffix(".__init__")


def _imports(module: str, text: str) -> Iterator[tuple[str, str | None]]:
    """Yield (module, name or None) of every import in `text`, wherever it hides."""
    package = module.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            yield from ((source, alias.name) for alias in node.names)


def _edges(sources: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (importer, imported) among the modules of the package."""
    known = {_plain(module) for module in sources}
    for module, text in sources.items():
        for source, name in _imports(module, text):
            if source.partition(".")[0] == "optimizer":
                inner = f"{source}.{name}"
                yield _plain(module), inner if inner in known else source


def _part(module: str) -> str:
    return (*module.split("."), "")[1]


def _upward(sources: Mapping[str, str]) -> Iterator[str]:
    """Yield every module without a line and every import that does not point down."""
    for module in sources:
        if _part(_plain(module)) not in {*LEVELS, "", "__main__"}:
            yield f"{module} stands on no line"
    for importer, imported in _edges(sources):
        above, below = _part(importer), _part(imported)
        if above in {"", "__main__", below}:
            continue
        if below not in LEVELS or (LEVELS.get(above, -1) <= LEVELS[below] and (above, below) not in NEIGHBOURS):
            yield f"{importer} imports {imported}"


def _cycle(sources: Mapping[str, str]) -> list[str] | None:
    graph: dict[str, set[str]] = {}
    for importer, imported in _edges(sources):
        graph.setdefault(importer, set()).add(imported)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return None


def _within(module: str, homes: tuple[str, ...]) -> bool:
    return any(f"{_plain(module)}.".startswith(f"{home}.") for home in homes)


def _strays(sources: Mapping[str, str]) -> Iterator[str]:
    for module, text in sources.items():
        for source, name in _imports(module, text):
            for edge, homes in EDGES.items():
                if f"{source}.{name}.".startswith(f"{edge}.") and not _within(module, homes):
                    yield f"{module} imports {source}"


def _impurities(sources: Mapping[str, str]) -> Iterator[str]:
    for module, text in sources.items():
        if not _within(module, PURE):
            continue
        yield from (f"{module} imports {s}" for s, _ in _imports(module, text) if s.partition(".")[0] in EFFECTS)
        calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
        yield from (f"{module}:{call.lineno} calls {ast.unparse(call.func)}" for call in calls if _is_impure(call))


def _is_impure(call: ast.Call) -> bool:
    function = ast.unparse(call.func)
    owner, _, name = function.rpartition(".")
    unseeded = name == "default_rng" and not call.args and not call.keywords
    legacy = owner.endswith("np.random") and name not in GENERATORS
    return name in CLOCKS or (not owner and name in OPENS) or unseeded or legacy
