"""Real texts of many kinds, found on this machine, and real tokenizers where some are installed."""

import ast
import gettext
import os
import random
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_path

PACKAGES = Path(get_path("purelib"))
SHARED = Path("/usr/share")
SCRIPTS = {
    "Latin": "de fr es it pt nl sv da pl cs tr vi fi hu ro id hr ca nb sk sl",
    "Cyrillic, Greek": "ru uk bg sr el be",
    "Chinese, Japanese": "zh ja",
    "Korean": "ko",
    "Arabic, Hebrew": "ar he fa",
    "Indic, Thai": "hi bn ta te th ml mr kn gu pa ne ka am km my",
}
Counter = Callable[[str], int]


def texts(rng: random.Random, per_kind: int) -> dict[str, list[str]]:
    """Return pieces of 30 to 12,000 letters, by kind of text."""
    found = {
        "Python": _pieces(PACKAGES.rglob("*.py"), rng, per_kind),
        "docstrings": _docstrings(rng, per_kind),
        "Markdown": _pieces(PACKAGES.glob("*.dist-info/METADATA"), rng, per_kind),
        "reStructuredText": _pieces([*PACKAGES.rglob("*.rst"), *PACKAGES.rglob("*.txt")], rng, per_kind),
        "JSON": _pieces(PACKAGES.rglob("*.json"), rng, per_kind),
        "HTML": _pieces(SHARED.rglob("*.html"), rng, per_kind),
        "tables": [_table(rng) for _ in range(per_kind // 3)],
        "keys": [_keys(rng) for _ in range(per_kind // 6)],
        **_translations(rng, per_kind),
    }
    return {kind: pieces for kind, pieces in found.items() if len(pieces) >= 20}


def _cut(text: str, rng: random.Random) -> Iterator[str]:
    start = 0
    while start < len(text):
        length = int(min(12_000, max(30, rng.lognormvariate(6.9, 1.1))))
        yield text[start : start + length]
        start += length


def _sample(text: str, rng: random.Random, n: int) -> list[str]:
    pieces = [piece for piece in _cut(text, rng) if piece.strip()]
    return rng.sample(pieces, min(n, len(pieces)))


def _pieces(paths: Iterable[Path], rng: random.Random, n: int) -> list[str]:
    ordered = sorted(paths)
    rng.shuffle(ordered)
    found: list[str] = []
    for path in ordered:
        if len(found) >= n:
            break
        try:
            found += _sample(path.read_text("utf-8"), rng, 3)
        except (OSError, UnicodeDecodeError):
            continue
    return found[:n]


def _docstrings(rng: random.Random, n: int) -> list[str]:
    found = []
    for source in _pieces_whole(PACKAGES.rglob("*.py"), rng, n):
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(source)
        nodes = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module))
        found += [ast.get_docstring(node) or "" for node in nodes]
    return [next(_cut(text, rng)) for text in rng.sample(found, len(found)) if len(text) > 200][:n]


def _pieces_whole(paths: Iterable[Path], rng: random.Random, n: int) -> Iterator[str]:
    ordered = sorted(paths)
    for path in rng.sample(ordered, min(3 * n, len(ordered))):
        try:
            yield path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue


def _table(rng: random.Random) -> str:
    rows = (
        f"{rng.randrange(10**6)},20{rng.randrange(10, 27)}-{rng.randrange(1, 13):02},{rng.gauss(0, 100):.3f},"
        f"{rng.choice(('Anna', 'Bob', 'München', 'Paris'))}"
        for _ in range(rng.randrange(3, 120))
    )
    return "id,month,value,name\n" + "\n".join(rows)


def _keys(rng: random.Random) -> str:
    letters = rng.choice(
        ("0123456789", "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    )
    return "\n".join("".join(rng.choices(letters, k=rng.choice((32, 36, 64)))) for _ in range(rng.randrange(2, 60)))


def _translations(rng: random.Random, n: int) -> dict[str, list[str]]:
    languages: dict[str, list[str]] = {}
    for path in sorted(SHARED.rglob("LC_MESSAGES/*.mo")):
        languages.setdefault(path.parts[-3].split("@")[0].split("_")[0].split(".")[0], []).append(_translated(path))
    found: dict[str, list[str]] = {}
    for script, names in SCRIPTS.items():
        each = max(10, n // len(names.split()))
        found[script] = [
            piece for name in names.split() for piece in _sample("\n".join(languages.get(name, ())), rng, each)
        ]
    return found


def _translated(path: Path) -> str:
    try:
        with path.open("rb") as file:
            catalog = gettext.GNUTranslations(file)._catalog  # noqa: SLF001 - its texts are nowhere else
    except (OSError, LookupError, ValueError):  # broken headers, and none in UTF-8
        return ""
    return "\n".join(text for text in catalog.values() if isinstance(text, str) and "Content-Type" not in text)


def tokenizers() -> dict[str, Counter]:
    """Return the tokenizers that are there: those whose files LiteLLM's wheel brings, for the packages installed."""
    spec = find_spec("litellm")
    folders = [
        Path(place) / "litellm_core_utils" / "tokenizers" for place in (spec and spec.submodule_search_locations) or ()
    ]
    found: dict[str, Counter] = {}
    for folder in folders:
        if find_spec("tiktoken"):
            found |= {name: _tiktoken(name, folder) for name in ("o200k_base", "cl100k_base")}
        if find_spec("tokenizers"):
            names = ("anthropic", "deepseek")
            found |= {name: _hugging_face(folder / f"{name}_tokenizer.json") for name in names}
    return found


def _tiktoken(name: str, folder: Path) -> Counter:
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    import tiktoken

    encoding = tiktoken.get_encoding(name)
    return lambda text: len(encoding.encode_ordinary(text))


def _hugging_face(path: Path) -> Counter:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
