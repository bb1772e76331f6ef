"""What one client saw of one call: the only input of the checker.

Data and what it says about itself. How histories are judged may not enter.
"""

import math
from collections.abc import Iterator
from typing import Literal

import msgspec

from kvstore.errors import RequestError


class MalformedHistoryError(RequestError, ValueError):
    """A recorder's mistake: an operation that no client can have seen, or a line that is none.

    It is a ValueError as well, because that is what msgspec turns into an error with a path.
    """


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One call on one key, from one client. The keys do not exist when a history begins.

    kind              what was called. A `cas` is a txn that compares this key and then puts it
                      (or does nothing); a txn that touches more keys cannot be told here
    process           number of the client that called; for telling only
    invoked           seconds, any clock that all processes share
    completed         seconds; None: no answer, so the call may take effect at any time after
                      `invoked`, or never. A call that surely failed must be left out
    value             put, cas: what was to be written. get: what was read; None: no such key
    expected_value    cas: the value compared with; None: the key must not exist
    expected_revision cas: the `mod_revision` compared with instead, 0: the key must not exist;
                      None: the cas compares `expected_value`
    succeeded         cas: did the comparison hold? delete: was there something to delete (None:
                      the answer did not tell)?
    revision          of the answer's header; 0: the store or the recorder has none
    mod_revision      of what a get found; 0: nothing, or not recorded

    Raises MalformedHistoryError when the fields contradict one another.
    """

    process: int
    kind: Literal["put", "get", "delete", "cas"]
    key: bytes
    invoked: float
    completed: float | None = None
    value: bytes | None = None
    expected_value: bytes | None = None
    expected_revision: int | None = None
    succeeded: bool | None = None
    revision: int = 0
    mod_revision: int = 0

    def __post_init__(self) -> None:
        for is_broken, what in _contradictions(self):
            if is_broken:
                raise MalformedHistoryError(what)

    @property
    def is_effective(self) -> bool:
        """Tell whether it surely wrote (or deleted) something."""
        return self.completed is not None and (self.kind == "put" or self.succeeded is True)

    @property
    def is_observation(self) -> bool:
        """Tell whether it surely changed nothing: a read, or an answer that says so."""
        return self.completed is not None and (self.kind == "get" or self.succeeded is False)

    def without_answer(self) -> "Operation":
        """Give what is known of it before its answer came: nothing of the outcome."""
        return msgspec.structs.replace(
            self,
            completed=None,
            value=None if self.kind == "get" else self.value,
            succeeded=None,
            revision=0,
            mod_revision=0,
        )

    def told(self) -> str:
        """Give one line for a reader: when, who, what, and what came of it."""
        end = "…" if self.completed is None else f"{self.completed:.6f}"
        return (
            f"{self.invoked:.6f} to {end}  process {self.process}  {self._call()}{self._answer()}"
        )

    def _call(self) -> str:
        match self.kind:
            case "get" | "delete":
                return f"{self.kind} {self.key!r}"
            case "put":
                return f"put {self.key!r} = {self.value!r}"
            case "cas":
                if self.expected_revision is None:
                    expected = f"value is {self.expected_value!r}"
                else:
                    expected = f"mod_revision is {self.expected_revision}"
                return f"cas {self.key!r} = {self.value!r} if its {expected}"

    def _answer(self) -> str:
        if self.completed is None:
            return ": no answer"
        facts = []
        if self.kind == "get":
            facts.append(f"found {self.value!r}" if self.value is not None else "found nothing")
        elif self.succeeded is not None:
            facts.append("succeeded" if self.succeeded else "changed nothing")
        else:
            facts.append("done")
        if self.mod_revision:
            facts.append(f"mod_revision {self.mod_revision}")
        if self.revision:
            facts.append(f"revision {self.revision}")
        return ": " + ", ".join(facts)


def _contradictions(operation: Operation) -> Iterator[tuple[bool, str]]:
    kind, completed, value = operation.kind, operation.completed, operation.value
    is_answered = completed is not None
    yield not math.isfinite(operation.invoked), "`invoked` must be a finite number"
    if completed is not None:
        yield not math.isfinite(completed), "`completed` must be a finite number"
        yield completed < operation.invoked, "it was completed before it was invoked"
    yield operation.revision < 0 or operation.mod_revision < 0, "a revision is never negative"
    yield (operation.expected_revision or 0) < 0, "a revision is never negative"
    yield kind in ("put", "cas") and value is None, f"a {kind} needs a `value`"
    yield kind == "delete" and value is not None, "a delete has no `value`"
    is_compared = operation.expected_value is not None or operation.expected_revision is not None
    yield kind != "cas" and is_compared, f"a {kind} compares nothing"
    yield (
        operation.expected_value is not None and operation.expected_revision is not None,
        "a cas compares a value or a revision, not both",
    )
    yield kind in ("put", "get") and operation.succeeded is not None, f"a {kind} always succeeds"
    yield kind == "cas" and is_answered and operation.succeeded is None, "did the cas succeed?"
    yield operation.mod_revision > 0 and kind != "get", "only a get has a `mod_revision`"
    yield operation.mod_revision > 0 and value is None, "nothing has no `mod_revision`"
    has_outcome = operation.succeeded is not None or operation.revision > 0
    has_outcome = has_outcome or (kind == "get" and value is not None)
    yield not is_answered and has_outcome, "without an answer nothing is known of the outcome"
