"""What the members have at the end of a run: their hashes, every write, and what etcdctl reads.

Everything here asks; `verdict` judges.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterable, Sequence
from random import Random

import msgspec

from kvstore import client
from kvstore.errors import ConfigError
from kvstore.testing.history import ViolationError, Write
from kvstore.testing.rigs.requirements import RigError
from kvstore.testing.torture.raw_watch import RawWatch
from kvstore.testing.torture.recorder import RecordedWatch
from kvstore.testing.watch_checker import Batch, Event, Resumption, Watch

ORDER_SECONDS_MAX = 300.0
_ETCDCTL_SECONDS_MAX = 300
_ASK_AGAIN_SECONDS = 0.5


class Found(msgspec.Struct, frozen=True):
    """What a key holds."""

    value: bytes
    mod_revision: int


class Readback(msgspec.Struct, frozen=True, kw_only=True):
    """writes: all of the store's, in its order. state: by key, as etcdctl read them at `revision`.

    hash_kv: the same on every member.
    """

    writes: tuple[Write, ...]
    state: dict[bytes, Found]
    revision: int
    hash_kv: int


def require_etcdctl() -> None:
    """Raise ConfigError where there is no client that is not ours."""
    _etcdctl()


async def read_back(endpoints: Sequence[str], prefix: bytes) -> Readback:
    """Ask members that have come to rest. Raises ViolationError when they differ."""
    hash_kv = await _common_hash(endpoints)
    writes = await _order_of_writes(endpoints, prefix)
    revision, state = await asyncio.to_thread(read_with_etcdctl, endpoints, prefix)
    return Readback(writes=writes, state=state, revision=revision, hash_kv=hash_kv)


def order_of(received: Iterable[Batch | Resumption]) -> tuple[Write, ...]:
    """The writes that a raw watch told; the part of a revision that a stream broke off in is
    told again by the next one.
    """
    events: list[Event] = []
    whole = 0
    for item in received:
        if isinstance(item, Resumption):
            del events[whole:]
            continue
        events += item.events
        if not item.is_fragment:
            whole = len(events)
    return tuple(Write(event.mod_revision, event.key, event.value) for event in events)


async def _order_of_writes(endpoints: Sequence[str], prefix: bytes) -> tuple[Write, ...]:
    """The store's own order, told by a watch that begins at the first revision."""
    async with client.connect(endpoints) as store:
        last = (await store.get_range(prefix, prefix=True, limit=1)).header.revision
    recorded = RecordedWatch(Watch(key=prefix, range_end=client.prefix_end(prefix)))
    async with RawWatch(endpoints, recorded.asked_for, Random(last)) as changes:
        reading = asyncio.ensure_future(changes.run(lambda item, _: recorded.add(item)))
        try:
            async with asyncio.timeout(ORDER_SECONDS_MAX):
                while recorded.revision < last:
                    count = len(recorded.received)
                    await asyncio.wait([reading], timeout=_ASK_AGAIN_SECONDS)
                    if reading.done():
                        reading.result()
                    if len(recorded.received) == count:
                        # Again while no answer comes: a request is lost with its stream. Not
                        # while events come: an old etcd answers before it has sent them all.
                        changes.request_progress()
        except TimeoutError:
            raise ViolationError(
                f"the members do not tell their {last} revisions in {ORDER_SECONDS_MAX} s"
            ) from None
        finally:
            reading.cancel()
            await asyncio.wait([reading])
    return order_of(recorded.received)


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


def _etcdctl() -> str:
    path = shutil.which("etcdctl")
    if path is None:
        raise ConfigError(
            "etcdctl is not installed: it reads back what was acknowledged "
            "(apt-get install etcd-client)"
        )
    return path


def read_with_etcdctl(endpoints: Sequence[str], prefix: bytes) -> tuple[int, dict[bytes, Found]]:
    """The revision, and what each key holds at it.

    Raises RigError when it fails: our members answered all others, so that proves nothing of them.
    """
    flags = [f"--endpoints={endpoints[0]}", "--command-timeout=240s"]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ETCDCTL_")}
    try:
        answer = subprocess.run(
            [_etcdctl(), *flags, "get", "--prefix", prefix.decode(), "-w", "json"],
            env={**inherited, "ETCDCTL_API": "3"},
            capture_output=True,
            timeout=_ETCDCTL_SECONDS_MAX,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise RigError(f"etcdctl ended with status {error.returncode}: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise RigError(f"etcdctl has not read all within {_ETCDCTL_SECONDS_MAX} s") from error
    told = json.loads(answer.stdout)
    state = {
        b64decode(kv["key"]): Found(b64decode(kv.get("value", "")), kv["mod_revision"])
        for kv in told.get("kvs", [])
    }
    return told["header"]["revision"], state
