"""Changes of the membership with real members, for the cases that make them."""

import time
from collections.abc import Callable

from kvstore.pb.rpc_pb2 import (
    Member,
    MemberAddRequest,
    MemberListRequest,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MemberUpdateRequest,
)
from kvstore.testing.processes import ClusterProcesses, MemberProcess
from tests.conformance.client import Client, Refused

CLUSTER = "/etcdserverpb.Cluster"
PATIENCE_SECONDS = 60.0
# The outcome is unknown, and the list of members tells it.
TIMED_OUT = "etcdserver: request timed out"
# What passes by itself: etcd wants connections that are five seconds old, learners need time.
PASSING = (
    "etcdserver: unhealthy cluster",
    "etcdserver: can only promote a learner member which is in sync with leader",
    "etcdserver: another change of the membership is under way",
    TIMED_OUT,
)
EXISTS = "etcdserver: Peer URLs already exists"
Connect = Callable[[str], Client]


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class Changes:
    """The calls of the Cluster service, tried again while the cluster is not ready for them."""

    def __init__(self, cluster: ClusterProcesses, connect: Connect) -> None:
        self.processes = cluster
        self.client = connect(cluster.members[0].endpoint)

    def _patiently(self, method: str, request: object, done: str = "") -> object | None:
        """done: how an attempt is refused when an earlier one, that timed out, was carried out."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        has_timed_out = False
        while True:
            try:
                return self.client.unary(f"{CLUSTER}/{method}", request)  # type: ignore[arg-type,no-any-return]
            except Refused as error:
                if has_timed_out and error.text == done:
                    return None
                if error.text not in PASSING or time.monotonic() > deadline:
                    raise
                has_timed_out |= error.text == TIMED_OUT
            time.sleep(0.1)

    def add(self, *peer_urls: str, learner: bool = False) -> Member:
        request = MemberAddRequest(peerURLs=peer_urls, isLearner=learner)
        response = self._patiently("MemberAdd", request, done=EXISTS)
        if response is None:
            return self.list()[peer_urls[0]]
        member: Member = response.member  # type: ignore[attr-defined]
        assert member in response.members  # type: ignore[attr-defined]
        return member

    def remove(self, member_id: int) -> None:
        self._patiently("MemberRemove", MemberRemoveRequest(ID=member_id))

    def update(self, member_id: int, *peer_urls: str) -> None:
        self._patiently("MemberUpdate", MemberUpdateRequest(ID=member_id, peerURLs=peer_urls))

    def promote(self, member_id: int) -> None:
        self._patiently("MemberPromote", MemberPromoteRequest(ID=member_id))

    def list(self) -> dict[str, Member]:
        """By peer URL."""
        members = self.client.unary(f"{CLUSTER}/MemberList", MemberListRequest()).members
        return {member.peerURLs[0]: member for member in members}

    def join(self, name: str, *, learner: bool = False) -> tuple[MemberProcess, Member]:
        """Add a member, start it, and wait until it has published itself."""
        process = self.processes.new_member(name)
        member = self.add(process.peer_url, learner=learner)
        self.processes.join(process)
        wait_until(lambda: self.list()[process.peer_url].name == name, f"{name} does not join")
        return process, member


def ends(process: MemberProcess) -> None:
    wait_until(lambda: not process.is_running, f"{process.name} goes on although it was removed")
