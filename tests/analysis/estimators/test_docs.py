"""What `docs/estimators.md` shows runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_example_prints_an_estimate() -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/estimators.md").read_text("utf-8"), re.DOTALL)
    assert code is not None
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code.group(1)],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    value, low, high, ess, refused = done.stdout.split()
    assert float(low) < 0.8 < float(high)
    assert float(low) < float(value) < float(high)
    assert float(ess) > 100
    assert refused == "None"
