"""What is wrong with a run of PySyncObj: the history of its clients, and what its members hold.

PURE: no clock, no dice, no files, nothing of PySyncObj.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from kvstore.testing.history import Write
from kvstore.testing.linearizability import Operation, check

SAFETY = ("lost write", "states differ", "not linearizable")

Kind = Literal[
    "lost write", "states differ", "not linearizable", "no agreement", "error", "not judged"
]


class Finding(msgspec.Struct, frozen=True):
    """What is wrong, in a word and in words."""

    kind: Kind
    text: str

    @property
    def is_safety(self) -> bool:
        """Tell whether a promise about what is stored is broken; else it only did not serve."""
        return self.kind in SAFETY


def judge(
    operations: Sequence[Operation],
    histories: Sequence[Sequence[Write]] | None,
    errors: Mapping[str, int],
) -> list[Finding]:
    """Give all findings, those of safety first.

    histories   of each member all writes, in order, once all agree on what is committed; None:
                they did not in time
    errors      what PySyncObj has raised, and how often
    """
    findings = []
    if histories is not None:
        findings += _lost(operations, histories) + _different(histories)
    verdict = check(operations)
    if verdict.kind == "violation":
        window = "; ".join(operation.told() for operation in verdict.window)
        findings.append(Finding("not linearizable", f"{verdict.explanation} ({window})"))
    elif verdict.kind == "unknown":
        findings.append(Finding("not judged", verdict.explanation))
    if histories is None:
        text = "the members do not agree a minute after the last fault"
        findings.append(Finding("no agreement", text))
    findings += [Finding("error", f"{text} ({count} times)") for text, count in errors.items()]
    return findings


def _lost(operations: Sequence[Operation], histories: Sequence[Sequence[Write]]) -> list[Finding]:
    """Each write that was acknowledged is in somebody's history, where the answer said."""
    kept = {write for history in histories for write in history}
    lost = [
        operation
        for operation in operations
        if operation.is_effective
        and Write(operation.revision, operation.key, operation.value) not in kept
    ]
    if not lost:
        return []
    count = sum(operation.is_effective for operation in operations)
    text = f"{len(lost)} of {count} acknowledged writes are nowhere, the first: {lost[0].told()}"
    return [Finding("lost write", text)]


def _different(histories: Sequence[Sequence[Write]]) -> list[Finding]:
    """All members hold the same writes."""
    first = list(histories[0])
    for number, history in enumerate(histories[1:], start=2):
        if list(history) != first:
            text = f"member 1 has applied {_summary(first)}, member {number} {_summary(history)}"
            return [Finding("states differ", text)]
    return []


def _summary(history: Sequence[Write]) -> str:
    last = history[-1] if history else None
    return f"{len(history)} writes up to {last}"
