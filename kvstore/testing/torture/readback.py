"""What the members have at the end of a run: their hashes, every write, and what etcdctl reads.

Everything here asks; `verdict` judges.
"""

import asyncio
import contextlib
import json
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Sequence

import msgspec

from kvstore import client
from kvstore.errors import ConfigError
from kvstore.testing.history import ViolationError, Write

ORDER_SECONDS_MAX = 300.0
_ETCDCTL_SECONDS_MAX = 300


class Readback(msgspec.Struct, frozen=True, kw_only=True):
    """writes: all of the store's, in its order. state: key → value, as etcdctl read them."""

    writes: tuple[Write, ...]
    state: dict[bytes, bytes]
    hash_kv: int
    """The same on every member."""


def require_etcdctl() -> None:
    """Raise ConfigError where there is no client that is not ours."""
    if shutil.which("etcdctl") is None:
        raise ConfigError(
            "etcdctl is not installed: it reads back what was acknowledged "
            "(apt-get install etcd-client)"
        )


async def read_back(endpoints: Sequence[str], prefix: bytes) -> Readback:
    """Ask members that have come to rest. Raises ViolationError when they differ."""
    hash_kv = await _common_hash(endpoints)
    return Readback(
        writes=await _order_of_writes(endpoints, prefix),
        state=await asyncio.to_thread(_read_with_etcdctl, endpoints, prefix),
        hash_kv=hash_kv,
    )


async def _order_of_writes(endpoints: Sequence[str], prefix: bytes) -> tuple[Write, ...]:
    """The store's own order, told by a watch that begins at the first revision."""
    writes: list[Write] = []
    async with client.connect(endpoints) as store:
        last = (await store.get_range(prefix, prefix=True, limit=1)).header.revision
        try:
            async with (
                asyncio.timeout(ORDER_SECONDS_MAX),
                store.watch(prefix, prefix=True, start_revision=1, progress_notify=True) as changes,
            ):
                revision = 0
                while revision < last:
                    changes.request_progress()
                    batch = await anext(changes)
                    revision = batch.revision
                    for event in batch.events:
                        is_put = event.type is client.EventType.PUT
                        value = event.kv.value if is_put else None
                        writes.append(Write(event.kv.mod_revision, event.kv.key, value))
        except TimeoutError:
            raise ViolationError(
                f"the members do not tell their {last} revisions in {ORDER_SECONDS_MAX} s"
            ) from None
    return tuple(writes)


async def _common_hash(endpoints: Sequence[str]) -> int:
    """HashKV at one revision on every member: all must agree."""
    async with contextlib.AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(client.connect([endpoint])) for endpoint in endpoints
        ]
        # A linearizable read: what it saw is there, on the member that answered.
        revisions = [(await store.get_range(b"\0", limit=1)).header.revision for store in stores]
        hashes = [
            (await store.maintenance.hash_kv(revision=min(revisions))).hash for store in stores
        ]
    if len(set(hashes)) != 1:
        told = ", ".join(f"{e}: {h}" for e, h in zip(endpoints, hashes, strict=True))
        raise ViolationError(f"the members' data differ in HashKV at {min(revisions)}: {told}")
    return hashes[0]


def _read_with_etcdctl(endpoints: Sequence[str], prefix: bytes) -> dict[bytes, bytes]:
    flags = [f"--endpoints={endpoints[0]}", "--command-timeout=240s"]
    answer = subprocess.run(
        ["etcdctl", *flags, "get", "--prefix", prefix.decode(), "-w", "json"],
        env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin:/usr/local/bin"},
        capture_output=True,
        timeout=_ETCDCTL_SECONDS_MAX,
        check=True,
    )
    kvs = json.loads(answer.stdout).get("kvs", [])
    return {b64decode(kv["key"]): b64decode(kv["value"]) for kv in kvs}
