"""Processes that share a database learn from each other and come to the same choice."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from optimizer.engine import Optimizer
from optimizer.ledger.audit import verify
from optimizer.ledger.schema import open_database
from optimizer.settings import load_settings
from tests.engine.factory import CHEAP, DEAR, Clock, pool, teach

ROOT = Path(__file__).parents[2]

# Serves and rates when told `teach MODEL`, and when told `wait N`, answers once N ratings have come to be known.
WORKER = """
import sys, time
from optimizer import Optimizer
with Optimizer.open(sys.argv[1], database=sys.argv[2], environ={}) as opt:
    print("ready", flush=True)
    for line in sys.stdin:
        verb, what = line.split()
        if verb == "teach":
            for _ in range(30):
                selection = opt.select_optimal_model("chat", 1000, model=what)
                opt.record(selection, usage={"prompt_tokens": 1000, "completion_tokens": 200}, latency_ms=700.0)
                opt.rate(selection.call_id, 0.8)
            opt.flush()
            print("taught", flush=True)
        while verb == "wait":
            ratings = opt.snapshot.arrays.ratings
            if round(ratings.n.sum()) >= int(what):
                break
            time.sleep(0.02)
        if verb == "wait":
            selection = opt.select_optimal_model("chat", 1000)
            print({model: round(share, 3) for model, share in selection.distribution.items()}, flush=True)
"""


@contextmanager
def worker(config: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WORKER, str(config), url],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def _opened(config: Path, url: str) -> Optimizer:
    return Optimizer.open(config, database=url, environ={}, clock=Clock(), background=False)


def tell(process: subprocess.Popen[str], line: str) -> None:
    process.stdin.write(line + "\n")
    process.stdin.flush()


def test_two_processes_learn_from_each_other(url: str, tmp_path: Path) -> None:
    """Each teaches one model thirty ratings; both then know all sixty, though neither was told to look."""
    config = tmp_path / "o.yaml"
    config.write_text(pool("objective: 'floor:0.6'", "refresh_interval: 100ms"))
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(config, url)) for _ in range(2)]
        assert [process.stdout.readline() for process in workers] == ["ready\n"] * 2
        for process, model in zip(workers, (DEAR, CHEAP), strict=True):
            tell(process, f"teach {model}")
        assert [process.stdout.readline() for process in workers] == ["taught\n"] * 2
        for process in workers:
            tell(process, "wait 60")
        one, other = (process.stdout.readline() for process in workers)
    assert one == other
    assert f"'{CHEAP}': 1.0" in one
    database = open_database(url)
    assert verify(database, load_settings(config, {}).reward_rule) == []
    database.close()


def test_optimizers_on_one_database_sum_up_alike(url: str, tmp_path: Path) -> None:
    """Three optimizers in one process, each told a third, know what one that was told all of it knows."""
    config = tmp_path / "o.yaml"
    config.write_text(pool())
    with ExitStack() as stack:
        opts = [stack.enter_context(_opened(config, url)) for _ in range(3)]
        alone = stack.enter_context(_opened(config, str(tmp_path / "alone.db")))
        for number, opt in enumerate(opts):
            teach(opt, (DEAR, CHEAP, CHEAP)[number], [0.25 * number, 0.5])
            teach(alone, (DEAR, CHEAP, CHEAP)[number], [0.25 * number, 0.5])
        for opt in opts:
            opt.refresh()
        beliefs = [opt.snapshot.belief.mean for opt in (*opts, alone)]
        assert all((mean == beliefs[-1]).all() for mean in beliefs)
