"""The words that scripts are written in; the package's docstring tells how."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.e2e.kubectl.programs import OLDEST_MINOR

Expected = str | tuple[str, ...] | None
"""An expression for the whole output, some that are found in it, or None: anything."""

Need = Literal["controllers", "events in both groups"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One command and what it is to do.

    is_awaited  the output of the background command `job` is awaited; there is no command
    """

    command: str
    status: int = 0
    out: Expected = None
    err: Expected = ""
    stdin: str = ""
    saves: str = ""
    user: str = ""
    edit: tuple[str, str] | None = None
    since: int = 0
    before: int = 99
    job: str = ""
    is_awaited: bool = False

    @property
    def is_error(self) -> bool:
        """An error is what this line is about."""
        return self.status != 0

    def is_for(self, minor: int) -> bool:
        """Whether kubectl 1.`minor` is asked."""
        return self.since <= minor < self.before


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Lines that belong together; kubectl 1.`since` and newer know all that they say."""

    name: str
    rows: str
    lines: tuple[Line, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    needs: Need | None = None
    since: int = OLDEST_MINOR


def scenario(
    name: str,
    rows: str,
    *lines: Line,
    files: Mapping[str, str] | None = None,
    needs: Need | None = None,
    since: int = OLDEST_MINOR,
) -> Scenario:
    """`rows`: numbers of kube-behaviour, separated by blanks."""
    return Scenario(name=name, rows=rows, lines=lines, files=files or {}, needs=needs, since=since)


def ok(
    command: str,
    out: Expected = None,
    *,
    err: Expected = "",
    stdin: str = "",
    saves: str = "",
    user: str = "",
    edit: tuple[str, str] | None = None,
    since: int = 0,
    before: int = 99,
) -> Line:
    """A command that succeeds."""
    return Line(
        command=command,
        out=out,
        err=err,
        stdin=stdin,
        saves=saves,
        user=user,
        edit=edit,
        since=since,
        before=before,
    )


def fails(
    command: str,
    err: Expected,
    *,
    status: int = 1,
    out: Expected = "",
    stdin: str = "",
    user: str = "",
    edit: tuple[str, str] | None = None,
    since: int = 0,
    before: int = 99,
) -> Line:
    """A command that fails."""
    return Line(
        command=command,
        status=status,
        out=out,
        err=err,
        stdin=stdin,
        user=user,
        edit=edit,
        since=since,
        before=before,
    )


def background(job: str, command: str, until: str = "") -> Line:
    """A command that goes on while others run, once its output has `until`."""
    return Line(command=command, job=job, out=(until,))


def ends(job: str, out: tuple[str, ...]) -> Line:
    """Waits until the output of a command in the background has all these, and ends it."""
    return Line(command="", out=out, job=job, is_awaited=True)


def table(*lines: str) -> str:
    """An expression of lines; each blank in one stands for one or more."""
    return "\n".join(line.replace(" ", " +") + " *" for line in lines)


def fault(expected: Expected, text: str) -> str:
    """What is wrong with an output; empty: nothing."""
    match expected:
        case None:
            return ""
        case str():
            if re.fullmatch(expected, text.strip("\n")):
                return ""
            return f"expected {expected!r}"
        case _:
            missing = [one for one in expected if not re.search(one, text, re.MULTILINE)]
            return f"lacks {missing}" if missing else ""
