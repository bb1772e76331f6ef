"""What each kvctl command does with a client. No parsing of flags, no form of output."""

import argparse
import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from kvstore.client import Client
from kvstore.client.types import AlarmList, AlarmMember, EventType, MemberList, WatchBatch
from kvstore.commands import DeleteRange, Operation, Put, Range, Txn
from kvstore.ctl_arguments import (
    EXIT_BAD_ARGUMENTS,
    EXIT_BAD_CONNECTION,
    EXIT_ERROR,
    EXIT_INTERRUPTED,
    EXIT_INVALID_INPUT,
    CtlError,
)
from kvstore.ctl_operations import (
    delete_operation,
    get_operation,
    lease_id_of,
    parse_failure,
    put_operation,
)
from kvstore.ctl_output import EndpointHash, EndpointHealth, EndpointStatus, Format, go_duration
from kvstore.ctl_txn import MalformedTxnError, compare_of, to_bytes, words_of
from kvstore.errors import CompactedError, KvError, LeaseNotFoundError
from kvstore.rpc_errors import status_of


class Session(msgspec.Struct, frozen=True):
    """What a command works with; all doors to the outside are here."""

    client: Client
    open_client: Callable[[str], Client]  # of one endpoint
    arguments: argparse.Namespace
    form: Format
    show: Callable[[Any], None]  # a record, in the form asked for
    say: Callable[[str], None]  # a line
    complain: Callable[[str], None]  # a line to stderr
    stdin: BinaryIO
    parse_operation: Callable[[list[str]], Operation]


def message_of(error: KvError) -> str:
    """etcd's text of an error."""
    return status_of(error).text


# --- keys ---------------------------------------------------------------------------------------


async def put(session: Session) -> None:
    """Write a key."""
    command = put_operation(session.arguments, session.stdin.read)
    session.show(await session.client.put(**_fields(command)))


async def get(session: Session) -> None:
    """Read a key or a range."""
    command = get_operation(session.arguments)
    serializable = session.arguments.consistency == "s"
    session.show(await session.client.get_range(**_fields(command), serializable=serializable))


async def delete(session: Session) -> None:
    """Delete a key or a range."""
    session.show(await session.client.delete(**_fields(delete_operation(session.arguments))))


def _fields(command: Put | Range | DeleteRange) -> dict[str, Any]:
    return msgspec.structs.asdict(command)


async def txn(session: Session) -> None:
    """Compares, then the two branches: lines until an empty one (or the end), from stdin."""
    prompt = session.say if session.arguments.interactive else lambda _: None
    try:
        prompt("compares:")
        compares = tuple(map(compare_of, _paragraph(session.stdin)))
        prompt("success requests (get, put, del):")
        success = tuple(_operation(session, line) for line in _paragraph(session.stdin))
        prompt("failure requests (get, put, del):")
        failure = tuple(_operation(session, line) for line in _paragraph(session.stdin))
    except MalformedTxnError as error:
        raise CtlError(EXIT_INVALID_INPUT, str(error)) from None
    session.show(await session.client.commit(Txn(compares, success, failure)))


def _paragraph(stdin: BinaryIO) -> list[str]:
    lines = []
    for data in stdin:
        line = data.decode(errors="surrogateescape")
        if not line.strip():
            break
        lines.append(line.rstrip("\n"))
    return lines


def _operation(session: Session, line: str) -> Operation:
    words = words_of(line)
    if not words or words[0] not in ("put", "get", "del"):
        raise CtlError(EXIT_INVALID_INPUT, f"invalid txn request: {line}")
    return session.parse_operation(words)


async def watch(session: Session) -> None:
    """Print changes until interrupted; `-- command` runs for each of them."""
    arguments = session.arguments
    words = [to_bytes(word) for word in arguments.positionals]
    if len(words) not in (1, 2):
        raise CtlError(EXIT_BAD_ARGUMENTS, "watch command needs a key and an optional range_end")
    if len(words) == 2 and arguments.prefix:
        raise CtlError(EXIT_BAD_ARGUMENTS, "`range_end` and `--prefix` are mutually exclusive")
    changes = session.client.watch(
        words[0],
        words[1] if len(words) == 2 else b"",
        prefix=arguments.prefix,
        start_revision=arguments.rev,
        prev_kv=arguments.prev_kv,
        progress_notify=arguments.progress_notify,
    )
    try:
        async for batch in changes:
            session.show(batch)
            if arguments.rest:
                await _run_for_each(batch, arguments.rest)
    except CompactedError as error:
        session.complain(f"watch was canceled ({message_of(error)})")
        raise CtlError(EXIT_INTERRUPTED, "watch is canceled by the server") from None


async def _run_for_each(batch: WatchBatch, command: list[str]) -> None:
    for event in batch.events:
        environment = os.environ | {
            "ETCD_WATCH_REVISION": str(batch.header.revision),
            "ETCD_WATCH_EVENT_TYPE": f'"{EventType(event.type).name}"',
            "ETCD_WATCH_KEY": f'"{event.kv.key.decode(errors="surrogateescape")}"',
            "ETCD_WATCH_VALUE": f'"{event.kv.value.decode(errors="surrogateescape")}"',
        }
        process = await asyncio.create_subprocess_exec(*command, env=environment)
        await process.wait()


async def compact(session: Session) -> None:
    """Forget history before a revision."""
    revision = _integer(session, "compaction command needs 1 argument", EXIT_ERROR)
    await session.client.compact(revision, physical=session.arguments.physical)
    session.say(f"compacted revision {revision}")


# --- leases -------------------------------------------------------------------------------------


def _one_word(session: Session, needs: str) -> str:
    words = session.arguments.positionals + session.arguments.rest
    if len(words) != 1:
        raise CtlError(EXIT_BAD_ARGUMENTS, needs)
    word: str = words[0]
    return word


def _integer(session: Session, needs: str, code: int, form: str = "{}") -> int:
    word = _one_word(session, needs)
    try:
        return int(word)
    except ValueError:
        raise CtlError(code, form.format(parse_failure("Int", word))) from None


def _lease_word(session: Session, name: str) -> int:
    word = _one_word(session, f"lease {name} command needs lease ID as argument")
    return lease_id_of(word, "bad lease ID arg ({}), expecting ID in Hex")


async def lease_grant(session: Session) -> None:
    """Create a lease."""
    ttl_seconds = _integer(
        session, "lease grant command needs TTL argument", EXIT_BAD_ARGUMENTS, "bad TTL ({})"
    )
    session.show(await session.client.leases.grant(ttl_seconds))


async def lease_revoke(session: Session) -> None:
    """Delete a lease and its keys."""
    lease_id = _lease_word(session, "revoke")
    try:
        await session.client.leases.revoke(lease_id)
    except KvError as error:
        raise CtlError(EXIT_ERROR, f"failed to revoke lease ({message_of(error)})") from None
    session.say(f"lease {lease_id:016x} revoked")


async def lease_time_to_live(session: Session) -> None:
    """What is left of a lease."""
    lease_id = _lease_word(session, "timetolive")
    session.show(await session.client.leases.time_to_live(lease_id, keys=session.arguments.keys))


async def lease_list(session: Session) -> None:
    """All leases."""
    session.show(await session.client.leases.leases())


async def lease_keep_alive(session: Session) -> None:
    """Renew a lease once, or until it is lost."""
    lease_id = _lease_word(session, "keep-alive")

    def say_renewed(ttl_seconds: int) -> None:
        session.say(f"lease {lease_id:016x} keepalived with TTL({ttl_seconds})")

    if session.arguments.once:
        try:
            renewed = await session.client.leases.keep_alive_once(lease_id)
        except LeaseNotFoundError as error:
            raise CtlError(EXIT_BAD_CONNECTION, message_of(error)) from None
        say_renewed(renewed.ttl_seconds)
        return
    with contextlib.suppress(LeaseNotFoundError):
        lease = await session.client.leases.keep_alive(lease_id, on_renewed=say_renewed)
        await lease.lost.wait()
    session.say(f"lease {lease_id:016x} expired or revoked.")


# --- members and endpoints ----------------------------------------------------------------------


async def member_list(session: Session) -> None:
    """The members of the cluster."""
    session.show(await session.client.cluster.member_list())


async def member_add(session: Session) -> None:
    """Add a member, and print what to start it with."""
    name = _one_word(session, "member name not provided")
    urls = [url for url in session.arguments.peer_urls.split(",") if url]
    if not urls:
        raise CtlError(EXIT_BAD_ARGUMENTS, "member peer urls not provided")
    added = await session.client.cluster.member_add(urls, is_learner=session.arguments.learner)
    if session.form.name != "simple":
        session.show(added)
        return
    member_id = added.member.member_id
    session.say(f"Member {member_id:16x} added to cluster {added.header.cluster_id:16x}\n")
    pairs = [
        f"{name if member.member_id == member_id else member.name}={url}"
        for member in added.members
        for url in member.peer_urls
    ]
    session.say(f'ETCD_NAME="{name}"')
    session.say(f'ETCD_INITIAL_CLUSTER="{",".join(pairs)}"')
    session.say(f'ETCD_INITIAL_ADVERTISE_PEER_URLS="{",".join(added.member.peer_urls)}"')
    session.say('ETCD_INITIAL_CLUSTER_STATE="existing"')


async def member_remove(session: Session) -> None:
    """Take a member out of the cluster for good."""
    member_id = _member_id(session, "member ID is not provided")
    members = await session.client.cluster.member_remove(member_id)
    _tell_change(session, members, member_id, "removed from")


async def member_update(session: Session) -> None:
    """Tell where a member is reached by its peers from now on."""
    member_id = _member_id(session, "member ID is not provided")
    urls = [url for url in session.arguments.peer_urls.split(",") if url]
    if not urls:
        raise CtlError(EXIT_BAD_ARGUMENTS, "member peer urls not provided")
    members = await session.client.cluster.member_update(member_id, urls)
    _tell_change(session, members, member_id, "updated in")


async def member_promote(session: Session) -> None:
    """Make a learner a voter."""
    member_id = _member_id(session, "member ID is not provided")
    members = await session.client.cluster.member_promote(member_id)
    _tell_change(session, members, member_id, "promoted in")


def _member_id(session: Session, complaint: str) -> int:
    word = _one_word(session, complaint)
    try:
        return int(word, 16)
    except ValueError:
        text = f"bad member ID arg ({parse_failure('Uint', word)}), expecting ID in Hex"
        raise CtlError(EXIT_BAD_ARGUMENTS, text) from None


def _tell_change(session: Session, members: MemberList, member_id: int, what: str) -> None:
    if session.form.name == "simple":
        session.say(f"Member {member_id:16x} {what} cluster {members.header.cluster_id:16x}")
    else:
        session.show(members)


async def _endpoints(session: Session) -> list[str]:
    if not session.arguments.cluster:
        return list(session.client.endpoints)
    members = (await session.client.cluster.member_list()).members
    return [url for member in members for url in member.client_urls]


@contextlib.asynccontextmanager
async def _of(session: Session, endpoint: str) -> AsyncIterator[Client]:
    async with session.open_client(endpoint) as client:
        yield client


async def endpoint_health(session: Session) -> None:
    """Whether each endpoint can serve a linearizable read."""

    async def ask(endpoint: str) -> EndpointHealth:
        started = asyncio.get_running_loop().time()
        error = ""
        async with _of(session, endpoint) as client:
            try:
                await client.get("health")
            except KvError as failure:
                error = message_of(failure)
        seconds = asyncio.get_running_loop().time() - started
        return EndpointHealth(endpoint, not error, seconds, error)

    healths = await asyncio.gather(*map(ask, await _endpoints(session)))
    session.show(list(healths))
    if not all(health.is_healthy for health in healths):
        raise CtlError(EXIT_ERROR, "unhealthy cluster")


async def endpoint_status(session: Session) -> None:
    """What each endpoint says of itself."""

    async def ask(endpoint: str, client: Client) -> EndpointStatus:
        return EndpointStatus(endpoint, await client.maintenance.status())

    await _show_each(session, ask, "status")


async def endpoint_hash_kv(session: Session) -> None:
    """Each endpoint's hash of its key space."""

    async def ask(endpoint: str, client: Client) -> EndpointHash:
        revision = session.arguments.rev
        return EndpointHash(endpoint, await client.maintenance.hash_kv(revision=revision))

    await _show_each(session, ask, "hash")


async def _show_each(
    session: Session, ask: Callable[[str, Client], Awaitable[Any]], what: str
) -> None:
    """Ask every endpoint; those that fail are named, and the exit code says so."""
    answers = []
    has_failed = False
    for endpoint in await _endpoints(session):
        async with _of(session, endpoint) as client:
            try:
                answers.append(await ask(endpoint, client))
            except KvError as error:
                has_failed = True
                session.complain(
                    f"Failed to get the {what} of endpoint {endpoint} ({message_of(error)})"
                )
    if answers:
        session.show(answers)
    if has_failed:
        raise CtlError(EXIT_ERROR, "")


async def defragment(session: Session) -> None:
    """Let each endpoint give back space."""
    has_failed = False
    for endpoint in await _endpoints(session):
        async with _of(session, endpoint) as client:
            try:
                await client.maintenance.defragment()
                session.say(f"Finished defragmenting etcd member[{endpoint}]")
            except KvError as error:
                has_failed = True
                session.complain(
                    f"Failed to defragment etcd member[{endpoint}] ({message_of(error)})"
                )
    if has_failed:
        raise CtlError(EXIT_ERROR, "")


async def snapshot_save(session: Session) -> None:
    """Save one endpoint's snapshot: into `.part` first, so that a name means a whole snapshot."""
    path = Path(_one_word(session, "snapshot save expects one argument"))
    if len(session.client.endpoints) != 1:
        raise CtlError(EXIT_BAD_ARGUMENTS, "snapshot must be requested to one selected node")
    started = asyncio.get_running_loop().time()
    size = 0
    with _whole_file(path) as file:
        async for chunk in session.client.maintenance.snapshot():
            size += file.write(chunk)
    took = go_duration(asyncio.get_running_loop().time() - started)
    session.complain(f"fetched {size} bytes from {session.client.endpoints[0]} in {took}")
    session.say(f"Snapshot saved at {path}")


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name once it is complete and durable."""
    part = Path(f"{path}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        raise CtlError(EXIT_INTERRUPTED, f"could not write {part} ({error.strerror})") from None


async def alarm_list(session: Session) -> None:
    """Alarms raised."""
    session.show(await session.client.maintenance.alarm_list())


async def alarm_disarm(session: Session) -> None:
    """Take back all alarms."""
    raised = await session.client.maintenance.alarm_list()
    disarmed: list[AlarmMember] = []
    header = raised.header
    for alarm in raised.alarms:
        answer = await session.client.maintenance.alarm_disarm(alarm.member_id, alarm.alarm)
        header = answer.header
        disarmed += answer.alarms
    session.show(AlarmList(header, tuple(disarmed)))


async def move_leader(session: Session) -> None:
    """Hand leadership to a member."""
    word = _one_word(session, "move-leader command needs 1 argument")
    try:
        target = int(word, 16)
    except ValueError:
        raise CtlError(EXIT_BAD_ARGUMENTS, parse_failure("Uint", word)) from None
    former = await session.client.maintenance.move_leader(target)
    session.say(f"Leadership transferred from {former:x} to {target:x}")


RUN: Mapping[tuple[str, ...], Callable[[Session], Awaitable[None]]] = {
    ("put",): put,
    ("get",): get,
    ("del",): delete,
    ("txn",): txn,
    ("watch",): watch,
    ("compact",): compact,
    ("compaction",): compact,
    ("lease", "grant"): lease_grant,
    ("lease", "revoke"): lease_revoke,
    ("lease", "timetolive"): lease_time_to_live,
    ("lease", "keep-alive"): lease_keep_alive,
    ("lease", "list"): lease_list,
    ("member", "list"): member_list,
    ("member", "add"): member_add,
    ("member", "remove"): member_remove,
    ("member", "update"): member_update,
    ("member", "promote"): member_promote,
    ("endpoint", "health"): endpoint_health,
    ("endpoint", "status"): endpoint_status,
    ("endpoint", "hashkv"): endpoint_hash_kv,
    ("snapshot", "save"): snapshot_save,
    ("alarm", "list"): alarm_list,
    ("alarm", "disarm"): alarm_disarm,
    ("defrag",): defragment,
    ("move-leader",): move_leader,
}
