"""The KV service: put, get, delete, txn, compact.

Builds requests and reads responses; fail-over and retries are the connection's.
"""

from typing import Self

from kvstore.client import convert, methods, operations
from kvstore.client.connection import Connection
from kvstore.client.operations import Key
from kvstore.client.types import (
    CompactResponse,
    DeleteResponse,
    KeyValue,
    PutResponse,
    RangeResponse,
    TxnResponse,
)
from kvstore.commands import Compare, Operation, SortOrder, SortTarget, Txn
from kvstore.pb import rpc_pb2


class Kv:
    """Reads and writes of keys. Keys and values are bytes; text is taken as UTF-8.

    Every method takes `timeout_seconds` (default: the client's), the time for all attempts
    together. Reads are repeated on another endpoint when one fails; writes only when they surely
    were not applied. Otherwise an UnavailableError with `may_have_been_applied` is raised.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(
        self,
        key: Key,
        value: Key = b"",
        *,
        lease: int = 0,
        prev_kv: bool = False,
        ignore_value: bool = False,
        ignore_lease: bool = False,
        timeout_seconds: float | None = None,
    ) -> PutResponse:
        """Write a key.

        `lease`: attach it (0 detaches it from any). `prev_kv`: return what was there before.
        `ignore_value`, `ignore_lease`: keep the present one; the key must exist.
        """
        command = operations.put(
            key,
            value,
            lease=lease,
            prev_kv=prev_kv,
            ignore_value=ignore_value,
            ignore_lease=ignore_lease,
        )
        return convert.put_response(
            await self._connection.call(
                methods.PUT,
                convert.put_request(command),
                is_read=False,
                timeout_seconds=timeout_seconds,
            )
        )

    async def get(
        self,
        key: Key,
        *,
        revision: int = 0,
        serializable: bool = False,
        timeout_seconds: float | None = None,
    ) -> KeyValue | None:
        """One key, or None if it does not exist (at `revision`, 0: now)."""
        response = await self.get_range(
            key, revision=revision, serializable=serializable, timeout_seconds=timeout_seconds
        )
        return response.kvs[0] if response.kvs else None

    async def get_range(
        self,
        key: Key,
        range_end: Key = b"",
        *,
        prefix: bool = False,
        from_key: bool = False,
        limit: int = 0,
        revision: int = 0,
        sort_order: SortOrder = SortOrder.NONE,
        sort_target: SortTarget = SortTarget.KEY,
        serializable: bool = False,
        keys_only: bool = False,
        count_only: bool = False,
        min_mod_revision: int = 0,
        max_mod_revision: int = 0,
        min_create_revision: int = 0,
        max_create_revision: int = 0,
        timeout_seconds: float | None = None,
    ) -> RangeResponse:
        """The keys in [key, range_end), with this prefix, or from this key on.

        Linearizable, unless `serializable`: then the member answers from its own state, which may
        be behind, also while the cluster has no leader.
        """
        command = operations.get(
            key,
            range_end,
            prefix=prefix,
            from_key=from_key,
            limit=limit,
            revision=revision,
            sort_order=sort_order,
            sort_target=sort_target,
            keys_only=keys_only,
            count_only=count_only,
            min_mod_revision=min_mod_revision,
            max_mod_revision=max_mod_revision,
            min_create_revision=min_create_revision,
            max_create_revision=max_create_revision,
        )
        return convert.range_response(
            await self._connection.call(
                methods.RANGE,
                convert.range_request(command, serializable=serializable),
                is_read=True,
                needs_leader=not serializable,
                timeout_seconds=timeout_seconds,
            )
        )

    async def delete(
        self,
        key: Key,
        range_end: Key = b"",
        *,
        prefix: bool = False,
        from_key: bool = False,
        prev_kv: bool = False,
        timeout_seconds: float | None = None,
    ) -> DeleteResponse:
        """Delete a key or a range; deleting nothing is no error (`deleted` is 0)."""
        command = operations.delete(
            key, range_end, prefix=prefix, from_key=from_key, prev_kv=prev_kv
        )
        return convert.delete_response(
            await self._connection.call(
                methods.DELETE_RANGE,
                convert.delete_request(command),
                is_read=False,
                timeout_seconds=timeout_seconds,
            )
        )

    def txn(self) -> "TxnBuilder":
        """Begin a txn: `when(…)`, `then(…)`, `otherwise(…)`, `await commit()`."""
        return TxnBuilder(self)

    async def commit(self, txn: Txn, *, timeout_seconds: float | None = None) -> TxnResponse:
        """Run a txn that was built before; it takes effect as one revision, or not at all."""
        return convert.txn_response(
            await self._connection.call(
                methods.TXN,
                convert.txn_request(txn),
                is_read=operations.is_read_only(txn),
                timeout_seconds=timeout_seconds,
            )
        )

    async def compact(
        self, revision: int, *, physical: bool = False, timeout_seconds: float | None = None
    ) -> CompactResponse:
        """Forget the history before `revision`; `physical`: return when it is gone."""
        response = await self._connection.call(
            methods.COMPACT,
            rpc_pb2.CompactionRequest(revision=revision, physical=physical),
            is_read=False,
            timeout_seconds=timeout_seconds,
        )
        return CompactResponse(convert.header(response.header))


class TxnBuilder:
    """A txn in the making; each part may be given in several calls.

    `build()` gives the record, for nesting it in another txn's `then` or `otherwise`.
    """

    def __init__(self, kv: Kv) -> None:
        self._kv = kv
        self._compares: tuple[Compare, ...] = ()
        self._success: tuple[Operation, ...] = ()
        self._failure: tuple[Operation, ...] = ()

    def when(self, *compares: Compare) -> Self:
        """Conditions, all of which must hold."""
        self._compares += compares
        return self

    def then(self, *operations: Operation) -> Self:
        """What to do if they hold."""
        self._success += operations
        return self

    def otherwise(self, *operations: Operation) -> Self:
        """What to do if they do not."""
        self._failure += operations
        return self

    def build(self) -> Txn:
        """The txn as a record."""
        return Txn(self._compares, self._success, self._failure)

    async def commit(self, *, timeout_seconds: float | None = None) -> TxnResponse:
        """Run it."""
        return await self._kv.commit(self.build(), timeout_seconds=timeout_seconds)
