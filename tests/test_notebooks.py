"""Every notebook runs from top to bottom on a demo's ledger, without a warning, and is kept twice, without outputs."""

from pathlib import Path

import jupytext
import nbformat
import pytest
from nbformat import NotebookNode
from nbmake.nb_run import NotebookRun

from optimizer.analysis.book import LEDGER
from optimizer.ledger.schema import open_database
from optimizer.simulation.demo import Day
from tests.simulation.day import SETTINGS, a_day

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
STRICT, LENIENT = (f"import warnings\nwarnings.simplefilter('{how}')" for how in ("error", "default"))
# What the first cell must say, whatever the ledger is like.
ANSWERS = {
    "another_policy": ("1,500 SIMULATED calls", "Clearly cheaper", "What really happened: $", "refuses the others"),
    "drift_and_incidents": (
        "1,500 SIMULATED calls",
        "Drift: ",
        "portkey, auth",
        "Who stood in: another gateway",
        "Bills: ",
    ),
    "first_look": ("'simulated': 'yes'", "Money: 1,500 calls cost $", "Choice: ", "Belief: "),
    "floor_and_half_life": (
        "1,500 SIMULATED calls",
        "Floor, replayed on the example table: average:90% kept ",
        "and saved ",
    ),
    "frontier": ("1,500 SIMULATED calls", "is believed good enough", "candidates are on a frontier", "- chat ("),
    "where_the_money_goes": ("1,500 SIMULATED calls cost $", "For: ", "On behalf of: acme ", "By tag simulated: yes"),
    "your_own_logs": (
        "calls.csv: 4,000 calls",
        "Clearly cheaper than what served",
        "- always large: $",
        "- small if easy else large: $",
    ),
}

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("notebooks") / "demo.db"
    Day(a_day(1, 1_500), SETTINGS, open_database(str(path))).play()
    return path


@each_notebook
def test_notebook_answers_in_its_first_cell(
    notebook: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(LEDGER, str(ledger))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the kernel may run where the package is not installed
    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    code = _executed(notebook, tmp_path)
    assert all(cell.outputs for cell in code)
    assert not any(output.get("name") == "stderr" for cell in code for output in cell.outputs)
    first = code[0].outputs[0].text
    for words in ANSWERS[notebook.stem]:
        assert words in first


def _executed(notebook: Path, folder: Path) -> list[NotebookNode]:
    """Return the code cells after nbmake ran them, where a warning is an error."""
    content = nbformat.read(notebook, as_version=4)
    strict, lenient = map(nbformat.v4.new_code_cell, (STRICT, LENIENT))  # the kernel's own shutdown may warn
    content.cells = [strict, *content.cells, lenient]
    copy = folder / notebook.name
    nbformat.write(content, copy)
    # Its runner, not its plugin, which neither lends a ledger nor knows of these two cells.
    ran = NotebookRun(copy, default_timeout=60).execute()
    assert ran.error is None, ran.error.trace
    return [cell for cell in ran.nb.cells if cell.cell_type == "code"][1:-1]


@each_notebook
def test_notebook_is_kept_without_outputs(notebook: Path) -> None:
    content = nbformat.read(notebook, as_version=4)
    nbformat.validate(content)
    for cell in content.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@each_notebook
def test_notebook_is_what_the_text_beside_it_says(notebook: Path) -> None:
    """Run `make notebooks` after changing either."""
    text = jupytext.read(notebook.with_suffix(".py"))
    kept = nbformat.read(notebook, as_version=4)
    assert [(cell.cell_type, cell.source) for cell in kept.cells] == [(c.cell_type, c.source) for c in text.cells]
    assert kept.metadata.kernelspec == text.metadata.kernelspec


def test_every_text_has_its_notebook() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == {path.stem for path in NOTEBOOKS} == set(ANSWERS)
