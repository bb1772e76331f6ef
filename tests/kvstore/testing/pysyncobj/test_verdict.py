"""What counts as a finding, and what does not."""

from collections.abc import Sequence

from kvstore.testing.history import Write
from kvstore.testing.linearizability import Operation
from kvstore.testing.pysyncobj.verdict import judge

PUT = Operation(process=0, kind="put", key=b"k", value=b"1", invoked=0.0, completed=1.0, revision=2)
UNKNOWN = Operation(process=1, kind="put", key=b"k", value=b"2", invoked=0.5)
DELETE = Operation(
    process=0, kind="delete", key=b"k", invoked=2.0, completed=3.0, succeeded=True, revision=3
)
FIRST, SECOND = Write(2, b"k", b"1"), Write(3, b"k", None)


def kinds(operations: Sequence[Operation], *histories: Sequence[Write]) -> list[str]:
    return [finding.kind for finding in judge(operations, histories or None, {})]


def test_what_was_acknowledged_and_is_everywhere_is_right() -> None:
    assert kinds([PUT, DELETE], [FIRST, SECOND], [FIRST, SECOND]) == []


def test_an_acknowledged_write_that_is_nowhere_is_lost() -> None:
    findings = judge([PUT, DELETE], [[FIRST], [FIRST]], {})
    assert [finding.kind for finding in findings] == ["lost write"]
    assert findings[0].text.startswith("1 of 2 acknowledged writes are nowhere, the first: ")
    assert findings[0].is_safety


def test_a_write_of_another_revision_is_not_the_one_that_was_acknowledged() -> None:
    assert kinds([PUT], [Write(5, b"k", b"1")]) == ["lost write"]


def test_a_write_of_unknown_outcome_may_be_there_or_not() -> None:
    assert kinds([UNKNOWN], []) == []
    assert kinds([UNKNOWN], [Write(2, b"k", b"2")]) == []


def test_members_that_hold_different_writes_differ() -> None:
    findings = judge([PUT, DELETE], [[FIRST, SECOND], [FIRST]], {})
    assert [finding.kind for finding in findings] == ["states differ"]
    assert "member 1 has applied 2 writes" in findings[0].text
    assert findings[0].is_safety


def test_a_stale_read_is_not_linearizable() -> None:
    stale = Operation(process=1, kind="get", key=b"k", invoked=2.0, completed=3.0, revision=1)
    findings = judge([PUT, stale], [[FIRST], [FIRST]], {})
    assert [finding.kind for finding in findings] == ["not linearizable"]
    assert "get b'k': found nothing" in findings[0].text
    assert findings[0].is_safety


def test_that_members_do_not_agree_or_that_one_raises_is_no_catch() -> None:
    findings = judge([PUT], None, {"KeyError while it runs: 7": 3})
    assert [finding.kind for finding in findings] == ["no agreement", "error"]
    assert findings[1].text == "KeyError while it runs: 7 (3 times)"
    assert not any(finding.is_safety for finding in findings)


def test_findings_of_safety_come_first() -> None:
    stale = Operation(process=1, kind="get", key=b"k", invoked=2.0, completed=3.0, revision=1)
    findings = judge([PUT, stale], None, {"KeyError while it runs: 7": 3})
    assert [finding.kind for finding in findings] == ["not linearizable", "no agreement", "error"]
