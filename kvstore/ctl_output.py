"""What kvctl prints: client records as etcdctl 3.4 shows them (simple, json, table). Pure.

Byte for byte for keys, txns, watches, leases, members and endpoints: scripts read these lines.
Nothing here talks to a cluster or to a terminal.
"""

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from kvstore.client.types import (
    AlarmList,
    AlarmMember,
    CompactResponse,
    DeleteResponse,
    Event,
    EventType,
    HashKv,
    Header,
    KeyValue,
    LeaseGrant,
    LeaseList,
    LeaseTimeToLive,
    Member,
    MemberAdded,
    MemberList,
    PutResponse,
    RangeResponse,
    Status,
    TxnResponse,
    WatchBatch,
)


class EndpointStatus(msgspec.Struct, frozen=True):
    """Status of one endpoint."""

    endpoint: str
    status: Status


class EndpointHash(msgspec.Struct, frozen=True):
    """HashKV of one endpoint."""

    endpoint: str
    hash_kv: HashKv


class EndpointHealth(msgspec.Struct, frozen=True):
    """Whether an endpoint's linearizable read went through."""

    endpoint: str
    is_healthy: bool
    seconds: float
    error: str = ""


class UnsupportedFormatError(Exception):
    """The record has no such form."""


class Format(msgspec.Struct, frozen=True):
    """How to print."""

    name: str = "simple"
    hex: bool = False
    value_only: bool = False
    count_only: bool = False


def render(record: Any, form: Format) -> bytes:
    """The output for a record, or for a list of one kind of endpoint records."""
    sample = record[0] if isinstance(record, list) else record
    if form.name == "json":
        return _go_json(_JSON[type(sample)](record)) + b"\n"
    if form.name == "table":
        tabulate = _TABLES.get(type(sample))
        if tabulate is None:
            raise UnsupportedFormatError("table not supported as output format")
        return _table(*tabulate(record))
    return b"".join(line + b"\n" for line in _SIMPLE[type(sample)](record, form))


# --- simple -------------------------------------------------------------------------------------


def _text(data: bytes, form: Format) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in data) if form.hex else data


def _kv_lines(kv: KeyValue, form: Format) -> Iterable[bytes]:
    if not form.value_only:
        yield _text(kv.key, form)
    yield _text(kv.value, form)


def _put_lines(response: PutResponse, form: Format) -> Iterable[bytes]:
    yield b"OK"
    if response.prev_kv is not None:
        yield from _kv_lines(response.prev_kv, form)


def _range_lines(response: RangeResponse, form: Format) -> Iterable[bytes]:
    if form.count_only:
        yield b"%d" % response.count
    for kv in response.kvs:
        yield from _kv_lines(kv, form)


def _delete_lines(response: DeleteResponse, form: Format) -> Iterable[bytes]:
    yield b"%d" % response.deleted
    for kv in response.prev_kvs:
        yield from _kv_lines(kv, form)


def _txn_lines(response: TxnResponse, form: Format) -> Iterable[bytes]:
    yield b"SUCCESS" if response.succeeded else b"FAILURE"
    for part in response.responses:
        yield b""
        yield from _SIMPLE[type(part)](part, form)


def _watch_lines(batch: WatchBatch, form: Format) -> Iterable[bytes]:
    if not batch.events:
        yield b"progress notify: %d" % batch.revision
    for event in batch.events:
        yield event.type.name.encode()
        if event.prev_kv is not None:
            yield from _kv_lines(event.prev_kv, form)
        yield from _kv_lines(event.kv, form)


def _time_to_live_lines(response: LeaseTimeToLive, form: Format) -> Iterable[bytes]:
    if response.granted_ttl_seconds == 0 and response.ttl_seconds == -1:
        yield b"lease %016x already expired" % response.lease_id
        return
    line = b"lease %016x granted with TTL(%ds), remaining(%ds)" % (
        response.lease_id,
        response.granted_ttl_seconds,
        response.ttl_seconds,
    )
    if response.keys:
        line += b", attached keys([" + b" ".join(response.keys) + b"])"
    yield line


def _lease_list_lines(response: LeaseList, form: Format) -> Iterable[bytes]:
    yield b"found %d leases" % len(response.lease_ids)
    for lease_id in response.lease_ids:
        yield b"%016x" % lease_id


def _alarm_lines(response: AlarmList, form: Format) -> Iterable[bytes]:
    for member in response.alarms:
        yield f"memberID:{member.member_id} alarm:{member.alarm.name} ".encode()


def _comma_lines(record: Any, form: Format) -> Iterable[bytes]:
    """Tables in their simple form: cells with commas between."""
    _, rows = _TABLES[type(record[0] if isinstance(record, list) else record)](record)
    for row in rows:
        yield ", ".join(row).encode()


def _health_lines(healths: Sequence[EndpointHealth], form: Format) -> Iterable[bytes]:
    for health in healths:
        took = go_duration(health.seconds)
        if health.is_healthy:
            line = f"{health.endpoint} is healthy: successfully committed proposal: took = {took}"
        else:
            line = f"{health.endpoint} is unhealthy: failed to commit proposal: {health.error}"
        yield line.encode()


_SIMPLE: Mapping[type, Callable[[Any, Format], Iterable[bytes]]] = {
    PutResponse: _put_lines,
    RangeResponse: _range_lines,
    DeleteResponse: _delete_lines,
    TxnResponse: _txn_lines,
    WatchBatch: _watch_lines,
    LeaseGrant: lambda r, _: [b"lease %016x granted with TTL(%ds)" % (r.lease_id, r.ttl_seconds)],
    LeaseTimeToLive: _time_to_live_lines,
    LeaseList: _lease_list_lines,
    AlarmList: _alarm_lines,
    MemberList: _comma_lines,
    EndpointStatus: _comma_lines,
    EndpointHash: _comma_lines,
    EndpointHealth: _health_lines,
}


# --- json ---------------------------------------------------------------------------------------


def _go_json(value: Any) -> bytes:
    """JSON as Go writes it: no spaces, UTF-8, and the characters of HTML escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _present(**fields: Any) -> dict[str, Any]:
    """Without the zero values, which etcd's JSON leaves out."""
    return {name: value for name, value in fields.items() if value}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _json_header(header: Header) -> dict[str, Any]:
    return _present(
        cluster_id=header.cluster_id,
        member_id=header.member_id,
        revision=header.revision,
        raft_term=header.raft_term,
    )


def _with_header(header: Header, **fields: Any) -> dict[str, Any]:
    return _present(header=_json_header(header), **fields)


def _json_kv(kv: KeyValue | None) -> dict[str, Any] | None:
    if kv is None:
        return None
    return _present(
        key=_base64(kv.key),
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        value=_base64(kv.value),
        lease=kv.lease,
    )


def _json_put(response: PutResponse) -> dict[str, Any]:
    return _with_header(response.header, prev_kv=_json_kv(response.prev_kv))


def _json_range(response: RangeResponse) -> dict[str, Any]:
    return _with_header(
        response.header,
        kvs=[_json_kv(kv) for kv in response.kvs],
        more=response.more,
        count=response.count,
    )


def _json_delete(response: DeleteResponse) -> dict[str, Any]:
    return _with_header(
        response.header,
        deleted=response.deleted,
        prev_kvs=[_json_kv(kv) for kv in response.prev_kvs],
    )


_TXN_NAMES: Mapping[type, str] = {
    PutResponse: "ResponsePut",
    RangeResponse: "ResponseRange",
    DeleteResponse: "ResponseDeleteRange",
    TxnResponse: "ResponseTxn",
}


def _json_txn(response: TxnResponse) -> dict[str, Any]:
    parts = [
        {"Response": {_TXN_NAMES[type(part)]: _JSON[type(part)](part)}}
        for part in response.responses
    ]
    return _with_header(response.header, succeeded=response.succeeded, responses=parts)


def _json_event(event: Event) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": 1} if event.type is EventType.DELETE else {}
    fields["kv"] = _json_kv(event.kv)
    if event.prev_kv is not None:
        fields["prev_kv"] = _json_kv(event.prev_kv)
    return fields


def _json_watch(batch: WatchBatch) -> dict[str, Any]:
    return {
        "Header": _json_header(batch.header),
        "Events": [_json_event(event) for event in batch.events],
        "CompactRevision": 0,
        "Canceled": False,
        "Created": False,
    }


def _json_grant(grant: LeaseGrant) -> dict[str, Any]:
    lease = {"ID": grant.lease_id, "TTL": grant.ttl_seconds, "Error": ""}
    return _json_header(grant.header) | lease


def _json_time_to_live(response: LeaseTimeToLive) -> dict[str, Any]:
    return _json_header(response.header) | {
        "id": response.lease_id,
        "ttl": response.ttl_seconds,
        "granted-ttl": response.granted_ttl_seconds,
        "keys": [_base64(key) for key in response.keys] or None,
    }


def _json_leases(response: LeaseList) -> dict[str, Any]:
    leases = [{"id": lease_id} for lease_id in response.lease_ids]
    return _json_header(response.header) | {"leases": leases}


def _json_member(member: Member) -> dict[str, Any]:
    return _present(
        ID=member.member_id,
        name=member.name,
        peerURLs=member.peer_urls,
        clientURLs=member.client_urls,
        isLearner=member.is_learner,
    )


def _json_members(response: MemberList) -> dict[str, Any]:
    members = [_json_member(member) for member in response.members]
    return _with_header(response.header, members=members)


def _json_added(response: MemberAdded) -> dict[str, Any]:
    members = [_json_member(member) for member in response.members]
    added = _json_member(response.member)
    return _with_header(response.header, member=added, members=members)


def _json_alarm(alarm: AlarmMember) -> dict[str, Any]:
    return _present(memberID=alarm.member_id, alarm=alarm.alarm.value)


def _json_alarms(response: AlarmList) -> dict[str, Any]:
    alarms = [_json_alarm(alarm) for alarm in response.alarms]
    return _with_header(response.header, alarms=alarms)


def _json_status(status: Status) -> dict[str, Any]:
    return _with_header(
        status.header,
        version=status.version,
        dbSize=status.db_size,
        leader=status.leader,
        raftIndex=status.raft_index,
        raftTerm=status.raft_term,
        raftAppliedIndex=status.raft_applied_index,
        errors=status.errors,
        dbSizeInUse=status.db_size_in_use,
        isLearner=status.is_learner,
    )


def _json_hash(hash_kv: HashKv) -> dict[str, Any]:
    return _with_header(
        hash_kv.header, hash=hash_kv.hash, compact_revision=hash_kv.compact_revision
    )


def _json_health(health: EndpointHealth) -> dict[str, Any]:
    fields = {
        "endpoint": health.endpoint,
        "health": health.is_healthy,
        "took": go_duration(health.seconds),
    }
    return fields | _present(error=health.error)


_JSON: Mapping[type, Callable[[Any], Any]] = {
    PutResponse: _json_put,
    RangeResponse: _json_range,
    DeleteResponse: _json_delete,
    TxnResponse: _json_txn,
    CompactResponse: lambda response: _with_header(response.header),
    WatchBatch: _json_watch,
    LeaseGrant: _json_grant,
    LeaseTimeToLive: _json_time_to_live,
    LeaseList: _json_leases,
    AlarmList: _json_alarms,
    MemberList: _json_members,
    MemberAdded: _json_added,
    EndpointStatus: lambda all_: [
        {"Endpoint": one.endpoint, "Status": _json_status(one.status)} for one in all_
    ],
    EndpointHash: lambda all_: [
        {"Endpoint": one.endpoint, "HashKV": _json_hash(one.hash_kv)} for one in all_
    ],
    EndpointHealth: lambda all_: [_json_health(one) for one in all_],
}


# --- table --------------------------------------------------------------------------------------

_Table = tuple[Sequence[str], list[Sequence[str]]]


def _member_table(response: MemberList) -> _Table:
    head = ("ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner")
    rows: list[Sequence[str]] = [
        (
            f"{member.member_id:x}",
            "started" if member.name else "unstarted",
            member.name,
            ",".join(member.peer_urls),
            ",".join(member.client_urls),
            _go_bool(member.is_learner),
        )
        for member in response.members
    ]
    return head, rows


def _status_table(statuses: Sequence[EndpointStatus]) -> _Table:
    head = ["Endpoint", "ID", "Version", "DB Size", "Is Leader", "Is Learner"]
    head += ["Raft Term", "Raft Index", "Raft Applied Index", "Errors"]
    rows: list[Sequence[str]] = []
    for endpoint, status in ((one.endpoint, one.status) for one in statuses):
        member_id = status.header.member_id
        rows.append(
            (
                endpoint,
                f"{member_id:x}",
                status.version,
                human_bytes(status.db_size),
                _go_bool(status.leader == member_id),
                _go_bool(status.is_learner),
                str(status.raft_term),
                str(status.raft_index),
                str(status.raft_applied_index),
                ", ".join(status.errors),
            )
        )
    return head, rows


def _hash_table(hashes: Sequence[EndpointHash]) -> _Table:
    return ("Endpoint", "Hash"), [(one.endpoint, str(one.hash_kv.hash)) for one in hashes]


def _health_table(healths: Sequence[EndpointHealth]) -> _Table:
    rows: list[Sequence[str]] = [
        (one.endpoint, _go_bool(one.is_healthy), go_duration(one.seconds), one.error)
        for one in healths
    ]
    return ("Endpoint", "Health", "Took", "Error"), rows


_TABLES: Mapping[type, Callable[[Any], _Table]] = {
    MemberList: _member_table,
    EndpointStatus: _status_table,
    EndpointHash: _hash_table,
    EndpointHealth: _health_table,
}


def _table(head: Sequence[str], rows: list[Sequence[str]]) -> bytes:
    titles = [title.upper() for title in head]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = [rule, _row(_center(title, w) for title, w in zip(titles, widths, strict=True)), rule]
    lines += [_row(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "".join(line + "\n" for line in [*lines, rule]).encode()


def _center(text: str, width: int) -> str:
    left = (width - len(text)) // 2
    return (" " * left + text).ljust(width)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _go_bool(value: bool) -> str:
    return "true" if value else "false"


def human_bytes(count: int) -> str:
    """20480 → `20 kB`; powers of 1000, one digit after the point below ten."""
    if count < 10:
        return f"{count} B"
    exponent = min((len(str(count)) - 1) // 3, 6)
    value = int(count / 1000**exponent * 10 + 0.5) / 10
    unit = ("B", "kB", "MB", "GB", "TB", "PB", "EB")[exponent]
    return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"


def go_duration(seconds: float) -> str:
    """0.000863176 → `863.176µs`, as Go prints durations (below a minute)."""
    nanoseconds = round(seconds * 1e9)
    for unit, size in (("s", 10**9), ("ms", 10**6), ("µs", 10**3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.9f}".rstrip("0").rstrip(".") + unit
    return f"{nanoseconds}ns"
