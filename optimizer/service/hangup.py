"""SIGHUP: read the settings again, in every process that serves, without ending a call."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from uvicorn.supervisors import Multiprocess

from optimizer.router import Router

_log = logging.getLogger(__name__)


@contextmanager
def reloading(router: Router) -> Iterator[None]:
    """Reload on SIGHUP for as long as the context lasts; only where the process's own thread serves."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, _reload, router))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _reload(router: Router) -> None:
    if router.reload():  # else a warning says what is wrong with the settings
        _log.info("The settings are read again")


class Supervisor(Multiprocess):
    """Workers that reload where they stand: uvicorn's own answer to SIGHUP is to put new ones in their place."""

    def handle_hup(self) -> None:
        """Pass the signal on to every worker."""
        for worker in self.processes:
            if worker.pid is not None:
                os.kill(worker.pid, signal.SIGHUP)
