"""Does the service's memory stay flat while many clients ask it? Run by hand: minutes, not part of `make bench`.

32 clients ask without a pause, and the resident memory of the one process is read every second. The line through what
is read after the first minute tells how much was added since.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path

import numpy as np
from httpx_aiohttp import HttpxAiohttpClient

from benchmarks.peers import Server, our_service
from benchmarks.rig import show
from benchmarks.router_latency import Ask, fake_process
from benchmarks.service_latency import Way, asking

CLIENTS = 32
WARM_UP_S = 60.0
GROWTH = 0.02  # of the memory after the first minute, by the line, over the rest: noise

Reading = tuple[float, float]  # seconds, megabytes


def run(seconds: float, clients: int = CLIENTS, every_s: float = 1.0) -> tuple[int, list[Reading]]:
    """Return the calls that were answered, and what memory was read when."""

    async def measure(server: Server) -> tuple[int, list[Reading]]:
        async with HttpxAiohttpClient(timeout=None) as http:
            ask, until = asking(http, Way(server.url, "auto:bench", {})), time.monotonic() + seconds
            readings = asyncio.create_task(_watch(server, until, every_s))
            counts = await asyncio.gather(*(_keep_asking(ask, until) for _ in range(clients)))
            return sum(counts), await readings

    with fake_process() as fake, our_service(fake) as server:
        return asyncio.run(measure(server))


def growth(readings: list[Reading], after_s: float = WARM_UP_S) -> tuple[float, float]:
    """Return the megabytes by which the line grows after the first minute, and those that it begins with."""
    at, size = np.array([reading for reading in readings if reading[0] >= after_s]).T
    slope, _ = np.polyfit(at, size, 1)
    return float(slope * (at[-1] - at[0])), float(size[0])


async def _keep_asking(ask: Ask, until: float) -> int:
    n_calls = 0
    while time.monotonic() < until:
        await ask()
        n_calls += 1
    return n_calls


async def _watch(server: Server, until: float, every_s: float) -> list[Reading]:
    began, readings = time.monotonic(), []
    while time.monotonic() < until:
        readings.append((time.monotonic() - began, _resident_mb(server.pid)))
        await asyncio.sleep(every_s)
    return readings


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


def main() -> None:
    """Print all of it; exit with 1 where memory grows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service_memory", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    if minutes * 60 <= WARM_UP_S + 10:
        parser.error("the first minute does not count: give at least 2")
    n_calls, readings = run(minutes * 60)
    grown, begun = growth(readings)
    print(f"{n_calls} calls of {CLIENTS} clients in {minutes:g} minutes")
    for at, size in readings[:: max(1, len(readings) // 12)]:
        print(f"{at:8.0f} s {size:9.1f} MB", flush=True)
    show("megabytes grown after the first minute", f"{grown:+.1f} of {begun:.0f}", grown <= GROWTH * begun)
    sys.exit(grown > GROWTH * begun)


if __name__ == "__main__":
    main()
