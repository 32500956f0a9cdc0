"""An experiment: policies by objectives by seeds over one stream, shared out over processes."""

import os
import pickle
import signal
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import active_children, get_context
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import current_thread, main_thread
from typing import Any

from optimizer.domain import Objective
from optimizer.simulation.policies import replay
from optimizer.simulation.replay import ReplaySettings
from optimizer.simulation.stream import Stream
from optimizer.simulation.summary import SeedResult, over_seeds, summarised

# Seeds share the cores; threads inside each would fight over them. Read when numpy is imported in a new process.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_LOOK_UP_S = 0.1


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
    if min(n_jobs, len(todo)) <= 1:
        yield from ((task, run_task(stream, settings, task)) for task in todo)
        return
    with TemporaryDirectory() as folder:
        # A file, because tasks that outgrow a pipe can block a pool for good when its processes are stopped.
        path = Path(folder) / "stream.pickle"
        path.write_bytes(pickle.dumps((stream, settings)))
        yield from _run_in_processes(path, todo, min(n_jobs, len(todo)))


def _run_in_processes(path: Path, todo: Sequence[Task], n_jobs: int) -> Generator[tuple[Task, SeedResult]]:
    before = set(active_children())
    finished: SimpleQueue[Future[SeedResult]] = SimpleQueue()
    pool = ProcessPoolExecutor(n_jobs, get_context("spawn"), _ignore_interrupts)
    try:
        with _interrupts_held_back(), _one_thread_each():
            futures = {pool.submit(_run_loaded, path, task): task for task in todo}
        for future in futures:
            future.add_done_callback(finished.put)
        for _ in todo:
            future = _next(finished)
            yield futures[future], future.result()
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(active_children()) - before:
            worker.terminate()
        raise


@cache
def _loaded(path: Path) -> tuple[Stream, ReplaySettings]:
    """Return what the parent wrote, read once a process."""
    loaded: tuple[Stream, ReplaySettings] = pickle.loads(path.read_bytes())  # noqa: S301 - our own, in a folder of our own
    return loaded


def _run_loaded(path: Path, task: Task) -> SeedResult:
    return run_task(*_loaded(path), task)


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


def _next(finished: "SimpleQueue[Future[SeedResult]]") -> "Future[SeedResult]":
    """Return what is finished next; wakes up to see a Ctrl-C, which not every system lets end a wait."""
    while True:
        try:
            return finished.get(timeout=_LOOK_UP_S)
        except Empty:
            continue


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Raise a Ctrl-C afterwards, so that no process is left half started; those that start never see one."""
    if current_thread() is not main_thread():
        yield
        return
    pressed: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if pressed:
        raise KeyboardInterrupt


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
