"""One run of an application against one cluster, on a simulated clock, network and disk.

    def test_mine(topology, faults):
        async def application(cluster):
            async with cluster.connect() as client:
                ...
        run(application, topology=topology, faults=faults)

The same data gives the same run. So the application must not look elsewhere for time or chance:
`asyncio.sleep` and the loop's clock are simulated, `random` is seeded by hypothesis; threads,
sockets and files do not exist.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kvstore.testing.properties.cluster import Cluster
from kvstore.testing.properties.schedule import Schedule, Topology
from kvstore.testing.simulation import loop

T = TypeVar("T")

SECONDS_MAX = 600.0  # outlasts any schedule that is drawn, and a client's patience many times


class StuckError(AssertionError):
    """The application did not end in time."""


class Trial:
    """A cluster on a loop of its own: it stands still between one `run` and the next."""

    def __init__(self, topology: Topology) -> None:
        """Raises RuntimeError inside a running event loop."""
        _require_no_loop()
        self.cluster = Cluster(topology)
        self._session = loop.Session()
        self._logger = logging.getLogger("kvstore")
        self._level = self._logger.level
        self._logger.setLevel(logging.ERROR)  # members complain a lot about faults

    def run(self, main: Callable[[], Awaitable[T]], *, seconds_max: float = SECONDS_MAX) -> T:
        """Let time go on until a coroutine ends, and return or raise what it does.

        Raises StuckError when it does not end within `seconds_max` simulated seconds,
        ViolationError in place of any other error when the cluster itself has broken a promise.
        """
        return self._session.run(lambda: self._bounded(main, seconds_max))

    def close(self) -> None:
        """End all that goes on."""
        self._session.close()
        self._logger.setLevel(self._level)

    async def _bounded(self, main: Callable[[], Awaitable[T]], seconds_max: float) -> T:
        limit = asyncio.timeout(seconds_max)
        try:
            async with limit:
                return await main()
        except Exception as error:
            self.cluster.check()
            if isinstance(error, TimeoutError) and limit.expired():
                what = f"it did not end within {seconds_max:.0f} simulated seconds"
                raise StuckError(what) from None
            raise


def run(
    application: Callable[[Cluster], Awaitable[T]],
    *,
    topology: Topology | None = None,
    faults: Schedule = (),
    seconds_max: float = SECONDS_MAX,
) -> T:
    """Run `application` against a cluster that serves, while `faults` come and go; its result.

    When it returns, all faults end and the members must agree. Raises what the application
    raises, ViolationError when the cluster breaks a promise, StuckError when the application does
    not end within `seconds_max` simulated seconds, RuntimeError inside a running event loop.
    """
    trial = Trial(topology or Topology())

    async def main() -> T:
        cluster = trial.cluster
        await cluster.start()
        cluster.suffer(faults)
        result = await application(cluster)
        await cluster.heal()
        return result

    try:
        return trial.run(main, seconds_max=seconds_max)
    finally:
        trial.close()


def _require_no_loop() -> None:
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "an event loop is running: write the test as a plain function (`def`, not"
            " `async def`); the application inside it is what is asynchronous"
        )
