"""The example that the documentation gives of asking questions runs as it stands."""

import re
import shutil
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs" / "analysis.md"


def test_documented_questions_are_answered(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(ledger, tmp_path / "optimizer.db")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n([^`]*read_records\([^`]*)```", DOCS.read_text("utf-8"))
    exec(compile(code, str(DOCS), "exec"), {})  # noqa: S102 - our own documentation
    said = capsys.readouterr().out
    assert "Who stood in: " in said
    assert "Clearly cheaper, and not clearly worse, would have been: " in said
