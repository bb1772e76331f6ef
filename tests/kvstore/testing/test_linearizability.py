"""The black-box checker: it accepts what one copy of the data can answer, and nothing else."""

import msgspec
import pytest

from kvstore.testing.linearizability import MalformedHistoryError, Operation, check
from tests.kvstore.testing.histories import cas, delete, get, put, run

GOOD = {
    "nothing happened": [],
    "one after the other": [put(b"1", 0, 1), get(b"1", 2, 3), delete(4, 5), get(None, 6, 7)],
    "reads that overlap a write may find it or not": [
        put(b"1", 0, 10),
        get(None, 1, 2),
        get(b"1", 3, 4),
    ],
    "overlapping writes in either order": [
        put(b"1", 0, 10),
        put(b"2", 0, 10),
        get(b"2", 1, 2),
        get(b"1", 3, 4),
    ],
    "equal times overlap": [put(b"1", 0, 1), get(None, 1, 2)],
    "a write without an answer took effect": [put(b"1", 0, None), get(b"1", 1, 2)],
    "a write without an answer took effect late": [
        put(b"1", 0, None),
        get(None, 1, 2),
        put(b"2", 3, 4),
        get(b"2", 5, 6),
        get(b"1", 7, 8),
    ],
    "a write without an answer never took effect": [put(b"1", 0, None), get(None, 1, 2)],
    "a delete without an answer took effect": [
        put(b"1", 0, 1),
        delete(2, None),
        get(b"1", 3, 4),
        get(None, 5, 6),
    ],
    "a failed cas": [put(b"1", 0, 1), cas(b"2", b"0", 2, 3, succeeded=False), get(b"1", 4, 5)],
    "a cas creates": [cas(b"1", None, 0, 1, succeeded=True), get(b"1", 2, 3)],
    "a cas on revision 0 creates": [cas(b"1", 0, 0, 1, succeeded=True), get(b"1", 2, 3)],
    "a cas on a revision": [
        put(b"1", 0, 1, revision=2),
        cas(b"2", 2, 2, 3, succeeded=True, revision=3),
        cas(b"3", 2, 4, 5, succeeded=False, revision=3),
    ],
    "a cas fails because of a write that nobody read": [
        put(b"1", 0, 1),
        put(b"2", 0, None),
        cas(b"3", b"1", 2, 3, succeeded=False),
    ],
    "a write that took effect only after a later cas had failed": [
        put(b"2", 0, None),
        cas(b"3", b"1", 1, 2, succeeded=False),
        put(b"1", 3, 4),
        cas(b"4", b"1", 5, 6, succeeded=False),
    ],
    "a chain of two without an answer": [
        put(b"1", 0, None),
        cas(b"2", b"1", 0, None),
        get(b"2", 1, 2),
    ],
    "a value that is written twice is read twice": [
        put(b"1", 0, 1),
        put(b"2", 2, 3),
        put(b"1", 4, 5),
        get(b"1", 6, 7),
    ],
    "a write without an answer has the revision that a get found": [
        put(b"1", 0, 1, revision=2),
        put(b"2", 0, None),
        get(b"2", 2, 3, revision=3, mod_revision=3),
        put(b"3", 4, 5, revision=4),
    ],
    "a write without an answer before a read that did not need it": [
        put(b"1", 0, 1, revision=2),
        put(b"2", 0, None),
        cas(b"4", b"7", 2, 3, succeeded=False, revision=5),
        cas(b"5", b"1", 4, 5, succeeded=False, revision=5),
    ],
    "revisions of other keys lie between": [
        put(b"1", 0, 1, revision=2),
        put(b"x", 0, 9, key=b"other", revision=3),
        put(b"2", 2, 3, revision=4),
    ],
}


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD.keys())
def test_a_history_that_one_copy_can_answer_is_accepted(history: list[Operation]) -> None:
    verdict = check(history)
    assert verdict.kind == "ok", verdict


NOISE = [
    get(None, -9, -8),
    cas(b"n", b"m", -7, -6, succeeded=False),
    put(b"n", -5, -4),
    delete(-3, -2, succeeded=True),
]

# Each with the positions of the smallest window.
BAD = {
    "a stale read": ([put(b"1", 0, 1), put(b"2", 2, 3), get(b"1", 4, 5)], [0, 1, 2]),
    "a lost update": (
        [put(b"1", 0, 1), cas(b"2", b"1", 2, 3, succeeded=True), get(b"1", 4, 5)],
        [0, 1, 2],
    ),
    "a lost acknowledged write": ([put(b"1", 0, 1), get(None, 2, 3)], [0, 1]),
    "a lost acknowledged write after others": (
        [put(b"1", 0, 1), delete(2, 3, succeeded=True), put(b"2", 4, 5), get(None, 6, 7)],
        [2, 3],
    ),
    "a value that nobody wrote": ([put(b"1", 0, 1), get(b"9", 2, 3)], [1]),
    "a value read before it was written": ([get(b"1", 0, 1), put(b"1", 2, 3)], [0]),
    "one version compared twice": (
        [
            put(b"1", 0, 1),
            cas(b"2", b"1", 2, 9, succeeded=True),
            cas(b"3", b"1", 2, 9, succeeded=True),
        ],
        [0, 1, 2],
    ),
    "one revision compared twice": (
        [
            put(b"1", 0, 1, revision=12),
            cas(b"2", 12, 2, 9, succeeded=True, revision=13),
            cas(b"3", 12, 2, 9, succeeded=True, revision=14),
        ],
        [0, 1, 2],
    ),
    "a cas that failed without a reason": (
        [put(b"1", 0, 1), cas(b"2", b"1", 2, 3, succeeded=False)],
        [0, 1],
    ),
    "a cas that answered no was applied": (
        [put(b"1", 0, 1), cas(b"2", b"0", 2, 3, succeeded=False), get(b"2", 4, 5)],
        [0, 1, 2],
    ),
    "a write without an answer applied twice": (
        [
            put(b"1", 0, None),
            get(b"1", 1, 2),
            put(b"2", 3, 4),
            get(b"2", 5, 6),
            get(b"1", 7, 8),
        ],
        [0, 1, 2, 4],
    ),
    "two reads that see two writes in two orders": (
        [
            put(b"1", 0, 9),
            put(b"2", 0, 9),
            get(b"1", 1, 2),
            get(b"2", 3, 4),
            get(b"1", 5, 6),
        ],
        [0, 1, 2, 3, 4],
    ),
    "a delete that found nothing to delete": (
        [put(b"1", 0, 1), delete(2, 3, succeeded=False)],
        [0, 1],
    ),
    "a delete that deleted nothing": (
        [put(b"1", 0, 1), delete(2, 3, succeeded=True), delete(4, 5, succeeded=True)],
        [0, 1, 2],
    ),
    "a cas that failed although no other revision was left for what it compared": (
        [put(b"1", 0, 1), cas(b"2", 1, 2, 3, succeeded=False, revision=1)],
        [0, 1],
    ),
    "a value at another's revision": (
        [
            put(b"1", 0, 9, revision=12),
            put(b"2", 0, 9, revision=13),
            get(b"2", 1, 2, mod_revision=12),
        ],
        [0, 1, 2],
    ),
}


@pytest.mark.parametrize(("history", "window"), BAD.values(), ids=BAD.keys())
def test_an_impossible_history_is_shrunk_to_what_is_impossible(
    history: list[Operation], window: list[int]
) -> None:
    verdict = check([*NOISE, *history])
    assert verdict.kind == "violation"
    assert verdict.key == b"k"
    assert list(verdict.window) == [history[position] for position in window]
    assert verdict.explanation


def test_what_comes_later_is_not_in_the_window() -> None:
    history = [put(b"1", 0, 1), get(None, 2, 3), get(b"9", 4, 5)]
    assert check(history).window == tuple(history[:2])


def test_the_window_tells_of_answers_that_came_after_the_violation() -> None:
    history = [put(b"1", 0, 99), get(b"1", 1, 2), get(None, 3, 4), get(b"1", 100, 101)]
    assert check(history).window == tuple(history[:3])


def test_a_violation_names_the_state_and_the_call_that_does_not_fit() -> None:
    explanation = check([put(b"1", 0, 1), put(b"2", 2, 3), get(b"1", 4, 5)]).explanation
    assert "the key holds b'2'" in explanation
    assert "get b'k': found b'1'" in explanation
    assert check([get(b"9", 0, 1)]).explanation == "b'9' was found, and nobody wrote it"


# ---------------------------------------------------------------------- revisions across keys


def test_revisions_across_keys_agree_with_real_time() -> None:
    history = [
        put(b"1", 0, 1, key=b"a", revision=5),
        get(None, 2, 3, key=b"b", revision=4),
        get(None, 2, 3, key=b"b", revision=5),
    ]
    verdict = check(history)
    assert (verdict.kind, verdict.key) == ("violation", None)
    assert verdict.window == tuple(history[:2])
    assert verdict.explanation == "revision 4 although 5 was answered before it began"


def test_a_write_has_a_revision_of_its_own() -> None:
    history = [put(b"1", 0, 9, key=b"a", revision=5), put(b"1", 0, 9, key=b"b", revision=5)]
    assert check(history).explanation == "both wrote revision 5"


def test_a_write_after_a_read_has_a_later_revision() -> None:
    history = [get(None, 0, 1, key=b"a", revision=5), put(b"1", 2, 3, key=b"b", revision=5)]
    assert check(history).explanation == "revision 5 was there before it was written"


def test_a_get_finds_nothing_of_a_later_revision() -> None:
    history = [put(b"1", 0, 9, revision=5), get(b"1", 0, 9, revision=4, mod_revision=5)]
    assert check(history).window == (history[1],)


def test_one_revision_is_not_found_in_two_keys() -> None:
    history = [
        put(b"1", 0, None, key=b"a"),
        put(b"1", 0, None, key=b"b"),
        get(b"1", 1, 2, key=b"a", mod_revision=5),
        get(b"1", 1, 2, key=b"b", mod_revision=5),
    ]
    assert check(history).window == tuple(history[2:])


def test_a_revision_that_one_key_was_acknowledged_is_not_found_in_another() -> None:
    history = [
        put(b"1", 0, 1, key=b"a", revision=5),
        put(b"1", 0, None, key=b"b"),
        get(b"1", 1, 2, key=b"b", mod_revision=5),
    ]
    assert check(history).window == (history[0], history[2])


def test_a_write_without_an_answer_is_not_found_before_it_began() -> None:
    history = [
        put(b"1", 0, 1, key=b"a", revision=5),
        put(b"1", 2, None, key=b"b"),
        get(b"1", 3, 4, key=b"b", revision=5, mod_revision=4),
    ]
    assert check(history).window == tuple(history)


# ---------------------------------------------------------------------- budget and speed


def test_a_budget_that_runs_out_is_told() -> None:
    history = [put(b"1", 0, 1), put(b"2", 2, 3), get(b"2", 4, 5)]
    verdict = check(history, states_max=2)
    assert (verdict.kind, verdict.key, verdict.states_visited) == ("unknown", b"k", 2)
    assert check(history, states_max=4).kind == "ok"


def test_a_violation_is_worth_more_than_what_stays_unknown() -> None:
    history = [put(b"1", 0, 1), put(b"2", 2, 3), get(b"9", 0, 1, key=b"b")]
    assert check(history, states_max=2).key == b"b"


@pytest.mark.parametrize("has_revisions", [True, False], ids=["revisions", "no revisions"])
@pytest.mark.parametrize("unknown", [0.0, 0.03], ids=["answered", "some unknown"])
def test_the_search_of_a_long_history_goes_straight(has_revisions: bool, unknown: float) -> None:
    """States, not seconds: about one for each call means that hardly anything was tried twice."""
    history = run(
        operations=10_000, keys=10, processes=8, has_revisions=has_revisions, unknown=unknown
    )
    verdict = check(history)
    assert verdict.kind == "ok", verdict
    assert verdict.states_visited < 2 * len(history)


@pytest.mark.parametrize("has_revisions", [True, False], ids=["revisions", "no revisions"])
def test_one_stale_read_in_a_long_history_is_found(has_revisions: bool) -> None:
    history = run(operations=10_000, keys=10, processes=8, has_revisions=has_revisions)
    puts = [o for o in history if o.kind == "put" and o.key == b"k3"]
    victim = next(o for o in history if o.kind == "get" and o.key == b"k3" and o.invoked > 1000)
    stale = msgspec.structs.replace(victim, value=puts[20].value, revision=0, mod_revision=0)
    verdict = check([stale if operation is victim else operation for operation in history])
    assert verdict.kind == "violation"
    assert stale in verdict.window
    assert puts[20] in verdict.window
    assert len(verdict.window) <= 4
    assert check(verdict.window).kind == "violation"


@pytest.mark.parametrize("has_revisions", [True, False], ids=["revisions", "no revisions"])
@pytest.mark.parametrize("unknown", [0.1, 0.3])
def test_what_a_true_store_of_several_keys_answers_is_accepted(
    has_revisions: bool, unknown: float
) -> None:
    for seed in range(20):
        history = run(
            operations=200,
            keys=3,
            processes=8,
            has_revisions=has_revisions,
            unknown=unknown,
            seed=seed,
        )
        verdict = check(history)
        assert verdict.kind == "ok", (seed, verdict)


# ---------------------------------------------------------------------- operations


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"kind": "put"}, "a put needs a `value`"),
        ({"kind": "delete", "value": b"1"}, "a delete has no `value`"),
        ({"kind": "get", "invoked": 2.0, "completed": 1.0}, "completed before it was invoked"),
        ({"kind": "get", "invoked": float("nan")}, "finite"),
        ({"kind": "get", "completed": float("inf")}, "finite"),
        ({"kind": "get", "completed": 1.0, "revision": -1}, "never negative"),
        ({"kind": "cas", "value": b"1", "expected_revision": -1}, "never negative"),
        ({"kind": "get", "expected_value": b"1"}, "a get compares nothing"),
        (
            {"kind": "cas", "value": b"1", "expected_value": b"1", "expected_revision": 1},
            "not both",
        ),
        ({"kind": "put", "value": b"1", "completed": 1.0, "succeeded": False}, "always succeeds"),
        ({"kind": "cas", "value": b"1", "completed": 1.0}, "did the cas succeed"),
        ({"kind": "delete", "completed": 1.0, "mod_revision": 1}, "only a get"),
        ({"kind": "get", "completed": 1.0, "mod_revision": 1}, "nothing has no `mod_revision`"),
        ({"kind": "put", "value": b"1", "revision": 1}, "nothing is known"),
        ({"kind": "get", "value": b"1"}, "nothing is known"),
    ],
)
def test_an_operation_that_no_client_can_see_is_refused(
    fields: dict[str, object], what: str
) -> None:
    with pytest.raises(MalformedHistoryError, match=what):
        Operation(**{"process": 0, "key": b"k", "invoked": 0.0, **fields})  # type: ignore[arg-type]
