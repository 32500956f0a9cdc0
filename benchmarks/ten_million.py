"""How long do `optimizer report` and `optimizer savings` take over ten million rows, and in how much memory?

A ledger of three months is made in bulk (`made_ledger` says what is in it), in a folder of its own unless `--database`
names a new file, and both commands run on it as processes of their own: at most 60 s and 4 GB each, on two cores. Rows
are calls, attempts and ratings together, 2.3 a call; `--calls` asks for so many calls instead. `--keep` runs the
commands on a ledger that is there. Ten million calls need some 12 GB of disk.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

from benchmarks.made_ledger import CALLS_PER_DECISION, ROWS_PER_CALL, Plan, make
from benchmarks.rig import show
from optimizer.ledger.schema import open_database

MOST_S, MOST_GB = 60.0, 4.0
COMMANDS = (("report",), ("savings",), ("savings", "--since", "24h"))


def run_commands(database: str) -> bool:
    """Run the commands on a ledger and print what each took; return whether all kept to their limits."""
    kept = True
    for command in COMMANDS:
        seconds, gigabytes = measured(command, database)
        met = seconds <= MOST_S and gigabytes <= MOST_GB
        show(f"optimizer {' '.join(command)}", f"{seconds:.1f} s {gigabytes:.2f} GB", met)
        kept = kept and met
    return kept


def measured(command: tuple[str, ...], database: str) -> tuple[float, float]:
    """Return seconds and peak gigabytes of one run of a command."""
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "optimizer", *command, "--database", database, "--json"], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)  # the child's own peak: RUSAGE_CHILDREN has the largest of all
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"optimizer {' '.join(command)} failed")
    return time.perf_counter() - started, usage.ru_maxrss * 1024 / 1e9


def make_ledger(database: str, plan: Plan) -> None:
    """Make the ledger and say on stderr how far it is."""
    started = time.perf_counter()

    def tell(n: int) -> None:
        print(f"\r{n:,} of {plan.n_calls:,} calls, {time.perf_counter() - started:.0f} s", end="", file=sys.stderr)

    opened = open_database(database)
    try:
        make(opened, plan, tell)
    finally:
        opened.close()
    print(file=sys.stderr)


def main() -> None:
    """Make a ledger, run the commands, and fail where one takes too long or too much."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000, help="calls, attempts and ratings together")
    parser.add_argument("--calls", type=int, help="instead of rows")
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--calls-per-decision", type=int, default=CALLS_PER_DECISION)
    parser.add_argument("--database", metavar="FILE", help="a new file, which is kept; default: one that is deleted")
    parser.add_argument("--keep", action="store_true", help="use the ledger that is there")
    asked = parser.parse_args()
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    n_calls = asked.calls or round(asked.rows / ROWS_PER_CALL)
    plan = Plan(n_calls, until, asked.days, calls_per_decision=asked.calls_per_decision)
    with tempfile.TemporaryDirectory() as folder:
        database = asked.database or str(Path(folder) / "ledger.db")
        if not asked.keep:
            # In a process of its own: a command's peak begins with the memory of whoever starts it.
            maker = get_context("spawn").Process(target=make_ledger, args=(database, plan))
            maker.start()
            maker.join()
            if maker.exitcode:
                raise SystemExit("no ledger was made")
        if not run_commands(database):
            raise SystemExit("a limit was missed")


if __name__ == "__main__":
    main()
