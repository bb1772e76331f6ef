"""A simulated run as a page to read: what happened comes in, HTML goes out. Pure.

One lane per member (role, term, deaths, faults), one per client (its calls), the messages of
elections between them, the violation in red. One file, SVG and CSS inline, no script.
"""

from collections.abc import Iterable, Iterator
from html import escape

import msgspec

from kvstore.testing.history import Operation

_SECOND = 40.0  # pixels
_LEFT = 12.0
_AXIS = 26
_MEMBER_HEIGHT = 78
_BAND_TOP, _BAND_HEIGHT = 44, 24
_FAULT_SLOTS, _FAULT_HEIGHT = 3, 13
_CLIENT_HEIGHT = 20
_NARROWEST = 2.0  # or a short call could not be seen
_UNKNOWN_SECONDS = 3.0  # drawn of a call that nobody knows the end of

DOWN = "down"

_STYLE = """
body { font: 13px system-ui, sans-serif; margin: 1.5em; color: #1c2733; background: #fff }
h1 { font-size: 1.3em } h2 { font-size: 1.1em; margin-top: 1.6em }
.violation { color: #c00018; font-weight: 600 }
.board { display: flex; border: 1px solid #d5dbe1 }
.names { flex: none; background: #f4f6f8; border-right: 1px solid #d5dbe1 }
.time { overflow-x: auto }
svg { display: block } text { font: 11px system-ui, sans-serif; fill: #1c2733 }
text.name { font-size: 12px; font-weight: 600 } text.term { fill: #fff }
.grid { stroke: #e8ecef } .lane { stroke: #d5dbe1 }
.follower { fill: #8da2b5 } .pre_candidate { fill: #d8b24a } .candidate { fill: #e08a2c }
.leader { fill: #2f8f5b } .down { fill: #2b2f36 }
.fault { fill: #d9c7ee; stroke: #9a78c8 }
.message { stroke: #3b6fb6; opacity: .55 } .message.lost { stroke: #c00018; stroke-dasharray: 3 2 }
.call { fill: #7fb2e5 } .call.read { fill: #b9d6a3 } .call.unknown { fill: #ddd; stroke: #999 }
.call.guilty { fill: #c00018 } .mark { stroke: #c00018; stroke-width: 2 }
.legend span { margin-right: 1.2em; white-space: nowrap }
.legend i { display: inline-block; width: 1.1em; height: .8em; margin-right: .35em }
table { border-collapse: collapse } td { padding: .1em 1em .1em 0; vertical-align: top }
td:first-child { text-align: right; font-variant-numeric: tabular-nums }
"""


class Band(msgspec.Struct):
    """A member in one role and term; or down, and why. Times in simulated seconds."""

    member: int
    role: str
    term: int
    start: float
    end: float
    why: str = ""


class FaultSpan(msgspec.Struct):
    """A fault; about no member: about all."""

    kind: str
    members: list[int]
    start: float
    end: float


class MessageLine(msgspec.Struct, frozen=True):
    """A message between two members."""

    source: int
    target: int
    sent_at: float
    at: float
    text: str
    is_lost: bool


class Violation(msgspec.Struct, frozen=True):
    """The promise that was broken, and when that was seen."""

    at: float
    text: str


class Story(msgspec.Struct, kw_only=True):
    """All that is shown. Members and clients are numbered from 0, as they are in the lists."""

    title: str
    seconds: float
    members: list[str]
    bands: list[Band] = []
    faults: list[FaultSpan] = []
    messages: list[MessageLine] = []
    messages_left_out: int = 0
    by_client: list[list[Operation]] = []
    violation: Violation | None = None


def render(story: Story) -> str:
    """The page, as HTML that is well-formed XML, too."""
    violation = story.violation
    verdict = (
        f'<p class="violation">Violation at {violation.at:.3f} s: {escape(violation.text)}</p>'
        if violation is not None
        else "<p>Every promise was held.</p>"
    )
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8"/>',
            f"<title>{escape(story.title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(story.title)}</h1>",
            verdict,
            _legend(story),
            '<div class="board"><div class="names">',
            _names(story),
            '</div><div class="time">',
            *_board(story),
            "</div></div>",
            "<h2>What happened</h2>",
            *_table(story),
            "</body></html>\n",
        ]
    )


# ---------------------------------------------------------------------- geometry


def _x(seconds: float) -> float:
    return round(_LEFT + seconds * _SECOND, 1)


def _member_top(member: int) -> int:
    """The lane of all is the first; -1 is its number."""
    return _AXIS + (member + 1) * _MEMBER_HEIGHT


def _client_top(story: Story, client: int) -> int:
    return _member_top(len(story.members)) + client * _CLIENT_HEIGHT


def _height(story: Story) -> int:
    return _client_top(story, len(story.by_client)) + 6


def _lanes(story: Story) -> Iterator[tuple[str, int]]:
    """Names and tops, from top to bottom."""
    for number, name in enumerate(["all members", *story.members], start=-1):
        yield name, _member_top(number)
    for number in range(len(story.by_client)):
        yield f"client {number + 1}", _client_top(story, number)


# ---------------------------------------------------------------------- the parts


def _legend(story: Story) -> str:
    roles = ("follower", "pre_candidate", "candidate", "leader", DOWN)
    swatches = "".join(
        f'<span><svg width="14" height="10" style="display:inline"><rect class="{role}" width="14"'
        f' height="10"/></svg> {role.replace("_", "-")}</span>'
        for role in roles
    )
    shown = f"{len(story.messages)} messages of elections are drawn (lost ones dashed)"
    if story.messages_left_out:
        shown += f", {story.messages_left_out} later ones left out"
    return (
        f'<p class="legend">{swatches}<span>number = term</span></p><p>{shown}; appends and'
        " heartbeats never are. Point at anything to read what it is.</p>"
    )


def _names(story: Story) -> str:
    texts = "".join(
        f'<text class="name" x="8" y="{top + 15}">{escape(name)}</text>'
        for name, top in _lanes(story)
    )
    return f'<svg width="100" height="{_height(story)}">{texts}</svg>'


def _board(story: Story) -> Iterator[str]:
    width, height = _x(story.seconds) + 60, _height(story)
    yield f'<svg width="{width}" height="{height}">'
    for second in range(int(story.seconds) + 1):
        x = _x(second)
        yield f'<line class="grid" x1="{x}" y1="18" x2="{x}" y2="{height}"/>'
        if second % 2 == 0:
            yield f'<text x="{x - 4}" y="13">{second} s</text>'
    for _, top in _lanes(story):
        yield f'<line class="lane" x1="0" y1="{top}" x2="{width}" y2="{top}"/>'
    yield from map(_band, story.bands)
    yield from _faults(story)
    yield from map(_message, story.messages)
    for client, operations in enumerate(story.by_client):
        for operation in operations:
            yield _call(story, client, operation)
    if story.violation is not None:
        yield _mark(story.violation, height)
    yield "</svg>"


def _rect(css: str, start: float, end: float, top: float, height: float, text: str) -> str:
    """A span of time with a text to point at."""
    width = max(round((end - start) * _SECOND, 1), _NARROWEST)
    return (
        f'<rect class="{css}" x="{_x(start)}" y="{top}" width="{width}" height="{height}">'
        f"<title>{escape(text)}</title></rect>"
    )


def _band(band: Band) -> str:
    top = _member_top(band.member) + _BAND_TOP
    times = f"{band.start:.3f} to {band.end:.3f} s"
    if band.role == DOWN:
        return _rect(DOWN, band.start, band.end, top, _BAND_HEIGHT, f"down ({band.why}), {times}")
    text = f"{band.role.replace('_', '-')} in term {band.term}, {times}"
    rect = _rect(band.role, band.start, band.end, top, _BAND_HEIGHT, text)
    if (band.end - band.start) * _SECOND < 6 + 7 * len(str(band.term)):
        return rect
    return f'{rect}<text class="term" x="{_x(band.start) + 3}" y="{top + 16}">{band.term}</text>'


def _faults(story: Story) -> Iterator[str]:
    """Those of one lane that overlap are put below one another."""
    free_at = {member: [0.0] * _FAULT_SLOTS for member in range(-1, len(story.members))}
    for fault in sorted(story.faults, key=lambda fault: fault.start):
        for member in fault.members or [-1]:
            slots = free_at[member]
            slot = min(range(_FAULT_SLOTS), key=lambda n: (slots[n] > fault.start, n))
            slots[slot] = fault.end
            top = _member_top(member) + 2 + slot * (_FAULT_HEIGHT + 1)
            text = f"{fault.kind}, {fault.start:.3f} to {fault.end:.3f} s"
            yield _rect("fault", fault.start, fault.end, top, _FAULT_HEIGHT, text)
            yield f'<text x="{_x(fault.start) + 2}" y="{top + 10}">{escape(fault.kind)}</text>'


def _message(line: MessageLine) -> str:
    source, target = (
        _member_top(member) + _BAND_TOP + _BAND_HEIGHT // 2 for member in (line.source, line.target)
    )
    css = "message lost" if line.is_lost else "message"
    return (
        f'<line class="{css}" x1="{_x(line.sent_at)}" y1="{source}" x2="{_x(line.at)}"'
        f' y2="{target}"><title>{escape(line.text)}, {line.sent_at:.4f} to {line.at:.4f} s'
        f"{', lost' if line.is_lost else ''}</title></line>"
    )


def _call(story: Story, client: int, operation: Operation) -> str:
    css = "call read" if operation.kind == "get" else "call"
    end = operation.completed
    if end is None:
        css, end = "call unknown", min(operation.invoked + _UNKNOWN_SECONDS, story.seconds)
    if story.violation is not None and str(operation) in story.violation.text:
        css = "call guilty"
    top = _client_top(story, client) + 4
    text = _words(operation)
    return _rect(css, operation.invoked, end, top, _CLIENT_HEIGHT - 8, text)


def _words(operation: Operation) -> str:
    """Kind, key, value, revision and outcome of a call."""
    words = (
        f"{operation.kind} {operation.key!r} {operation.value!r}, from {operation.invoked:.3f} s"
    )
    if operation.completed is None:
        return f"{words}, no outcome"
    words += f" to {operation.completed:.3f} s, revision {operation.revision}"
    return words if operation.is_effective else f"{words}, changed nothing"


def _mark(violation: Violation, height: int) -> str:
    x = _x(violation.at)
    return (
        f'<line class="mark" x1="{x}" y1="16" x2="{x}" y2="{height}">'
        f"<title>{escape(violation.text)}</title></line>"
        f'<text class="violation" x="{x + 4}" y="{_AXIS + 12}">violation</text>'
    )


def _table(story: Story) -> Iterator[str]:
    rows = sorted(_rows(story), key=lambda row: row[0])
    yield "<table>"
    for at, text in rows:
        yield f"<tr><td>{at:.3f} s</td><td>{escape(text)}</td></tr>"
    if story.violation is not None:
        yield (
            f'<tr class="violation"><td>{story.violation.at:.3f} s</td>'
            f"<td>{escape(story.violation.text)}</td></tr>"
        )
    yield "</table>"


def _rows(story: Story) -> Iterable[tuple[float, str]]:
    for band in story.bands:
        name = story.members[band.member]
        if band.role == DOWN:
            yield band.start, f"{name} is down ({band.why}) until {band.end:.3f} s"
        elif band.role == "leader":
            yield band.start, f"{name} leads in term {band.term} until {band.end:.3f} s"
    for fault in story.faults:
        about = ", ".join(story.members[member] for member in fault.members) or "all members"
        yield fault.start, f"{fault.kind}: {about}, until {fault.end:.3f} s"
