"""Kill real members under load, again and again, and look for a lost acknowledged write.

Writers put unique values through the client library; after enough acknowledgements the leader (or
every member) gets SIGKILL. Recovery time is from the kill to the next acknowledged write. At the
end everything acknowledged is read back through etcdctl, a client that is not ours, and the
members' HashKV must be equal.
"""

import asyncio
import contextlib
import json
import shutil
import statistics
import subprocess
import time
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kvstore import client
from kvstore.errors import KvError
from kvstore.testing.history import ViolationError
from kvstore.testing.processes import KEELSON, ClusterProcesses, MemberProcess

ACKNOWLEDGEMENTS_PER_ROUND = 1_000
RECOVERY_SECONDS_MAX = 60.0
_PREFIX = "torture/"
_ETCDCTL_SECONDS_MAX = 120


class Report(msgspec.Struct, kw_only=True):
    """What a run did; times are seconds from the kill to the next acknowledgement."""

    faults: str
    rounds: int
    acknowledged: int = 0
    unknown: int = 0
    recoveries: list[float] = []
    hash_kv: int = 0

    @property
    def summary(self) -> str:
        """One line for people."""
        return (
            f"{self.rounds} rounds of {self.faults}: {self.acknowledged} acknowledged writes, "
            f"all read back through etcdctl; {self.unknown} without an answer; "
            f"HashKV {self.hash_kv} on all members; serving again after "
            f"{statistics.median(self.recoveries):.2f} s (median), "
            f"{max(self.recoveries):.2f} s (max)"
        )


def run(
    folder: Path,
    *,
    faults: str,
    rounds: int,
    writers: int,
    program: Sequence[str] = KEELSON,
) -> Report:
    """Torture a fresh three-member cluster in `folder`. Raises ViolationError on a lost write.

    `faults`: `kill` (the leader) or `kill-all`. `program`: whose members; etcd's, to compare with.
    """
    if shutil.which("etcdctl") is None:
        raise KvError("etcdctl is not installed: it reads back what was acknowledged")
    with ClusterProcesses(program, folder, count=3) as cluster:
        return asyncio.run(_Torture(cluster, faults, rounds, writers).run())


class _Torture:
    def __init__(self, cluster: ClusterProcesses, faults: str, rounds: int, writers: int) -> None:
        self._cluster = cluster
        self._writers = writers
        self._acknowledged: dict[str, str] = {}
        self._newest_begun = time.monotonic()  # of the writes that were acknowledged
        self._progress = asyncio.Event()
        self.report = Report(faults=faults, rounds=rounds)

    async def run(self) -> Report:
        writing = [asyncio.ensure_future(self._write(n)) for n in range(self._writers)]
        for number in range(1, self.report.rounds + 1):
            await self._acknowledge_more(ACKNOWLEDGEMENTS_PER_ROUND)
            seconds = await self._strike()
            self.report.recoveries.append(seconds)
            print(f"round {number}: serving again after {seconds:.2f} s", flush=True)  # noqa: T201
        await self._acknowledge_more(ACKNOWLEDGEMENTS_PER_ROUND)
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
        self.report.acknowledged = len(self._acknowledged)
        self._check_everything_is_there()
        self.report.hash_kv = await self._common_hash()
        return self.report

    async def _write(self, number: int) -> None:
        count = 0
        async with client.connect(self._cluster.endpoints) as store:
            while True:
                count += 1
                begun = time.monotonic()
                key, value = f"{_PREFIX}{number}/{count}", f"value {number} {count}"
                try:
                    await store.put(key, value)
                except KvError:
                    self.report.unknown += 1
                    continue
                self._acknowledged[key] = value
                self._newest_begun = max(self._newest_begun, begun)
                self._progress.set()

    async def _acknowledge_more(self, count: int) -> None:
        target = len(self._acknowledged) + count
        async with asyncio.timeout(RECOVERY_SECONDS_MAX * 2):
            while len(self._acknowledged) < target:
                self._progress.clear()
                await self._progress.wait()

    async def _strike(self) -> float:
        """Kill, measure until a write is acknowledged that was begun after it, bring all back.

        What was begun before may have its answer in a socket already: it tells nothing.
        """
        killed = [await self._leader()]
        if self.report.faults == "kill-all":
            killed = self._cluster.members
        struck = time.monotonic()
        for member in killed:
            member.kill()
        dead = time.monotonic()
        if self.report.faults == "kill-all":
            self._start(killed)
        while self._newest_begun <= dead:
            self._progress.clear()
            async with asyncio.timeout(RECOVERY_SECONDS_MAX):
                await self._progress.wait()
        seconds = time.monotonic() - struck
        if self.report.faults == "kill":
            self._start(killed)
        await asyncio.to_thread(self._cluster.wait_ready)
        return seconds

    def _start(self, members: list[MemberProcess]) -> None:
        for member in members:
            self._cluster.start_member(member)

    async def _leader(self) -> MemberProcess:
        async with asyncio.timeout(RECOVERY_SECONDS_MAX):
            while True:
                leader = await asyncio.to_thread(self._cluster.leader)
                if leader is not None:
                    return leader

    def _check_everything_is_there(self) -> None:
        found = self._read_with_etcdctl()
        for key, value in self._acknowledged.items():
            if found.get(key) != value:
                raise ViolationError(
                    f"{key} = {value!r} was acknowledged; now it is {found.get(key)!r}"
                )

    def _read_with_etcdctl(self) -> dict[str, str]:
        flags = [f"--endpoints={self._cluster.endpoints[0]}", "--command-timeout=60s"]
        answer = subprocess.run(
            ["etcdctl", *flags, "get", "--prefix", _PREFIX, "-w", "json"],
            env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin:/usr/local/bin"},
            capture_output=True,
            timeout=_ETCDCTL_SECONDS_MAX,
            check=True,
        )
        kvs = json.loads(answer.stdout).get("kvs", [])
        return {b64decode(kv["key"]).decode(): b64decode(kv["value"]).decode() for kv in kvs}

    async def _common_hash(self) -> int:
        """HashKV at one revision on every member: all must agree."""
        hashes = set()
        async with contextlib.AsyncExitStack() as stack:
            stores = [
                await stack.enter_async_context(client.connect([endpoint]))
                for endpoint in self._cluster.endpoints
            ]
            revisions = [(await store.get_range(_PREFIX)).header.revision for store in stores]
            for store in stores:
                hashes.add((await store.maintenance.hash_kv(revision=min(revisions))).hash)
        if len(hashes) != 1:
            raise ViolationError(f"the members' data differ: HashKV {sorted(hashes)}")
        return hashes.pop()
