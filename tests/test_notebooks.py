"""Every notebook runs from top to bottom on a demo's ledger, without a warning, and is kept without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from optimizer.analysis.book import LEDGER
from optimizer.ledger.schema import open_database
from optimizer.simulation.demo import Day
from tests.simulation.day import SETTINGS, a_day

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
STRICT, LENIENT = (f"import warnings\nwarnings.simplefilter('{how}')" for how in ("error", "default"))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("notebooks") / "demo.db"
    Day(a_day(1, 1_500), SETTINGS, open_database(str(path))).play()
    return path


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(LEDGER, str(ledger))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the kernel may run where the package is not installed
    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path))
    content = nbformat.read(notebook, as_version=4)
    strict, lenient = map(nbformat.v4.new_code_cell, (STRICT, LENIENT))  # the kernel's own shutdown may warn
    content.cells = [strict, *content.cells, lenient]
    NotebookClient(content, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}).execute()
    code = [cell for cell in content.cells if cell.cell_type == "code"][1:-1]
    assert all(cell.outputs for cell in code)
    assert not any(output.get("name") == "stderr" for cell in code for output in cell.outputs)
    first = code[0].outputs[0].text
    for word in ("'simulated': 'yes'", "Money: 1,500 calls cost $", "Choice: ", "Belief: "):
        assert word in first


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs(notebook: Path) -> None:
    content = nbformat.read(notebook, as_version=4)
    nbformat.validate(content)
    for cell in content.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
