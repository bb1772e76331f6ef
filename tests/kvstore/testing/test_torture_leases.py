"""What a client that leases keys knows of them, above all when it is cut short.

The member is a gRPC server that falls silent: no right member does so when it is asked to.
"""

from __future__ import annotations  # gRPC's handlers are generic in its stubs only

import asyncio
import contextlib
from collections.abc import AsyncIterator
from math import inf
from random import Random
from typing import Any

import grpc
import grpc.aio
import pytest

from kvstore import client
from kvstore.pb import rpc_pb2
from kvstore.testing.torture.lease_promises import LeasedKey
from kvstore.testing.torture.leases import LeaseClient, lease_renewed
from kvstore.testing.torture.recorder import Recorder

LEASE = LeasedKey(key=b"l", ttl_seconds=4, promised_until=14.0, renewed_by=10.5)


@pytest.mark.parametrize(("answered_at", "renewed_by"), [(20.9, 20.9), (21.0, inf), (25.0, inf)])
def test_a_renewal_is_done_by_its_answer_only_if_that_was_prompt(
    answered_at: float, renewed_by: float
) -> None:
    """What was answered later may have had an attempt before it, which is done at any time."""
    renewed = lease_renewed(LEASE, ttl_seconds=4, asked_at=20.0, answered_at=answered_at)
    assert (renewed.promised_until, renewed.renewed_by) == (24.0, renewed_by)


def test_a_prompt_renewal_tells_nothing_of_one_before_that_was_not() -> None:
    lost = lease_renewed(LEASE, ttl_seconds=4, asked_at=20.0, answered_at=25.0)
    assert lease_renewed(lost, ttl_seconds=4, asked_at=26.0, answered_at=26.1).renewed_by == inf


class _Member:
    """Grants leases, and answers nothing from a method on: "Put" or "LeaseKeepAlive"."""

    def __init__(self, silent: str) -> None:
        self._silent = silent
        self.is_asked = asyncio.Event()

    async def grant(
        self, request: rpc_pb2.LeaseGrantRequest, _: object
    ) -> rpc_pb2.LeaseGrantResponse:
        return rpc_pb2.LeaseGrantResponse(ID=7, TTL=request.TTL)

    async def put(self, _: rpc_pb2.PutRequest, __: object) -> rpc_pb2.PutResponse:
        if self._silent == "Put":
            self.is_asked.set()
            await asyncio.Event().wait()
        return rpc_pb2.PutResponse(header=rpc_pb2.ResponseHeader(revision=2, raft_term=1))

    async def keep_alive(
        self, requests: AsyncIterator[rpc_pb2.LeaseKeepAliveRequest], _: object
    ) -> AsyncIterator[rpc_pb2.LeaseKeepAliveResponse]:
        async for _request in requests:
            self.is_asked.set()
            await asyncio.Event().wait()
            yield rpc_pb2.LeaseKeepAliveResponse()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        server = grpc.aio.server()
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "LeaseGrant": grpc.unary_unary_rpc_method_handler(
                self.grant,
                rpc_pb2.LeaseGrantRequest.FromString,
                rpc_pb2.LeaseGrantResponse.SerializeToString,
            ),
            "LeaseKeepAlive": grpc.stream_stream_rpc_method_handler(
                self.keep_alive,
                rpc_pb2.LeaseKeepAliveRequest.FromString,
                rpc_pb2.LeaseKeepAliveResponse.SerializeToString,
            ),
        }
        put = grpc.unary_unary_rpc_method_handler(
            self.put, rpc_pb2.PutRequest.FromString, rpc_pb2.PutResponse.SerializeToString
        )
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("etcdserverpb.Lease", handlers),
                grpc.method_handlers_generic_handler("etcdserverpb.KV", {"Put": put}),
            )
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)


@pytest.mark.parametrize("silent", ["Put", "LeaseKeepAlive"])
async def test_what_it_had_under_way_when_it_was_cancelled_is_recorded(silent: str) -> None:
    member, recorder = _Member(silent), Recorder()
    async with member.serving() as endpoint, client.connect([endpoint]) as store:
        leaser = LeaseClient(0, recorder, b"leased/", Random(1))

        async def lease_all() -> None:
            while True:
                await leaser.next(store)

        leasing = asyncio.ensure_future(lease_all())
        await asyncio.wait_for(member.is_asked.wait(), 30.0)
        leasing.cancel()
        await asyncio.wait([leasing])
    last = recorder.leased[-1]
    assert recorder.operations[-1].key == last.key
    assert (recorder.operations[-1].completed is None) is (silent == "Put")
    assert (last.renewed_by == inf) is (silent == "LeaseKeepAlive")
