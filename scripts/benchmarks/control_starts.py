"""How soon a pod runs: from the sending of its create to a watcher's event that it does.

As Kubernetes' objective has it (sig-scalability, slos.md): images are there, nothing is to be
done before its container starts.
"""

import time

from benchmarks.control_bars import Figures
from benchmarks.control_pods import RUNNING, Namespace, pod
from benchmarks.http_client import Site
from benchmarks.outcome import percentile

IMAGE = "local/pause"
BURST = 30


async def one_by_one(site: Site, count: int) -> Figures:
    """The next one is made when the one before runs."""
    latencies = []
    async with Namespace.made(site, "one-by-one") as namespace:
        async with namespace.watched(namespace.pods, *RUNNING) as running:
            began = time.perf_counter()
            for number in range(count):
                sent = time.perf_counter()
                await namespace.post(namespace.pods, pod(f"p-{number}", IMAGE))
                await running.until(number + 1)
                latencies.append(running.at[number] - sent)
            seconds = time.perf_counter() - began
        await namespace.clear()
    return _figures(latencies, seconds)


async def at_once(site: Site) -> Figures:
    """All are sent at the same time; that is when each one's time begins."""
    async with Namespace.made(site, "at-once") as namespace:
        async with namespace.watched(namespace.pods, *RUNNING) as running:
            began = time.perf_counter()
            bodies = [pod(f"p-{number}", IMAGE) for number in range(BURST)]
            await namespace.make_all(bodies, BURST)
            await running.until(BURST)
            latencies = [at - began for at in running.at]
        await namespace.clear()
    return _figures(latencies, max(latencies))


def _figures(latencies: list[float], seconds: float) -> Figures:
    ordered = sorted(latencies)
    return Figures(
        rate=len(ordered) / seconds,
        seconds=seconds,
        p50_ms=percentile(ordered, 50) * 1e3,
        p99_ms=percentile(ordered, 99) * 1e3,
    )
