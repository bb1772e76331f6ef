"""Large snapshots between real members: taken, installed, broken off on either side, two in a row.

    python -m kvstore.testing snapshots --megabytes 1024

Each round lets a follower fall so far behind that the log is not enough, and brings it back in its
own way, while clients write. The leader must stay (but where it is killed), every key that was
acknowledged must be there with its value on the member that was away, after each round, and in the
end on all members. How long the clients' commits took is told of each round.
"""

import argparse
import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from kvstore import client
from kvstore.errors import ConfigError, KvError
from kvstore.server.failpoints import VARIABLE
from kvstore.server.log_window import HELD_BYTES_MAX, LOG_BYTES_MAX
from kvstore.testing.history import ViolationError
from kvstore.testing.processes import (
    KEELSON,
    ClusterProcesses,
    MemberProcess,
    MemberStartError,
)
from kvstore.testing.snapshot_contents import VALUE_BYTES, Contents, value_of

Say = Callable[[str], None]

_MEGABYTE = 1_000_000
_LAG_BYTES = LOG_BYTES_MAX + LOG_BYTES_MAX // 8  # more than the leader keeps for who is away
_HELD_BYTES = HELD_BYTES_MAX + HELD_BYTES_MAX // 8  # more than it keeps for who is sent a snapshot
_UNDER_WAY = 16
_WRITERS = 8
_WRITER_PAUSE_SECONDS = 0.005
_REQUEST_SECONDS_MAX = 60.0
_SECONDS_MAX = 600.0  # for one step of a round: a large state on a crowded machine
_STATUS_SECONDS = 30.0
_POLL_SECONDS = 0.02
_MIDDLE = "snapshot write:4"  # some MiB have arrived, and more are to come
_FIRST_KEY = b"\0"
_QUOTA_BYTES = 16 * 1024**3
_PAGE_KEYS = 64  # 2 MiB of values: what one response may well have
_STORED = "stored our snapshot"  # the sender's log


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one round came to; times in seconds. `snapshots`: that were sent to their end."""

    name: str
    seconds: float
    snapshots: int
    commits: int
    p99_seconds: float
    max_seconds: float
    terms: int

    @property
    def told(self) -> str:
        """One line for people."""
        return (
            f"{self.name}: {self.seconds:.1f} s, {self.snapshots} snapshots sent, "
            f"{self.commits} commits meanwhile, p99 {self.p99_seconds * 1e3:.0f} ms, longest "
            f"{self.max_seconds * 1e3:.0f} ms, {self.terms} new terms"
        )


class Writers:
    """Clients that each write numbers to a key of their own, and time it."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self._endpoints = endpoints
        self._acknowledged = [0] * _WRITERS
        self._begun = [0] * _WRITERS
        self.seconds: list[float] = []
        """Of every commit since the list was last emptied."""

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """They write until the end of the block."""
        tasks = [asyncio.ensure_future(self._write(number)) for number in range(_WRITERS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if not isinstance(result, asyncio.CancelledError):
                raise ViolationError(f"a writer has failed: {result!r}")

    def tell(self, contents: Contents) -> None:
        """What each was told of, and has asked for; while nobody writes."""
        for number, (acknowledged, begun) in enumerate(
            zip(self._acknowledged, self._begun, strict=True)
        ):
            contents.counted(_writer_key(number), acknowledged=acknowledged, begun=begun)

    async def _write(self, number: int) -> None:
        async with client.connect(self._endpoints) as store:
            while True:
                self._begun[number] += 1
                count = self._begun[number]
                began = time.monotonic()
                try:
                    await store.put(_writer_key(number), str(count))
                except KvError:
                    continue  # unknown: the next number says more
                self.seconds.append(time.monotonic() - began)
                self._acknowledged[number] = count
                await asyncio.sleep(_WRITER_PAUSE_SECONDS)


class SnapshotRounds:
    """A cluster of three with a large state, and the rounds that can be played on it."""

    def __init__(self, cluster: ClusterProcesses, say: Say) -> None:
        self._cluster = cluster
        self._say = say
        self._writers = Writers(cluster.endpoints)
        self._leader = cluster.members[0]
        self._victim = cluster.members[1]
        self._fills = 0
        self._contents = Contents()

    async def run(self, megabytes: int, names: Sequence[str]) -> list[Round]:
        """Fill, then play the rounds. Raises ViolationError for a promise that was broken."""
        await self._fill("state", megabytes * _MEGABYTE)
        done = []
        for name in names:
            done.append(await self._play(name))
            self._say(done[-1].told)
        for member in self._cluster.members:
            await self._check_contents(member)
        await self._check_equal()
        return done

    async def _play(self, name: str) -> Round:
        await self._choose()
        term, snapshots = self._term(), self._snapshots()
        self._writers.seconds.clear()
        async with self._writers.writing():
            began = time.monotonic()
            await ROUNDS[name](self)
            seconds = time.monotonic() - began
        await self._wait_ready()
        times = sorted(self._writers.seconds)
        if not times:
            raise ViolationError(f"{name}: not one commit in {seconds:.0f} s")
        done = Round(
            name=name,
            seconds=seconds,
            snapshots=self._snapshots() - snapshots,
            commits=len(times),
            p99_seconds=times[len(times) * 99 // 100],
            max_seconds=times[-1],
            terms=self._term() - term,
        )
        self.judge(done)
        await self._check_contents(self._victim)
        await self._compact()
        return done

    @staticmethod
    def judge(done: Round) -> None:
        """Raise ViolationError when a round has cost the leader, or was none."""
        if done.terms and done.name not in _LEADER_DIES:
            raise ViolationError(f"{done.name}: the leader has changed, {done.terms} new terms")
        wanted = _SNAPSHOTS_SENT.get(done.name, 1)
        if done.snapshots < wanted:
            raise ViolationError(
                f"{done.name}: {done.snapshots} snapshots were sent to their end, not {wanted}"
            )

    # ------------------------------------------------------------------ rounds

    async def taken(self) -> None:
        """The leader takes a snapshot of its own."""
        async with client.connect([self._leader.endpoint]) as store:
            await store.maintenance.defragment(timeout_seconds=_SECONDS_MAX)

    async def installed(self) -> None:
        """A follower that was away gets one."""
        await self._fall_behind()
        await self._start()
        await self._wait_ready()

    async def receiver_killed(self) -> None:
        """It dies while the snapshot comes in, and again."""
        await self._fall_behind()
        for _ in range(2):
            await self._die_at(_MIDDLE)
        await self._start()
        await self._wait_ready()

    async def installer_killed(self) -> None:
        """It dies with the whole snapshot on its disk: before that counts, and after."""
        await self._fall_behind()
        await self._die_at("snapshot install")
        await self._die_at("snapshot installed")
        await self._start()
        await self._wait_ready()

    async def sender_killed(self) -> None:
        """The leader dies while it sends. Its successor sends another one."""
        await self._fall_behind()
        await self._stop_at(_MIDDLE)
        self._leader.kill()
        self._victim.resume()
        others = [member for member in self._cluster.members if member is not self._leader]
        await self._wait_ready(others)
        await self._start(self._leader)
        await self._wait_ready()

    async def two_in_a_row(self) -> None:
        """When it has the first one the log after it is gone again: it gets a second."""
        await self._fall_behind()
        await self._stop_at("snapshot install")
        await self._fill("lag", _HELD_BYTES)
        self._victim.resume()
        await self._wait_ready()

    # ------------------------------------------------------------------ steps

    async def _choose(self) -> None:
        """Who leads now, and who is to fall behind."""
        leader = await asyncio.to_thread(self._cluster.leader)
        if leader is None:
            raise ViolationError("nobody leads a cluster of which all members run")
        self._leader = leader
        self._victim = next(member for member in self._cluster.members if member is not leader)

    async def _fall_behind(self) -> None:
        self._victim.kill()
        await self._fill("lag", _LAG_BYTES)

    async def _die_at(self, point: str) -> None:
        await self._start(failpoint=f"{point}=kill")
        if not await asyncio.to_thread(self._victim.ends_within, _SECONDS_MAX):
            raise ViolationError(f"{self._victim.name} never came to {point}: no snapshot came")

    async def _stop_at(self, point: str) -> None:
        await self._start(failpoint=f"{point}=stop")
        async with _deadline(f"{self._victim.name} never came to {point}: no snapshot came"):
            while not _is_stopped(self._victim.pid):  # noqa: ASYNC110 - only the kernel knows
                await asyncio.sleep(_POLL_SECONDS)

    async def _start(self, member: MemberProcess | None = None, *, failpoint: str = "") -> None:
        member = member or self._victim
        member.environment = {VARIABLE: failpoint} if failpoint else {}
        await asyncio.to_thread(self._cluster.start_member, member)

    async def _wait_ready(self, members: Sequence[MemberProcess] | None = None) -> None:
        await asyncio.to_thread(self._cluster.wait_ready, members, timeout_seconds=_SECONDS_MAX)

    async def _fill(self, prefix: str, size: int) -> None:
        """Write so many bytes, a part of them at a time."""
        self._fills += 1
        fill = self._fills
        numbers = iter(range(size // VALUE_BYTES + 1))
        async with self._store() as store:

            async def write() -> None:
                for number in numbers:
                    key = f"{prefix}/{number:06d}".encode()
                    await store.put(key, value_of(key, fill))
                    self._contents.filled(key, fill)

            async with asyncio.TaskGroup() as writing:
                for _ in range(_UNDER_WAY):
                    writing.create_task(write())

    async def _compact(self) -> None:
        """What the writing left in the history is no part of the state."""
        async with self._store() as store:
            now = await store.get_range(_FIRST_KEY, limit=1)
            await store.compact(now.header.revision, physical=True)

    def _store(self) -> client.Client:
        return client.connect(self._cluster.endpoints, request_timeout_seconds=_REQUEST_SECONDS_MAX)

    def _term(self) -> int:
        status = self._cluster.members[2].status(_STATUS_SECONDS)
        if status is None:
            raise ViolationError("a member that runs does not tell its term")
        return status.raftTerm

    def _snapshots(self) -> int:
        """How many were sent to their end until now."""
        logs = (member.log_path.read_text(errors="replace") for member in self._cluster.members)
        return sum(log.count(_STORED) for log in logs)

    async def _check_contents(self, member: MemberProcess) -> None:
        """Read all keys of one member, and judge them."""
        self._writers.tell(self._contents)
        reading = self._contents.reading(member.name)
        key, revision, is_more = _FIRST_KEY, 0, True
        async with client.connect(
            [member.endpoint], request_timeout_seconds=_REQUEST_SECONDS_MAX
        ) as store:
            while is_more:
                # The first page is a linearizable read: the member has all that there was.
                page = await store.get_range(
                    key, from_key=True, limit=_PAGE_KEYS, revision=revision
                )
                revision, is_more = revision or page.header.revision, page.more
                reading.page((kv.key, kv.value) for kv in page.kvs)
                if page.kvs:
                    key = page.kvs[-1].key + b"\0"
        reading.end()

    async def _check_equal(self) -> None:
        hashes = set()
        async with self._store() as store:
            # At a revision that is compacted already nobody tells a hash.
            revision = (await store.put("end", "")).header.revision
        for member in self._cluster.members:
            async with client.connect([member.endpoint]) as store:
                await store.get_range(_FIRST_KEY, limit=1)  # linearizable: it has that revision
                hashes.add((await store.maintenance.hash_kv(revision=revision)).hash)
        if len(hashes) != 1:
            raise ViolationError(f"the members differ in HashKV at {revision}: {sorted(hashes)}")


ROUNDS: dict[str, Callable[[SnapshotRounds], Awaitable[None]]] = {
    "taken": SnapshotRounds.taken,
    "installed": SnapshotRounds.installed,
    "receiver-killed": SnapshotRounds.receiver_killed,
    "installer-killed": SnapshotRounds.installer_killed,
    "sender-killed": SnapshotRounds.sender_killed,
    "two-in-a-row": SnapshotRounds.two_in_a_row,
}
_LEADER_DIES = frozenset({"sender-killed"})  # in all others it must stay
_SNAPSHOTS_SENT = {"taken": 0, "two-in-a-row": 2}  # at least, to their end; in all others one


def _writer_key(number: int) -> bytes:
    return b"writer/%d" % number


@contextlib.asynccontextmanager
async def _deadline(complaint: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_SECONDS_MAX):
            yield
    except TimeoutError:
        raise ViolationError(complaint) from None


def _is_stopped(pid: int) -> bool:
    """Tell whether a process stands still after SIGSTOP (proc(5): behind the name's bracket)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def play(folder: Path, *, megabytes: int, names: Sequence[str], say: Say) -> list[Round]:
    """Play rounds on a fresh cluster in `folder`.

    Raises ViolationError for a promise that was broken, MemberStartError for a member that does not
    come back.
    """
    flags = [f"--quota-backend-bytes={_QUOTA_BYTES}"]
    with ClusterProcesses(KEELSON, folder, count=3, flags=flags) as cluster:
        return asyncio.run(SnapshotRounds(cluster, say).run(megabytes, names))


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command line of `snapshots`."""
    parser = commands.add_parser("snapshots", help="large snapshots, sent and broken off")
    parser.add_argument("--megabytes", type=_positive, default=1024, help="of state (%(default)s)")
    parser.add_argument("--rounds", metavar="NAME[,NAME…]", help="which (default: all)")
    parser.add_argument("--folder", type=Path, help="data (default: a temporary one)")


def run(options: argparse.Namespace, say: Say) -> int:
    """Exit status 0: every promise held; 2: the command line is wrong."""
    try:
        names = _chosen(options.rounds)
    except ConfigError as error:
        say(str(error))
        return 2
    folder = options.folder or Path(tempfile.mkdtemp(prefix="snapshots-"))
    try:
        play(folder / "cluster", megabytes=options.megabytes, names=names, say=say)
    except (ViolationError, MemberStartError) as error:
        say(f"a promise is broken: {error}\nlogs: {folder / 'cluster'}")
        return 1
    if not options.folder:
        shutil.rmtree(folder)
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("1 or more, please")
    return number


def _chosen(names: str | None) -> list[str]:
    chosen = list(ROUNDS) if names is None else [name.strip() for name in names.split(",")]
    for name in chosen:
        if name not in ROUNDS:
            raise ConfigError(f"there is no round {name!r}; there are {', '.join(ROUNDS)}")
    return chosen
