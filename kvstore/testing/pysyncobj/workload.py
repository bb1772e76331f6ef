"""The clients of PySyncObj: the same calls as those of our own store, leases and watches apart."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from kvstore.testing.linearizability import Operation
from kvstore.testing.pysyncobj.cluster import ControlCluster
from kvstore.testing.pysyncobj.store import Answer
from kvstore.testing.simulation.workload import KEYS, KINDS, pause_seconds

_LAST_ROUNDS = 2  # of all members
_AGAIN_SECONDS = 0.5


class Workload:
    """Clients, and what they remember."""

    def __init__(self, cluster: ControlCluster, random: Random, clients: int) -> None:
        self.operations: list[Operation] = []
        """In the order in which they ended."""
        self.count = 0
        """How many have begun."""
        self._cluster = cluster
        self._dice = [Random(random.getrandbits(64)) for _ in range(clients)]
        self._at = [dice.randrange(len(cluster.members)) for dice in self._dice]

    async def run(self, is_enough: Callable[[], bool]) -> None:
        """Let all clients work until it is enough and their last calls have ended."""
        clients = range(len(self._dice))
        await asyncio.gather(*(self._work(client, is_enough) for client in clients))

    async def read_everything(self) -> None:
        """One more read of each key, of a cluster that is healed; if it does not answer, none."""
        for key in KEYS:
            for _ in range(_LAST_ROUNDS * len(self._cluster.members)):
                if await self._get(0, key) is not None:
                    break
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return

    async def _work(self, client: int, is_enough: Callable[[], bool]) -> None:
        random = self._dice[client]
        while not is_enough():
            await asyncio.sleep(pause_seconds(random))
            kind, key = random.choice(KINDS), random.choice(KEYS)
            value = b"%d.%d" % (client, self.count)  # none is written twice
            match kind:
                case "put":
                    await self._put(client, key, value)
                case "delete":
                    await self._delete(client, key)
                case "get":
                    await self._get(client, key)
                case _:
                    await self._compare_and_set(client, key, value)

    async def _put(self, client: int, key: bytes, value: bytes) -> None:
        call = {"kind": "put", "key": key, "value": value}
        await self._ask(client, call, "put", key, value)

    async def _delete(self, client: int, key: bytes) -> None:
        await self._ask(client, {"kind": "delete", "key": key}, "delete", key)

    async def _get(self, client: int, key: bytes) -> Answer | None:
        return await self._ask(client, {"kind": "get", "key": key}, "get", key)

    async def _compare_and_set(self, client: int, key: bytes, value: bytes) -> None:
        before = await self._get(client, key)
        if before is None:
            return
        expected = before[3]
        call = {"kind": "cas", "key": key, "value": value, "expected_revision": expected}
        await self._ask(client, call, "compare_and_set", key, expected, value)

    async def _ask(
        self, client: int, call: dict[str, Any], name: str, *arguments: object
    ) -> Answer | None:
        """Ask, and write down what came of it. Without an answer ask another member next."""
        self.count += 1
        members = self._cluster.members
        member = members[self._at[client] % len(members)]
        invoked = _now()
        answer = await self._cluster.call(client, member, name, *arguments)
        call = {**call, "process": client, "invoked": invoked}
        if answer is None:
            self._at[client] += 1
            self.operations.append(Operation(**call))
            return None
        is_effective, revision, value, mod_revision = answer
        call |= {"completed": _now(), "revision": revision}
        if call["kind"] == "get":
            call |= {"value": value, "mod_revision": mod_revision}
        elif call["kind"] != "put":
            call["succeeded"] = is_effective
        self.operations.append(Operation(**call))
        return answer


def _now() -> float:
    return asyncio.get_running_loop().time()
