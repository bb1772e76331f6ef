"""`python -m kvstore.testing check`: what the checkers say of a recorded history, in words.

No I/O: the command reads the file (`history_file`) and prints.
"""

from kvstore.testing import linearizability, watch_checker
from kvstore.testing.history import ViolationError
from kvstore.testing.history_file import Recording


def judge(recording: Recording, *, states_max: int) -> tuple[bool, str]:
    """Tell whether everything is proven right ("unknown" is not), and give the text to print.

    states_max: how many states the search of one key may visit.
    """
    verdict = linearizability.check(recording.operations, states_max=states_max)
    lines = [_told(recording, verdict)]
    is_passed = verdict.kind == "ok"
    if recording.watches:
        are_watches_right, text = _judge_watches(recording)
        is_passed = is_passed and are_watches_right
        lines.append(text)
    return is_passed, "\n".join(lines)


def _told(recording: Recording, verdict: linearizability.Verdict) -> str:
    if verdict.kind == "ok":
        key_count = len({operation.key for operation in recording.operations})
        return (
            f"ok: {len(recording.operations)} operations on {key_count} keys are linearizable "
            f"({verdict.states_visited} states visited)"
        )
    key = "across keys" if verdict.key is None else f"key {verdict.key!r}"
    title = f"{verdict.kind}: {key}: {verdict.explanation}"
    return "\n".join([title, *(f"  {operation.told()}" for operation in verdict.window)])


def _judge_watches(recording: Recording) -> tuple[bool, str]:
    if not recording.writes:
        return False, "unknown: watches cannot be checked without the order of writes"
    count = 0
    order = watch_checker.Order(recording.writes)
    for number, watch in enumerate(recording.watches):
        try:
            count += watch_checker.check(watch, order.part_for(watch))
        except ViolationError as violation:
            return False, f"violation: watch {number}: {violation}"
    return True, f"ok: {len(recording.watches)} watches got {count} events as promised"
