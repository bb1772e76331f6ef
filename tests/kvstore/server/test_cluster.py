"""The Cluster and Auth services on one real member, over a real connection."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from kvstore.pb import rpc_pb2 as pb
from tests.kvstore.server.single import PATIENT, Running, running
from tests.kvstore.server.test_kv import LEADER_WANTED, LONELY


@pytest.fixture
async def member(tmp_path: Path) -> AsyncIterator[Running]:
    flags = (
        "--name=m1",
        "--initial-cluster=m1=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--listen-client-urls=http://127.0.0.1:5",
        "--advertise-client-urls=http://127.0.0.1:5",
    )
    async with running(tmp_path, PATIENT, *flags) as member:
        yield member


async def _members(member: Running, *, linearizable: bool) -> list[pb.Member]:
    request = pb.MemberListRequest(linearizable=linearizable)
    response = await member.call("Cluster/MemberList", request, pb.MemberListResponse)
    assert response.header.revision == 0  # members are no part of the key space
    assert response.header.cluster_id == member.node.cluster_id
    return list(response.members)


@pytest.mark.parametrize("linearizable", [False, True])
async def test_a_member_is_listed_with_what_it_published(
    member: Running, linearizable: bool
) -> None:
    # Its first write comes after its publication.
    await member.call("KV/Put", pb.PutRequest(key=b"k"), pb.PutResponse)
    assert await _members(member, linearizable=linearizable) == [
        pb.Member(
            ID=member.node.member_id,
            name="m1",
            peerURLs=["http://127.0.0.1:2380"],
            clientURLs=["http://127.0.0.1:5"],
        )
    ]


async def test_who_has_not_published_has_no_name_yet(tmp_path: Path) -> None:
    async with running(tmp_path, *LONELY) as member:
        members = await _members(member, linearizable=False)
        assert [found.ID for found in members] == sorted(found.ID for found in members)
        assert {found.peerURLs[0] for found in members} == {
            "http://localhost:2380",
            "http://127.0.0.1:1",
            "http://127.0.0.1:3",
        }
        assert all(not found.name and not found.clientURLs for found in members)


async def test_a_linearizable_list_needs_a_leader(tmp_path: Path) -> None:
    async with running(tmp_path, *LONELY) as member:
        request = pb.MemberListRequest(linearizable=True)
        status = await member.status(
            "Cluster/MemberList", request, pb.MemberListResponse, LEADER_WANTED
        )
        assert status == ("UNAVAILABLE", "etcdserver: no leader")
        waiting = asyncio.create_task(
            member.status("Cluster/MemberList", request, pb.MemberListResponse)
        )
        await asyncio.sleep(0)  # sent now
        await _members(member, linearizable=False)
        member.node.stop()
        assert await waiting == ("UNAVAILABLE", "etcdserver: server stopped")


@pytest.mark.parametrize(
    ("method", "request_", "response"),
    [
        ("Auth/AuthEnable", pb.AuthEnableRequest(), pb.AuthEnableResponse),
        ("Auth/UserAdd", pb.AuthUserAddRequest(name="u"), pb.AuthUserAddResponse),
        ("Auth/RoleList", pb.AuthRoleListRequest(), pb.AuthRoleListResponse),
    ],
)
async def test_what_is_not_supported_yet_says_so(
    member: Running, method: str, request_: Message, response: type[Message]
) -> None:
    code, text = await member.status(method, request_, response)
    assert code == "UNIMPLEMENTED"
    assert text.startswith("etcdserver: not supported yet: ")


async def test_authentication_is_off(member: Running) -> None:
    response = await member.call("Auth/AuthStatus", pb.AuthStatusRequest(), pb.AuthStatusResponse)
    assert not response.enabled
    await member.call("Auth/AuthDisable", pb.AuthDisableRequest(), pb.AuthDisableResponse)
    status = await member.status(
        "Auth/Authenticate", pb.AuthenticateRequest(name="a"), pb.AuthenticateResponse
    )
    assert status == ("FAILED_PRECONDITION", "etcdserver: authentication is not enabled")


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "\u00e4..b"])
async def test_a_peer_url_that_names_no_host_is_refused(member: Running, host: str) -> None:
    """In the log it would be tried by every member, for ever."""
    request = pb.MemberAddRequest(peerURLs=[f"http://{host}:2380"])
    status = await member.status("Cluster/MemberAdd", request, pb.MemberAddResponse)
    assert status == ("INVALID_ARGUMENT", "etcdserver: given member URLs are invalid")


@pytest.mark.parametrize(
    "urls", [[f"http://x:{port}" for port in range(1, 18)], ["http://" + "x" * 1020 + ":1"]]
)
async def test_too_many_or_too_long_peer_urls_are_refused(member: Running, urls: list[str]) -> None:
    """Before they are in the log, which keeps them even when they change nothing."""
    status = await member.status(
        "Cluster/MemberAdd", pb.MemberAddRequest(peerURLs=urls), pb.MemberAddResponse
    )
    text = "etcdserver: a member has at most 16 URLs, of at most 1024 bytes"
    assert status == ("INVALID_ARGUMENT", text)
    own = pb.MemberUpdateRequest(ID=member.node.member_id, peerURLs=urls)
    assert (await member.status("Cluster/MemberUpdate", own, pb.MemberUpdateResponse))[1] == text


EXISTS = ("FAILED_PRECONDITION", "etcdserver: Peer URLs already exists")


@pytest.mark.parametrize(
    "url", ["http://localhost:2380", "http://LOCALHOST:02380", "http://[::ffff:127.0.0.1]:2380"]
)
async def test_one_place_by_another_name_is_no_new_peer_url(member: Running, url: str) -> None:
    """Two members at one place would both be called what one of them is."""
    request = pb.MemberAddRequest(peerURLs=["http://127.0.0.1:1", url], isLearner=True)
    status = await member.status("Cluster/MemberAdd", request, pb.MemberAddResponse)
    assert status == EXISTS
    request = pb.MemberAddRequest(peerURLs=["http://127.0.0.1:1"], isLearner=True)
    added = await member.call("Cluster/MemberAdd", request, pb.MemberAddResponse)
    update = pb.MemberUpdateRequest(ID=added.member.ID, peerURLs=[url])
    status = await member.status("Cluster/MemberUpdate", update, pb.MemberUpdateResponse)
    assert status == EXISTS
    stranger = pb.MemberUpdateRequest(ID=9, peerURLs=["http://127.0.0.1:3"])
    status = await member.status("Cluster/MemberUpdate", stranger, pb.MemberUpdateResponse)
    assert status == ("NOT_FOUND", "etcdserver: member not found")
    own = pb.MemberUpdateRequest(ID=member.node.member_id, peerURLs=[url])
    await member.call("Cluster/MemberUpdate", own, pb.MemberUpdateResponse)


async def test_the_two_loopback_addresses_are_two_places(member: Running) -> None:
    request = pb.MemberAddRequest(peerURLs=["http://[::1]:2380"], isLearner=True)
    await member.call("Cluster/MemberAdd", request, pb.MemberAddResponse)
    own = pb.MemberUpdateRequest(ID=member.node.member_id, peerURLs=["http://localhost:2380"])
    status = await member.status("Cluster/MemberUpdate", own, pb.MemberUpdateResponse)
    assert status == EXISTS  # that would be either
