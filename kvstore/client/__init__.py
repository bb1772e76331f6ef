"""The asyncio client: fail-over, safe retries, watches that resume, leases that live.

    from kvstore.client import Value, connect, put

    async with connect(["127.0.0.1:2379", "127.0.0.1:2381"]) as client:
        await client.put("color", "red")
        await client.txn().when(Value("color") == "red").then(put("color", "green")).commit()
        async with client.watch("color", start_revision=1) as changes:
            async for batch in changes:
                ...

It speaks etcd's v3 API, so it works with any etcd as well. What belongs here: everything that a
program needs to talk to a cluster. What never enters: the server's modules. Errors are those of
`kvstore.errors`.
"""

from kvstore.client.client import Client, connect
from kvstore.client.http2_channel import open_http2_channel
from kvstore.client.lease import Lease
from kvstore.client.maintenance import SnapshotCorruptError
from kvstore.client.operations import (
    CreateRevision,
    LeaseOf,
    ModRevision,
    Value,
    Version,
    delete,
    get,
    prefix_end,
    put,
)
from kvstore.client.tls import Tls
from kvstore.client.types import (
    CompactResponse,
    DeleteResponse,
    Event,
    EventType,
    Header,
    KeyValue,
    PutResponse,
    RangeResponse,
    Status,
    TxnResponse,
    WatchBatch,
)
from kvstore.client.watch import Watch
from kvstore.client.watch_state import Filter
from kvstore.commands import SortOrder, SortTarget

__all__ = [
    "Client",
    "CompactResponse",
    "CreateRevision",
    "DeleteResponse",
    "Event",
    "EventType",
    "Filter",
    "Header",
    "KeyValue",
    "Lease",
    "LeaseOf",
    "ModRevision",
    "PutResponse",
    "RangeResponse",
    "SnapshotCorruptError",
    "SortOrder",
    "SortTarget",
    "Status",
    "Tls",
    "TxnResponse",
    "Value",
    "Version",
    "Watch",
    "WatchBatch",
    "connect",
    "delete",
    "get",
    "open_http2_channel",
    "prefix_end",
    "put",
]
