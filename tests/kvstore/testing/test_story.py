"""A story is a page that a parser and a person can read, and its telling changes nothing."""

from xml.etree import ElementTree

import pytest

from kvstore.testing.history import LostWriteError, Operation
from kvstore.testing.simulation import scenario
from kvstore.testing.simulation.recorder import StoryRecorder
from kvstore.testing.simulation.story import (
    DOWN,
    Band,
    FaultSpan,
    MessageLine,
    Story,
    Violation,
    render,
)

READ = Operation(kind="get", key=b"<k>", value=b"1", invoked=1.0, completed=1.5, revision=7)
LOST = Operation(kind="put", key=b"k", value=b"2", invoked=2.0)
STORY = Story(
    title="Seed <1>",
    seconds=10.0,
    members=["m1", "m2"],
    bands=[
        Band(0, "follower", 1, 0.0, 2.0),
        Band(0, "leader", 2, 2.0, 10.0),
        Band(1, "follower", 1, 0.0, 3.0),
        Band(1, DOWN, 0, 3.0, 5.0, "wal sync"),
    ],
    faults=[FaultSpan("crash at a point", [1], 2.5, 5.0), FaultSpan("loss", [], 1.0, 2.0)],
    messages=[MessageLine(0, 1, 1.9, 1.91, "vote request, term 2", False)],
    by_client=[[READ], [LOST]],
)


def parsed(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(page)


def texts_of(page: ElementTree.Element, css: str) -> list[str]:
    """What is read when one points at things of a class."""
    return [
        "".join(element.itertext()) for element in page.iter() if element.get("class", "") == css
    ]


def test_every_lane_has_its_name() -> None:
    page = parsed(render(STORY))
    assert texts_of(page, "name") == ["all members", "m1", "m2", "client 1", "client 2"]


def test_bands_say_role_and_term_or_why_a_member_is_down() -> None:
    page = parsed(render(STORY))
    assert texts_of(page, "leader") == ["", "leader in term 2, 2.000 to 10.000 s"]
    assert texts_of(page, DOWN) == ["", "down (wal sync), 3.000 to 5.000 s"]
    assert "2" in texts_of(page, "term")


def test_calls_say_what_was_asked_and_answered() -> None:
    page = parsed(render(STORY))
    assert texts_of(page, "call read") == [
        "get b'<k>' b'1', from 1.000 s to 1.500 s, revision 7",
    ]
    assert texts_of(page, "call unknown") == ["put b'k' b'2', from 2.000 s, no outcome"]


def test_faults_and_messages_are_drawn() -> None:
    page = parsed(render(STORY))
    assert texts_of(page, "fault") == [
        "loss, 1.000 to 2.000 s",
        "crash at a point, 2.500 to 5.000 s",
    ]
    assert texts_of(page, "message") == ["vote request, term 2, 1.9000 to 1.9100 s"]


def test_messages_that_are_left_out_are_counted() -> None:
    STORY.messages_left_out = 17
    try:
        assert "17 later ones left out" in render(STORY)
    finally:
        STORY.messages_left_out = 0


def test_without_a_violation_nothing_is_marked() -> None:
    page = parsed(render(STORY))
    assert not texts_of(page, "mark")
    assert not texts_of(page, "violation")


def test_the_telling_does_not_change_the_run() -> None:
    recorder = StoryRecorder()
    told = scenario.run(3, recorder=recorder)
    assert told.trace_hash == scenario.run(3).trace_hash
    story = recorder.story("seed 3")
    page = parsed(render(story))
    assert len(texts_of(page, "name")) == 1 + len(story.members) + 6
    assert len(story.faults) == told.fault_count
    assert len(texts_of(page, "leader")) > told.elections
    assert sum(band.role == DOWN for band in story.bands) == sum(told.crashes.values())
    assert sum(map(len, story.by_client)) == told.operations
    for before, band in zip(story.bands, story.bands[1:], strict=False):
        assert band.start >= before.start


@pytest.mark.timeout(300)
def test_the_story_of_a_planted_violation_marks_it() -> None:
    recorder = StoryRecorder()
    with pytest.raises(LostWriteError) as lost:
        scenario.run(1, scenario.Plan(is_sync_removed=True), recorder)
    story = recorder.story("seed 1")
    assert isinstance(story.violation, Violation)
    assert story.violation.text == str(lost.value)
    page = parsed(render(story))
    (mark,) = texts_of(page, "mark")
    assert "an acknowledged write is lost" in mark
    assert len(texts_of(page, "call guilty")) == 1
    names = texts_of(page, "name")
    assert names[: len(story.members) + 1] == ["all members", *story.members]
