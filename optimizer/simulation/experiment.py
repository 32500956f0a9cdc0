"""An experiment: policies by objectives by seeds over one stream, shared out over processes."""

import os
import signal
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context
from typing import Any

from optimizer.domain import Objective
from optimizer.simulation.policies import replay
from optimizer.simulation.replay import ReplaySettings
from optimizer.simulation.stream import Stream
from optimizer.simulation.summary import SeedResult, over_seeds, summarised

# Seeds share the cores; threads inside each would fight over them. Read when numpy is imported in a new process.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Task:
    """One replay."""

    policy: str
    objective: Objective
    seed: int


def tasks(policies: Iterable[str], objectives: Iterable[Objective], n_seeds: int) -> tuple[Task, ...]:
    """Return every replay, seed by seed, so that what is finished at any time compares all policies alike."""
    pairs = [(policy, objective) for objective in objectives for policy in policies]
    return tuple(Task(policy, objective, seed) for seed in range(n_seeds) for policy, objective in pairs)


def run(
    stream: Stream, todo: Sequence[Task], settings: ReplaySettings, *, n_jobs: int
) -> Generator[tuple[Task, SeedResult]]:
    """Yield each task with its result as it is finished; closing it, or Ctrl-C, stops all workers at once."""
    work = partial(run_task, stream, settings)
    if min(n_jobs, len(todo)) <= 1:
        yield from ((task, work(task)) for task in todo)
        return
    before = set(active_children())
    with _one_thread_each():
        pool = ProcessPoolExecutor(min(n_jobs, len(todo)), get_context("spawn"), _ignore_interrupts)
        try:
            futures = {pool.submit(work, task): task for task in todo}
            for future in as_completed(futures):
                yield futures[future], future.result()
            pool.shutdown()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(active_children()) - before:
                worker.terminate()
            raise


def run_task(stream: Stream, settings: ReplaySettings, task: Task) -> SeedResult:
    """Return the result of one replay."""
    played = replay(stream, task.policy, task.objective, settings, task.seed)
    return summarised(stream, played, score_last=settings.score_last)


def report(stream: Stream, todo: Iterable[Task], done: Mapping[Task, SeedResult]) -> list[dict[str, Any]]:
    """Return a line per policy and objective that has results, in the order of their tasks."""
    groups: dict[tuple[str, Objective], list[SeedResult]] = {}
    for task in todo:
        if task in done:
            groups.setdefault((task.policy, task.objective), []).append(done[task])
    return [over_seeds(stream, policy, objective, found) for (policy, objective), found in groups.items()]


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which reaches every process of the terminal, to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that start meanwhile compute in one thread."""
    saved = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
