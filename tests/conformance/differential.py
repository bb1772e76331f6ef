"""The same random operations to etcd and to our member: every response and event must be equal.

    python -m tests.conformance.differential --seed 7 --operations 10000

Not compared: cluster and member ids, terms, the numbers of leases that the server chose (they are
mapped); a remaining TTL may be off by one second. A difference prints the seed and the shortest
tail of the run that shows it on empty stores.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from kvstore.pb.mvcc_pb2 import Event
from kvstore.pb.rpc_pb2 import (
    CompactionRequest,
    HashKVRequest,
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseLeasesResponse,
    LeaseTimeToLiveResponse,
    RangeRequest,
    ResponseHeader,
    WatchRequest,
    WatchResponse,
)
from kvstore.testing.processes import ETCD, KEELSON, ClusterProcesses, MemberStartError
from tests.conformance.client import Client, KeepAliveStream, Refused, refusal
from tests.conformance.operations import (
    SERVER_CHOSEN,
    STREAMS,
    Generator,
    Operation,
    Position,
    resolve,
)
from tests.conformance.watching import WatchDifference, Watches

CHECKPOINT_OPERATIONS = 250  # how often the whole stores are compared
TTL_TOLERANCE_SECONDS = 1
REPLAYS_MAX = 16  # while looking for the shortest failing tail
CALL_TIMEOUT_SECONDS = 20.0
_PATHS = {
    "put": "/etcdserverpb.KV/Put",
    "range": "/etcdserverpb.KV/Range",
    "delete": "/etcdserverpb.KV/DeleteRange",
    "txn": "/etcdserverpb.KV/Txn",
    "compact": "/etcdserverpb.KV/Compact",
    "lease grant": "/etcdserverpb.Lease/LeaseGrant",
    "lease revoke": "/etcdserverpb.Lease/LeaseRevoke",
    "lease time-to-live": "/etcdserverpb.Lease/LeaseTimeToLive",
    "lease list": "/etcdserverpb.Lease/LeaseLeases",
    "hash": "/etcdserverpb.Maintenance/HashKV",
}
Outcome = Message | tuple[str, str]


class Difference(Exception):  # noqa: N818 - a finding, not a fault
    """The two systems answered differently."""


@dataclass(frozen=True)
class Renewal:
    """A lease started to run somewhere between these two moments."""

    sent: float
    answered: float


class System:
    """One of the two: its connection, and which lease ids it chose."""

    def __init__(self, endpoint: str) -> None:
        self.client = Client(endpoint)
        self.keep_alive = KeepAliveStream(self.client)
        self._chosen: list[int] = []
        self._renewals: dict[int, Renewal] = {}

    def lease_to_wire(self, lease_id: int) -> int:
        """The id that this system knows the lease by."""
        number = lease_id - SERVER_CHOSEN
        return self._chosen[number] if 0 <= number < len(self._chosen) else lease_id

    def lease_from_wire(self, lease_id: int) -> int:
        """The id that both runs know the lease by."""
        if lease_id in self._chosen:
            return SERVER_CHOSEN + self._chosen.index(lease_id)
        return lease_id

    def learn_lease(self, lease_id: int) -> None:
        """The server chose this id."""
        self._chosen.append(lease_id)

    def renewed(self, lease_id: int, sent: float) -> None:
        """A grant or keep-alive that was sent then has just succeeded."""
        self._renewals[lease_id] = Renewal(sent, time.monotonic())

    def check_time_to_live(self, response: LeaseTimeToLiveResponse, sent: float) -> None:
        """The remaining TTL must be right to the second; then it is no more compared."""
        renewal = self._renewals.get(response.ID)
        if renewal is None or response.TTL <= 0:
            return
        oldest, youngest = time.monotonic() - renewal.sent, sent - renewal.answered
        shortest = response.grantedTTL - oldest - TTL_TOLERANCE_SECONDS
        longest = response.grantedTTL - youngest + TTL_TOLERANCE_SECONDS
        if not shortest <= response.TTL <= longest:
            endpoint = self.client.endpoint
            raise Difference(
                f"{endpoint}: TTL is not within {shortest:.1f} … {longest:.1f}: {response}"
            )
        response.TTL = response.grantedTTL

    def start(self, operation: Operation, request: Message) -> Any:
        """Send a unary request; `outcome` waits for its end."""
        if "ID" in request.DESCRIPTOR.fields_by_name:
            request.ID = self.lease_to_wire(request.ID)  # type: ignore[attr-defined]
        call = self.client.callable(_PATHS[operation.kind])
        return call.future(request, timeout=CALL_TIMEOUT_SECONDS)

    def outcome(self, future: Any, sent: float, *, chooses_lease: bool) -> Outcome:
        """The response without what may differ, or the refusal."""
        try:
            response = future.result()
        except grpc.RpcError as error:
            refused = refusal(error)
            return refused.code.name, refused.text
        if chooses_lease:
            self.learn_lease(response.ID)
        self.normalise(response)
        if isinstance(response, LeaseGrantResponse):
            self.renewed(response.ID, sent)
        elif isinstance(response, LeaseTimeToLiveResponse):
            self.check_time_to_live(response, sent)
        return response  # type: ignore[no-any-return]

    def normalise(self, response: Message) -> None:
        """Remove or map what may differ."""
        match response:
            case ResponseHeader():
                response.cluster_id = response.member_id = response.raft_term = 0
            case LeaseGrantResponse():
                response.ID = self.lease_from_wire(response.ID)
            case LeaseTimeToLiveResponse():
                response.ID = self.lease_from_wire(response.ID)
                response.keys.sort()
            case LeaseLeasesResponse():
                ids = sorted(self.lease_from_wire(lease.ID) for lease in response.leases)
                for lease, lease_id in zip(response.leases, ids, strict=True):
                    lease.ID = lease_id
                return self.normalise(response.header)
            case _:
                pass
        for field_, value in response.ListFields():
            if field_.message_type is not None:
                for item in value if field_.is_repeated else [value]:
                    self.normalise(item)
        return None

    def event(self, event: Event) -> Event:
        """An event without what may differ."""
        self.normalise(event)
        return event

    def close(self) -> None:
        """Close streams and connection."""
        self.keep_alive.close()
        self.client.close()


@dataclass
class Mix:
    """What a run consisted of."""

    operations: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)

    def count(self, kind: str, text: str | None) -> None:
        """One operation, and how it was refused if it was."""
        self.operations[kind] += 1
        if text is not None:
            self.refusals[kind] += 1
            self.texts[text] += 1

    @property
    def refused_share(self) -> float:
        """Refused operations among all."""
        return self.refusals.total() / max(1, self.operations.total())

    def share(self, kind: str) -> float:
        """Operations of one kind among all."""
        return self.operations[kind] / max(1, self.operations.total())

    def table(self) -> str:
        """For people."""
        lines = [f"{'operation':<20}{'count':>7}{'share':>8}{'refused':>9}"]
        for kind, count in self.operations.most_common():
            lines.append(f"{kind:<20}{count:>7}{self.share(kind):>8.1%}{self.refusals[kind]:>9}")
        total = self.operations.total()
        lines.append(f"{'all':<20}{total:>7}{1:>8.1%}{self.refusals.total():>9}")
        lines.append(f"refused: {self.refused_share:.1%}")
        lines += [f"{count:>7}  {text}" for text, count in self.texts.most_common()]
        return "\n".join(lines)


class Run:
    """Feeds operations to two systems whose stores are empty and equal."""

    def __init__(self, endpoints: tuple[str, str]) -> None:
        self.systems = (System(endpoints[0]), System(endpoints[1]))
        self.position = Position()
        self.mix = Mix()
        clients = (self.systems[0].client, self.systems[1].client)
        events = (self.systems[0].event, self.systems[1].event)
        self.watches = Watches.open(clients, events, STREAMS)

    def step(self, operation: Operation) -> None:
        """Do one operation on both; raises Difference."""
        request = resolve(operation.request, self.position)
        match request:
            case WatchRequest():
                text = self._watch(operation.stream, request)
            case LeaseKeepAliveRequest():
                text = self._keep_alive(request)
            case _:
                text = self._unary(operation, request)
        self.mix.count(operation.kind, text)
        if self.mix.operations.total() % CHECKPOINT_OPERATIONS == 0:
            self.checkpoint()

    def checkpoint(self) -> None:
        """All watchers, all keys and the hash of all history must be equal."""
        self.watches.settle(self.position.revision)
        everything = RangeRequest(key=b"\0", range_end=b"\0")
        self._unary(Operation("range", everything), everything)
        self._unary(Operation("hash", HashKVRequest()), HashKVRequest())

    def close(self) -> None:
        """Close everything."""
        self.watches.close()
        for system in self.systems:
            system.close()

    def _unary(self, operation: Operation, request: Message) -> str | None:
        if isinstance(request, CompactionRequest):
            self._let_watchers_catch_up()
        sent = time.monotonic()
        requests = [type(request).FromString(request.SerializeToString()) for _ in self.systems]
        futures = [
            system.start(operation, one) for system, one in zip(self.systems, requests, strict=True)
        ]
        chooses_lease = isinstance(request, LeaseGrantRequest) and request.ID == 0
        first, second = (
            system.outcome(future, sent, chooses_lease=chooses_lease)
            for system, future in zip(self.systems, futures, strict=True)
        )
        self._equal(request, first, second)
        if isinstance(first, tuple):
            return " ".join(first)
        self.position.revision = max(self.position.revision, first.header.revision)  # type: ignore[attr-defined]
        if isinstance(request, CompactionRequest):
            self.position.compact_revision = request.revision
        return None

    def _let_watchers_catch_up(self) -> None:
        """A watcher that still reads history might or might not outrun a compaction.

        At the compact revision itself nothing more can be compacted, and its event may be gone.
        """
        if self.position.revision > max(1, self.position.compact_revision):
            self.watches.sync(self.position.revision)

    def _equal(self, request: Message, first: Outcome, second: Outcome) -> None:
        if first != second:
            raise Difference(f"{describe(request)}\n  etcd: {first}\n  ours: {second}")

    def _keep_alive(self, request: LeaseKeepAliveRequest) -> str | None:
        answers = []
        for system in self.systems:
            sent = time.monotonic()
            answer = system.keep_alive.keep_alive(system.lease_to_wire(request.ID))
            answer.ID = system.lease_from_wire(answer.ID)
            if answer.TTL > 0:
                system.renewed(answer.ID, sent)
            system.normalise(answer)
            answers.append(answer)
        self._equal(request, *answers)
        return None if answers[0].TTL else "keep-alive: no such lease"

    def _watch(self, stream: int, request: WatchRequest) -> str | None:
        if request.HasField("cancel_request"):
            self.watches.settle(self.position.revision)
        create, compacted = request.create_request, self.position.compact_revision
        if compacted == create.start_revision and self.watches.has_delete_at(compacted):
            create.start_revision += 1  # etcd 3.4.23 has forgotten that event (etcd issue 18089)
        for side in self.watches.pairs[stream]:
            side.send(request)
        match request.WhichOneof("request_union"):
            case "create_request":
                return self._watch_create(stream, request)
            case "cancel_request":
                return self._watch_cancel(stream, request)
            case _:
                self._control(stream, request)
                return None

    def _watch_create(self, stream: int, request: WatchRequest) -> str | None:
        response = self._control(stream, request)
        if response.canceled:
            return response.cancel_reason
        self.watches.created(stream, response, request.create_request)
        if 0 < request.create_request.start_revision < self.position.compact_revision:
            self._control(stream, request)
            self.watches.cancelled(stream, response.watch_id)
            self.watches.release(stream, response.watch_id)
            return "watch cancelled: compacted"
        return None

    def _watch_cancel(self, stream: int, request: WatchRequest) -> str | None:
        watch_id = request.cancel_request.watch_id
        if watch_id not in self.watches.watchers[stream]:
            return "watch cancel: no such watcher"  # and no answer, or the next control differs
        self._control(stream, request)
        self.watches.cancelled(stream, watch_id)
        return None

    def _control(self, stream: int, request: WatchRequest) -> WatchResponse:
        """The next control response of both, which must be equal."""
        responses = [side.next_control() for side in self.watches.pairs[stream]]
        for system, response in zip(self.systems, responses, strict=True):
            system.normalise(response)
            if response.compact_revision:
                # etcd 3.4 leaves revision and reason out here, later versions do not.
                response.header.revision = 0
                response.cancel_reason = ""
        self._equal(request, *responses)
        return responses[0]


def describe(request: Message) -> str:
    """A request in one line."""
    text = " ".join(str(request).split())
    return f"{type(request).__name__}({text})"


def run_operations(run: Run, operations: Sequence[Operation]) -> tuple[int, str] | None:
    """Do them all; the position and text of the first difference, or None."""
    done = 0
    try:
        for operation in operations:
            run.step(operation)
            done += 1
        run.checkpoint()
    except (Difference, WatchDifference, Refused, AssertionError) as error:
        return min(done, len(operations) - 1), f"{type(error).__name__}: {error}"
    finally:
        run.close()
    return None


@dataclass(frozen=True)
class Setting:
    """What etcd is compared with, and how many members each of the two has."""

    program: Sequence[str] = KEELSON
    members: int = 1


class Pair:
    """Both systems as real processes, each with an empty store."""

    def __init__(self, folder: Path, setting: "Setting") -> None:
        self.clusters = [
            ClusterProcesses(program, folder / name, count=setting.members)
            for name, program in (("oracle", ETCD), ("other", setting.program))
        ]

    def __enter__(self) -> tuple[str, str]:
        try:
            with ThreadPoolExecutor() as threads:
                list(threads.map(ClusterProcesses.start, self.clusters))
        except MemberStartError:
            self.__exit__()
            raise
        return self.clusters[0].endpoints[0], self.clusters[1].endpoints[0]

    def __exit__(self, *_: object) -> None:
        for cluster in self.clusters:
            cluster.kill()


def shortest_failing_tail(
    operations: Sequence[Operation], folder: Path, setting: Setting
) -> tuple[Sequence[Operation], str] | None:
    """The shortest tail found that still shows a difference on empty stores."""
    found: tuple[Sequence[Operation], str] | None = None
    passing, length = 0, 1
    for replay in range(REPLAYS_MAX):
        if length <= passing or length > len(operations):
            break
        tail = operations[-length:]
        with Pair(folder / f"replay-{replay}", setting) as endpoints:
            failure = run_operations(Run(endpoints), tail)
        if failure is not None:
            found = tail[: failure[0] + 1], failure[1]
            length = (passing + length) // 2
        else:
            passing = length
            length = length * 2 if found is None else (passing + len(found[0])) // 2
    return found


def data_folder() -> Path | None:
    """Where data folders go: in memory where there is such a place."""
    shared_memory = Path("/dev/shm")
    return shared_memory if shared_memory.is_dir() else None


def differential(seed: int, count: int, setting: Setting) -> tuple[Mix, int, str | None]:
    """One run on fresh systems: its mix, the events compared, and a report of a difference."""
    operations = list(islice(Generator(seed), count))
    with tempfile.TemporaryDirectory(prefix="differential-", dir=data_folder()) as name:
        folder = Path(name)
        with Pair(folder / "run", setting) as endpoints:
            run = Run(endpoints)
            failure = run_operations(run, operations)
        if failure is None:
            return run.mix, run.watches.compared, None
        position, text = failure
        report = [f"seed {seed}, operation {position} of {count}: {text}"]
        sys.stderr.write(f"{report[0]}\nlooking for the shortest failing tail …\n")
        tail = shortest_failing_tail(operations[: position + 1], folder, setting)
        if tail is None:
            report.append("no tail of it fails on empty stores")
        else:
            report.append(f"shortest failing tail ({len(tail[0])} operations), {tail[1]}")
            report += [f"  {one.kind}: {describe(one.request)}" for one in tail[0]]
    return run.mix, run.watches.compared, "\n".join(report)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.differential")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument("--members", type=int, choices=(1, 3), default=1, help="in each system")
    parser.add_argument(
        "--control", action="store_true", help="compare etcd with etcd: the check of this test"
    )
    options = parser.parse_args(arguments)
    setting = Setting(ETCD if options.control else KEELSON, options.members)
    started = time.monotonic()
    mix, events, report = differential(options.seed, options.operations, setting)
    elapsed = time.monotonic() - started
    out = sys.stdout.write
    out(f"{mix.table()}\n")
    out(f"seed {options.seed}: {mix.operations.total()} operations, {events} watch events,")
    out(f" {elapsed:.1f} s, {mix.operations.total() / elapsed:.0f}/s\n")
    out(f"{report or 'no difference'}\n")
    return 0 if report is None else 1


if __name__ == "__main__":
    sys.exit(main())
