"""Changes of the membership whose answers are lost on the way, against a real member."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.membership import OutcomeUnknownError, ensure_added, ensure_removed
from kvstore import client
from kvstore.client.grpc_channel import open_grpc_channel
from kvstore.errors import KvError, RequestError
from kvstore.seams import RpcChannel, RpcFailure, RpcStream
from tests.kvstore.server.single import PATIENT, Running, running

NEW = "http://127.0.0.1:4002"


class LossyChannel:
    """An RpcChannel that carries changes of the membership but not their answers.

    `is_deaf`: nor the changes themselves.
    """

    def __init__(self, channel: RpcChannel, *, is_deaf: bool = False) -> None:
        self._channel = channel
        self._is_deaf = is_deaf
        self.changes = 0

    async def unary(
        self,
        method: str,
        request: Any,
        response_type: Any,
        *,
        timeout_seconds: float | None = None,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> Any:
        is_change = method.endswith(("/MemberAdd", "/MemberRemove"))
        if not (is_change and self._is_deaf):
            answer = await self._channel.unary(
                method, request, response_type, timeout_seconds=timeout_seconds, metadata=metadata
            )
        if is_change:
            self.changes += 1  # what is refused without a leader is none
            raise RpcFailure("UNAVAILABLE", "the connection was lost")
        return answer

    def stream(
        self, method: str, response_type: Any, *, metadata: Sequence[tuple[str, str]] = ()
    ) -> RpcStream:
        return self._channel.stream(method, response_type, metadata=metadata)

    async def close(self) -> None:
        await self._channel.close()


@pytest.fixture
async def member(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, PATIENT, "--strict-reconfig-check=false") as member:
        yield member


def store_of(member: Running, *, is_deaf: bool = False) -> tuple[client.Client, LossyChannel]:
    address = f"127.0.0.1:{member.port}"
    channel = LossyChannel(open_grpc_channel(address, None), is_deaf=is_deaf)
    return client.connect([address], open_channel=lambda _: channel), channel


async def peer_urls(store: client.Client) -> list[str]:
    """Of what the member has applied: alone it is no quorum any more."""
    listed = await store.cluster.member_list(linearizable=False)
    return sorted(url for member in listed.members for url in member.peer_urls)


async def test_an_addition_whose_answer_is_lost_is_found_and_not_repeated(member: Running) -> None:
    store, channel = store_of(member)
    async with store:
        await ensure_added(store, NEW)
        assert await peer_urls(store) == [NEW, "http://localhost:2380"]
        await ensure_added(store, NEW)
        assert channel.changes == 1


async def test_a_removal_whose_answer_is_lost_says_so_and_can_be_repeated(member: Running) -> None:
    store, channel = store_of(member)
    address = f"127.0.0.1:{member.port}"
    async with store, client.connect([address]) as honest:
        # A learner, so that the member stays a quorum.
        await honest.cluster.member_add([NEW], is_learner=True)
        with pytest.raises(OutcomeUnknownError, match="remove-member"):
            await ensure_removed(store, NEW)
        await ensure_removed(store, NEW)
        assert channel.changes == 1
        assert await peer_urls(store) == ["http://localhost:2380"]


async def test_an_addition_that_never_appears_is_of_unknown_outcome(member: Running) -> None:
    store, _ = store_of(member, is_deaf=True)
    async with store:
        with pytest.raises(OutcomeUnknownError, match="add-member"):
            await ensure_added(store, NEW)
        assert await peer_urls(store) == ["http://localhost:2380"]


async def test_a_refusal_is_no_unknown_outcome(member: Running) -> None:
    async with client.connect([f"127.0.0.1:{member.port}"]) as store:
        with pytest.raises(RequestError) as caught:
            await ensure_added(store, "http://a..b:1")
        assert isinstance(caught.value, KvError)
        assert await peer_urls(store) == ["http://localhost:2380"]
