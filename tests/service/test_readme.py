"""What the README says of the service runs as it stands: OpenAI's client, and every way to rate a call."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.factory import pool
from tests.service.conftest import Serve
from tests.service.running import Served

README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README.split("\n## The service\n")[1].split("\n## ")[0]
FIRST_CALL, RATING = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
CURLS = re.findall(r"^curl (.*)$", SECTION, re.MULTILINE)
LABELLED = pool("objective: quality, metrics: {others: [tone], labels: {helpful: 1.0, wrong: 0.0}}")


def _run(code: str, served: Served) -> str:
    code = code.replace("http://127.0.0.1:8080/v1", served.url)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout


def _ratings(served: Served) -> dict[tuple[str, str], float | None]:
    """Return metric and rater → value, of the last call."""
    served.optimizer.flush()
    return {(each.metric, each.rater): each.value for each in served.last.feedback}


def test_five_lines_make_a_first_call(served: Served) -> None:
    assert len([line for line in FIRST_CALL.splitlines() if line.strip()]) <= 5
    assert _run(FIRST_CALL, served).strip()
    assert served.last.served is not None


def test_openai_s_client_rates_its_call(served: Served) -> None:
    _run(FIRST_CALL + RATING, served)
    assert _ratings(served) == {("quality", "user"): 1.0}


def test_curl_rates_and_takes_back(serve: Serve) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    served = serve(LABELLED)
    call_id = served.chat(headers={"x-optimizer-session": "s1"}).headers["x-optimizer-call-id"]
    for command in CURLS[:3]:
        _curl(command, served, call_id)
    words = {("quality", "user"): 0.9, ("tone", "user"): 1.0}
    assert _ratings(served) == {**words, ("quality", "ann"): 0.8}
    _curl(CURLS[3], served, call_id)
    assert _ratings(served) == words


def _curl(command: str, served: Served, call_id: str) -> None:
    text = command.replace("CALL_ID", call_id).replace("SESSION_ID", "s1").replace("localhost:8080/v1", served.url)
    subprocess.run(["curl", "-sSf", *shlex.split(text)], capture_output=True, check=True, timeout=60)  # noqa: S607
