"""Which case proves which field, option and error: the rows of COVERAGE.md.

Rows come from the protobuf descriptors and from the list of error texts below; cases claim rows
with `@pytest.mark.covers(...)`, and the suite checks each claim while the case runs. Run
`pytest tests/conformance/test_coverage_table.py --rewrite-coverage` after a change.
"""

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor

from kvstore.pb import health_pb2, rpc_pb2

FOLDER = Path(__file__).parent
TABLE_PATH = FOLDER / "COVERAGE.md"

_LATER = "a later version"
OUT_OF_SCOPE = {
    "DowngradeRequest": "etcd 3.5; the 3.4 oracle does not know it",
    "MemberListRequest.linearizable": "etcd 3.5; the 3.4 oracle ignores it",
    "Auth*, User*, Role*": _LATER,
}

LEARNER_NOT_READY = (
    "FAILED_PRECONDITION etcdserver: can only promote a learner member which is in sync with leader"
)
ERRORS = (
    "INVALID_ARGUMENT etcdserver: key is not provided",
    "INVALID_ARGUMENT etcdserver: value is provided",
    "INVALID_ARGUMENT etcdserver: lease is provided",
    "INVALID_ARGUMENT etcdserver: key not found",
    "INVALID_ARGUMENT etcdserver: duplicate key given in txn request",
    "INVALID_ARGUMENT etcdserver: too many operations in txn request",
    "INVALID_ARGUMENT etcdserver: invalid sort option",
    "INVALID_ARGUMENT etcdserver: request is too large",
    "OUT_OF_RANGE etcdserver: mvcc: required revision has been compacted",
    "OUT_OF_RANGE etcdserver: mvcc: required revision is a future revision",
    "RESOURCE_EXHAUSTED etcdserver: mvcc: database space exceeded",
    "NOT_FOUND etcdserver: requested lease not found",
    "FAILED_PRECONDITION etcdserver: lease already exists",
    "OUT_OF_RANGE etcdserver: too large lease TTL",
    "UNAVAILABLE etcdserver: no leader",
    "UNAVAILABLE etcdserver: request timed out",
    "FAILED_PRECONDITION etcdserver: not leader",
    "FAILED_PRECONDITION etcdserver: bad leader transferee",
    "NOT_FOUND etcdserver: member not found",
    "INVALID_ARGUMENT etcdserver: given member URLs are invalid",
    "FAILED_PRECONDITION etcdserver: Peer URLs already exists",
    "UNKNOWN etcdserver: re-configuration failed due to not enough started members",
    "FAILED_PRECONDITION etcdserver: can only promote a learner member",
    LEARNER_NOT_READY,
    "FAILED_PRECONDITION etcdserver: too many learner members in cluster",
    "UNAVAILABLE etcdserver: unhealthy cluster",
    "UNAVAILABLE etcdserver: rpc not supported for learner",
    "DATA_LOSS etcdserver: corrupt cluster",
    "NOT_FOUND unknown service",
    "UNIMPLEMENTED unknown method Nonsense for service etcdserverpb.KV",
    "UNIMPLEMENTED unknown service etcdserverpb.Nonsense",
)


def _in_scope_messages() -> Iterator[Descriptor]:
    seen: set[str] = set()
    for file in (rpc_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR):
        for service in file.services_by_name.values():
            if service.name == "Auth":
                continue
            for method in service.methods:
                yield from _with_nested(method.input_type, seen)


def _with_nested(message: Descriptor, seen: set[str]) -> Iterator[Descriptor]:
    if message.name in seen or message.name in OUT_OF_SCOPE:
        return
    seen.add(message.name)
    yield message
    for field in message.fields:
        if field.message_type is not None:
            yield from _with_nested(field.message_type, seen)


def rows() -> list[str]:
    """Every row that must have a case: `Message`, `Message.field`, `Message.enum=VALUE`, errors."""
    fields = (row for message in _in_scope_messages() for row in _rows_of(message))
    return [row for row in fields if row not in OUT_OF_SCOPE] + list(ERRORS)


def _rows_of(message: Descriptor) -> Iterator[str]:
    if not message.fields or all(
        f"{message.name}.{f.name}" in OUT_OF_SCOPE for f in message.fields
    ):
        yield message.name
    for field in message.fields:
        row = f"{message.name}.{field.name}"
        if field.enum_type is None:
            yield row
            continue
        for value in field.enum_type.values:
            # Outside `repeated`, the zero value is not on the wire: it is the field's absence.
            if value.number != 0 or field.is_repeated:
                yield f"{row}={value.name}"
        yield f"{row}=unknown"


def claims_of(node: pytest.Item) -> Iterator[str]:
    """The rows that one test item claims."""
    for mark in node.iter_markers("covers"):
        yield from mark.args


def _static_claims(marks: Iterable[Any]) -> Iterator[str]:
    for mark in marks:
        if mark.name == "covers":
            yield from mark.args
        elif mark.name == "parametrize":
            for row in mark.args[1]:
                yield from _static_claims(getattr(row, "marks", ()))


def cases_by_row() -> dict[str, list[str]]:
    """Row -> the cases which claim it, read from the modules without running them."""
    cases: dict[str, list[str]] = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        module = importlib.import_module(f"tests.conformance.{path.stem}")
        for name, function in vars(module).items():
            if not name.startswith("test_"):
                continue
            for row in dict.fromkeys(_static_claims(getattr(function, "pytestmark", ()))):
                cases.setdefault(row, []).append(f"{path.stem}.{name}")
    return cases


def case_count() -> int:
    """Test functions in the folder: parametrised rows of one behaviour count once."""
    return sum(
        line.startswith(("def test_", "async def test_"))
        for path in FOLDER.glob("test_*.py")
        for line in path.read_text().splitlines()
    )


def render() -> str:
    """COVERAGE.md as it should be."""
    cases = cases_by_row()
    table = [f"| {row} | {', '.join(f'`{c}`' for c in cases.get(row, []))} |" for row in rows()]
    later = [f"| {row} | {reason} |" for row, reason in OUT_OF_SCOPE.items()]
    empty = [row for row in rows() if row not in cases]
    return "\n".join(
        [
            "# What the conformance suite covers",
            "",
            "Generated by `pytest tests/conformance/test_coverage_table.py --rewrite-coverage`.",
            f"{case_count()} cases; each runs against Debian's etcd and against our member.",
            "",
            "| field, option or error | cases |",
            "|---|---|",
            *table,
            "",
            f"Rows without a case: {', '.join(empty) or 'none'}.",
            "",
            "| out of scope | until |",
            "|---|---|",
            *later,
            "",
        ]
    )
