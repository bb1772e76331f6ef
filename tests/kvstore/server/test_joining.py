"""A member joins a running cluster: whom it asks, what it takes, what it refuses."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from kvstore.errors import ConfigError, DataFolderError
from kvstore.members import MemberRecord
from kvstore.pb import rpc_pb2 as pb
from kvstore.server import introduction
from kvstore.server.bootstrap import bootstrap, cluster_spec
from kvstore.server.config import Settings, load
from kvstore.server.introduction import Introduction
from kvstore.storage.files import LocalFiles
from tests.kvstore.server.single import running, settings_for

M1, M2, M3 = "http://127.0.0.1:2380", "http://127.0.0.1:2382", "http://127.0.0.1:2384"
FOUNDERS = {1: MemberRecord(peer_urls=(M1,)), 2: MemberRecord(peer_urls=(M2,))}
STARTED = {1: MemberRecord("m1", (), (M1,)), 2: MemberRecord("m2", (), (M2,))}
CLUSTER = Introduction(99, FOUNDERS, {**STARTED, 3: MemberRecord(peer_urls=(M3,))})


class Answers:
    """What each URL answers, one after the other; the last one for ever."""

    def __init__(self, answers: Mapping[str, list[Introduction | bytes | None]]) -> None:
        self._answers = {url: list(of_url) for url, of_url in answers.items()}
        self.pauses = 0

    async def ask(self, url: str) -> bytes:
        of_url = self._answers.get(url, [None])
        answer = of_url.pop(0) if len(of_url) > 1 else of_url[0]
        if answer is None:
            raise ConnectionError("nobody is there")
        return answer if isinstance(answer, bytes) else introduction.encode(answer)

    async def pause(self, seconds: float) -> None:
        self.pauses += 1


def flags(name: str, url: str, others: str, state: str = "existing") -> tuple[str, ...]:
    return (
        f"--name={name}",
        f"--initial-advertise-peer-urls={url}",
        f"--initial-cluster={others},{name}={url}",
        f"--initial-cluster-state={state}",
    )


def settings(folder: Path, name: str, url: str, others: str, state: str = "existing") -> Settings:
    loaded = load([f"--data-dir={folder}", *flags(name, url, others, state)], {})
    assert isinstance(loaded, Settings)
    return loaded


def joiner(folder: Path, others: str = f"m1={M1},m2={M2}") -> Settings:
    return settings(folder, "m3", M3, others)


async def test_a_joiner_learns_who_it_is_and_keeps_it(tmp_path: Path) -> None:
    asked = Answers({M2: [CLUSTER]})  # the first one does not answer
    first = await bootstrap(LocalFiles(), joiner(tmp_path), asked)
    assert not first.is_restart
    assert (first.spec.cluster_id, first.spec.member_id, first.spec.own_name) == (99, 3, "m3")
    assert first.spec.founders == FOUNDERS
    assert first.spec.peer_addresses == {1: (M1,), 2: (M2,)}
    again = await bootstrap(LocalFiles(), joiner(tmp_path), Answers({}))
    assert again.is_restart
    assert again.spec == first.spec


async def test_a_joiner_is_patient_while_it_is_not_known_yet(tmp_path: Path) -> None:
    unaware = msgspec.structs.replace(CLUSTER, members=STARTED)
    asked = Answers({M1: [unaware, unaware, CLUSTER]})
    assert (await bootstrap(LocalFiles(), joiner(tmp_path), asked)).spec.member_id == 3
    assert asked.pauses == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "nobody is there"),
        (b"garbage", "no introduction"),
        (b"\x95\x01\x80\x80\x90" + b"\x91" * 3_500 + b"\xc0", "no introduction"),
        (msgspec.structs.replace(CLUSTER, members=STARTED), "knows no member with the peer URLs"),
    ],
)
async def test_who_cannot_join_is_told_how(
    tmp_path: Path, answer: Introduction | bytes | None, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        await bootstrap(LocalFiles(), joiner(tmp_path), Answers({M1: [answer], M2: [answer]}))
    assert "etcdctl member add" in str(caught.value)
    assert LocalFiles().list(str(tmp_path)) == []


async def test_a_joiner_believes_who_has_applied_most(tmp_path: Path) -> None:
    """The other one has not heard that 3 is gone and 4 has its place."""
    older = msgspec.structs.replace(CLUSTER, applied_index=7)
    members = {**STARTED, 4: MemberRecord(peer_urls=(M3,))}
    newer = Introduction(99, FOUNDERS, members, removed=(3,), applied_index=9)
    for number, asked in enumerate(
        [Answers({M1: [older], M2: [newer]}), Answers({M1: [newer], M2: [older]})]
    ):
        given = joiner(tmp_path / str(number))
        assert (await bootstrap(LocalFiles(), given, asked)).spec.member_id == 4


async def test_a_joiner_waits_for_news_while_what_it_hears_keeps_it_out(tmp_path: Path) -> None:
    """A member that was cut off tells of times when another one had our peer URL, or M2 was not."""
    started = {**STARTED, 3: MemberRecord("m3", (), (M3,))}
    behind = msgspec.structs.replace(CLUSTER, members=started, applied_index=5)
    short = {1: STARTED[1], 4: MemberRecord(peer_urls=(M3,))}
    less_behind = Introduction(99, FOUNDERS, short, applied_index=7)
    members = {**STARTED, 4: MemberRecord(peer_urls=(M3,))}
    newest = Introduction(99, FOUNDERS, members, removed=(3,), applied_index=9)
    asked = Answers({M1: [behind, less_behind, newest]})
    assert (await bootstrap(LocalFiles(), joiner(tmp_path), asked)).spec.member_id == 4
    assert asked.pauses == 2


LOOPBACKS = {3: MemberRecord(peer_urls=(M3,)), 4: MemberRecord(peer_urls=("http://[::1]:2384",))}


@pytest.mark.parametrize(
    ("url", "member_id"),
    [(M3, 3), ("http://[::1]:2384", 4), ("http://[0::1]:2384", 4), ("http://localhost:2384", 0)],
)
def test_a_joiner_takes_nobodys_place_by_guessing(url: str, member_id: int) -> None:
    """`localhost` is both loopback addresses."""
    assert Introduction(99, FOUNDERS, LOOPBACKS).member_at((url,)) == member_id
    only = {3: LOOPBACKS[3], 1: STARTED[1]}
    assert Introduction(99, FOUNDERS, only).member_at(("http://localhost:2384",)) == 3


async def test_who_is_named_members_of_two_clusters_is_told_so(tmp_path: Path) -> None:
    other = msgspec.structs.replace(CLUSTER, cluster_id=98)
    with pytest.raises(ConfigError, match="different clusters"):
        await bootstrap(LocalFiles(), joiner(tmp_path), Answers({M1: [CLUSTER], M2: [other]}))


async def test_the_flags_must_name_exactly_the_members(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exactly the members") as caught:
        await bootstrap(LocalFiles(), joiner(tmp_path, f"m1={M1}"), Answers({M1: [CLUSTER]}))
    assert M2 in str(caught.value)


async def test_a_member_without_its_data_does_not_come_back(tmp_path: Path) -> None:
    """It has forgotten whom it voted for."""
    founder = settings(tmp_path, "m2", M2, f"m1={M1}", state="new")
    spec = cluster_spec(founder)
    own = MemberRecord("m2", (), (M2,))
    known = Introduction(spec.cluster_id, spec.founders, {spec.member_id: own})
    with pytest.raises(DataFolderError, match="its data folder is empty"):
        await bootstrap(LocalFiles(), founder, Answers({M1: [known]}))
    removed = msgspec.structs.replace(known, members={}, removed=(spec.member_id,))
    with pytest.raises(DataFolderError, match="was removed from this cluster for good"):
        await bootstrap(LocalFiles(), founder, Answers({M1: [removed]}))
    joined = msgspec.structs.replace(CLUSTER, members={**STARTED, 3: MemberRecord("m3", (), (M3,))})
    with pytest.raises(DataFolderError, match="its data folder is empty"):
        await bootstrap(LocalFiles(), joiner(tmp_path), Answers({M1: [joined]}))


async def test_a_founder_starts_when_others_run_already_or_not_at_all(tmp_path: Path) -> None:
    founder = settings(tmp_path / "a", "m2", M2, f"m1={M1}", state="new")
    spec = cluster_spec(founder)
    known = Introduction(spec.cluster_id, spec.founders, spec.founders)
    assert (await bootstrap(LocalFiles(), founder, Answers({M1: [known]}))).spec == spec
    alone = settings(tmp_path / "b", "m2", M2, f"m1={M1}", state="new")
    assert (await bootstrap(LocalFiles(), alone, Answers({}))).spec == spec
    foreign = settings(tmp_path / "c", "m2", M2, f"m1={M1}", state="new")
    assert (await bootstrap(LocalFiles(), foreign, Answers({M1: [CLUSTER]}))).spec == spec


@pytest.mark.parametrize("is_serializable", [False, True])
async def test_who_does_not_know_yet_that_it_is_a_member_serves_no_keys(
    tmp_path: Path, is_serializable: bool
) -> None:
    """Its store is empty only because the log has not come."""
    own = flags("m3", M3, f"m1={M1},m2={M2}")
    await bootstrap(LocalFiles(), settings_for(tmp_path, *own), Answers({M1: [CLUSTER]}))
    async with running(tmp_path, *own) as member:
        for method, request, response in (
            ("KV/Range", pb.RangeRequest(key=b"k", serializable=is_serializable), pb.RangeResponse),
            ("Cluster/MemberList", pb.MemberListRequest(), pb.MemberListResponse),
        ):
            status = await member.status(method, request, response)
            assert status == ("UNAVAILABLE", "etcdserver: rpc not supported for learner")
        answer = await member.call("Maintenance/Status", pb.StatusRequest(), pb.StatusResponse)
        assert not answer.isLearner  # nobody has said so
