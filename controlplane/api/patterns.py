"""Whether a text has a match of a regular expression, in time linear in the text. PURE.

Kubernetes' patterns are RE2's, which users write without fear: `^([a-z]+)*$` costs nothing there,
and would stop a backtracking matcher, such as Python's `re`, with a text of 40 characters. So this
is Thompson's construction: all ways through the pattern at once, what is found out being kept as
the states of an automaton.
Source: R. Cox, "Regular Expression Matching Can Be Simple And Fast" (2007).
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar

from controlplane.api.regex_syntax import (
    Alternatives,
    Assertion,
    Chars,
    CharSet,
    Concat,
    Node,
    Repeat,
    is_word,
    parse,
)

_T = TypeVar("_T")

STEPS_MAX = 10_000
"""Of one pattern, its repetitions written out: what a character may cost."""

CHARACTERS_MAX = 10_000
"""Of a pattern, for a thousand are remembered: `[aaa…]` is one step, however long it is."""

MOVES_MAX = 10_000
"""So many are kept of one pattern; then it starts to learn anew."""

WORK_MAX = 2_000_000
"""Steps that are looked at to find something out, in all that is done at once: half a second."""

_WORK_OF_A_MOVE = 8
"""What a character costs that leads to another state, be it by one step only: in steps."""


class TooMuchWorkError(Exception):
    """Nobody knows whether the text has a match: to find it out would hold up all others."""


class _Work:
    """What may still be found out by whom is at it now."""

    def __init__(self) -> None:
        self.left = WORK_MAX
        self.is_shared = False

    def charge(self, steps: int) -> None:
        self.left -= steps + _WORK_OF_A_MOVE
        if self.left < 0:
            raise TooMuchWorkError


_WORK = _Work()
"""One for the process, which searches in one thread."""


def together(searches: Callable[[], _T]) -> _T:
    """What `searches` gives, all its searches together doing no more work than one may.

    A value can have thousands of texts, each of which takes its time.
    """
    if _WORK.is_shared:
        return searches()
    _WORK.left, _WORK.is_shared = WORK_MAX, True
    try:
        return searches()
    finally:
        _WORK.is_shared = False


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> "Pattern":
    """A pattern to `search` with.

    ValueError: it is none in RE2, or too large.
    """
    if len(pattern) > CHARACTERS_MAX:
        raise ValueError("expression too large")
    program = _Program()
    start = program.emit(parse(pattern), program.matched)
    return Pattern(program, start)


class _Program:
    """Steps of a pattern; each is named by its position.

    chars       step -> (what it takes, the step after that)
    assertions  step -> (where it holds, the step after that)
    splits      step -> steps that it goes on with, all of them
    matched     the step that is the end
    """

    def __init__(self) -> None:
        self.chars: dict[int, tuple[CharSet, int]] = {}
        self.assertions: dict[int, tuple[str, int]] = {}
        self.splits: dict[int, tuple[int, ...]] = {}
        self.matched = 0
        self._count = 1

    def emit(self, node: Node, after: int) -> int:
        """The step that a part begins with, where `after` is what comes next."""
        match node:
            case Chars():
                step = self._new()
                self.chars[step] = (node.has, after)
                return step
            case Assertion():
                step = self._new()
                self.assertions[step] = (node.place, after)
                return step
            case Concat():
                for part in reversed(node.parts):
                    after = self.emit(part, after)
                return after
            case Alternatives():
                return self._split(*[self.emit(part, after) for part in node.parts])
            case Repeat():
                return self._emit_repeat(node, after)

    def _emit_repeat(self, node: Repeat, after: int) -> int:
        start = after
        if node.most is None:
            start = self._new()
            self.splits[start] = (self.emit(node.part, start), after)
        else:
            for _ in range(node.most - node.least):
                start = self._split(self.emit(node.part, start), after)
        for _ in range(node.least):
            earlier = self.emit(node.part, start)
            if earlier == start:
                break  # The part is empty: a thousand of them are as well.
            start = earlier
        return start

    def _split(self, *steps: int) -> int:
        step = self._new()
        self.splits[step] = steps
        return step

    def _new(self) -> int:
        if self._count >= STEPS_MAX:
            raise ValueError("expression too large")
        self._count += 1
        return self._count - 1


class _State:
    """What is known before a character: steps that are reached, and the character before.

    moves   character -> the state after it; None: there is a match before that character
    at_end  whether there is a match if the text ends here; None: not asked yet
    """

    __slots__ = ("at_end", "before", "moves", "steps")

    def __init__(self, steps: frozenset[int], before: str) -> None:
        self.steps = steps
        self.before = before
        self.moves: dict[str, _State | None] = {}
        self.at_end: bool | None = None


class Pattern:
    """A compiled pattern. It learns from the texts that it sees; what it answers never changes."""

    def __init__(self, program: _Program, start: int) -> None:
        self._program = program
        self._start = start
        self._states: dict[tuple[frozenset[int], str], _State] = {}
        self._moves = 0

    def search(self, text: str) -> bool:
        """Whether some part of the text is a match.

        TooMuchWorkError: it takes too long. What was learnt costs nothing, so that may differ.
        """
        if not _WORK.is_shared:
            _WORK.left = WORK_MAX
        state = self._state(frozenset(), "")
        for character in text:
            try:
                following = state.moves[character]
            except KeyError:
                following = self._learn(state, character)
            if following is None:
                return True
            state = following
        if state.at_end is None:
            state.at_end = self._reached(state, "") is None
        return state.at_end

    def _learn(self, state: _State, character: str) -> _State | None:
        if self._moves >= MOVES_MAX:
            self._states.clear()
            self._moves = 0
            state.moves.clear()
        self._moves += 1
        reached = self._reached(state, character)
        following = None
        if reached is not None:
            chars = self._program.chars
            steps = frozenset(
                after for has, after in map(chars.__getitem__, reached) if has(character)
            )
            following = self._state(steps, _kind(character))
        state.moves[character] = following
        return following

    def _state(self, steps: frozenset[int], before: str) -> _State:
        known = self._states.get((steps, before))
        if known is None:
            known = self._states[steps, before] = _State(steps, before)
        return known

    def _reached(self, state: _State, following: str) -> Iterable[int] | None:
        """Steps that wait for the next character; None: there is a match already."""
        program = self._program
        # A match may begin at every character.
        todo = [*state.steps, self._start]
        seen = set(todo)
        waiting: list[int] = []
        while todo:
            step = todo.pop()
            if step == program.matched:
                _WORK.charge(len(seen))
                return None
            if step in program.chars:
                waiting.append(step)
                continue
            for after in self._next_steps(step, state.before, following):
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
        _WORK.charge(len(seen))
        return waiting

    def _next_steps(self, step: int, before: str, following: str) -> tuple[int, ...]:
        if step in self._program.splits:
            return self._program.splits[step]
        place, after = self._program.assertions[step]
        return (after,) if _holds(place, before, following) else ()


def _kind(character: str) -> str:
    """One of each kind that assertions tell apart."""
    if character == "\n":
        return "\n"
    return "a" if is_word(character) else " "


def _holds(place: str, before: str, following: str) -> bool:
    """Whether an assertion holds between two characters; an empty one is the text's end."""
    match place:
        case "begin":
            return not before
        case "end":
            return not following
        case "begin-line":
            return before in ("", "\n")
        case "end-line":
            return following in ("", "\n")
    is_boundary = is_word(before) is not is_word(following)
    return is_boundary is (place == "word")
