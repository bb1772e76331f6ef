"""Whether a text has a match of a regular expression, in time linear in the text. PURE.

Kubernetes' patterns are RE2's, which users write without fear: `^([a-z]+)*$` costs nothing there,
and would stop a backtracking matcher, such as Python's `re`, with a text of 40 characters. So this
is Thompson's construction: all ways through the pattern at once, what is found out being kept as
the states of an automaton. What all patterns together have found out is bounded, as is what may be
found out for one object; characters that a pattern cannot tell apart are one symbol to it.
Source: R. Cox, "Regular Expression Matching Can Be Simple And Fast" (2007).
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import chain
from typing import TypeVar
from weakref import WeakSet

from controlplane.api import charsets
from controlplane.api.charsets import Alphabet, CharSet
from controlplane.api.regex_syntax import (
    Alternatives,
    Assertion,
    Chars,
    Concat,
    Node,
    Repeat,
    parse,
)

_T = TypeVar("_T")

STEPS_MAX = 10_000
"""Of one pattern, its repetitions written out: what a character may cost."""

CHARACTERS_MAX = 10_000
"""Of a pattern, for a thousand are remembered: `[aaa…]` is one step, however long it is."""

LEARNT_BYTES_MAX = 16 << 20
"""Of all patterns together: whoever comes when they know more lets them all learn anew.

Nobody loses what he has learnt himself, so that may be more by what WORK_MAX allows.
"""

WORK_MAX = 2_000_000
"""Steps that may be looked at in all that is done at once: half a second."""

_WORK_OF_A_MOVE = 20
"""What it costs to learn a move, be it by one step only: in steps."""

_CHARACTERS_OF_A_STEP = 4
"""So many of ASCII's are passed, all moves being known, while one step is looked at.

Of others one: their symbols are looked up one by one.
"""

_BYTES_OF_A_MOVE = 250
_BYTES_OF_A_STATE = 450
"""About, in CPython, without its steps; a dictionary of one entry has 230 bytes."""

_END = -1
"""The symbol of the text's end."""


class TooMuchWorkError(Exception):
    """Nobody knows whether the text has a match: to find it out would hold up all others."""


class _Work:
    """What may still be found out by whom is at it now.

    What was learnt for others costs as much as if it were not known, or the same object would be
    right at one time and unjudged at another: whoever is at it pays for each move once. Moves bear
    his mark when they are paid; the marks cost time, too, so a first half of the work is left to
    texts so short that each character might cost all that it can.

    mark  of whom is at it
    """

    def __init__(self) -> None:
        self.left = WORK_MAX
        self.mark = object()
        self.is_shared = False

    def begin(self) -> None:
        self.left = WORK_MAX
        self.mark = object()
        if _LEARNT.bytes > LEARNT_BYTES_MAX:
            _LEARNT.forget()

    def takes_unmarked(self, steps: int) -> bool:
        """Whether that is paid, at most so much as it is."""
        if steps > self.left - WORK_MAX // 2:
            return False
        self.left -= steps
        return True

    def charge(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise TooMuchWorkError


class _Learnt:
    """What all patterns know."""

    def __init__(self) -> None:
        self.bytes = 0
        self.patterns: WeakSet[Pattern] = WeakSet()

    def forget(self) -> None:
        for pattern in self.patterns:
            pattern.forget()
        self.bytes = 0


_LEARNT = _Learnt()
_WORK = _Work()
"""One for the process, which searches in one thread."""


def together(searches: Callable[[], _T]) -> _T:
    """What `searches` gives, all its searches together doing no more work than one may.

    A value can have thousands of texts, each of which takes its time.
    """
    if _WORK.is_shared:
        return searches()
    _WORK.begin()
    _WORK.is_shared = True
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
    count       of all of them
    """

    def __init__(self) -> None:
        self.chars: dict[int, tuple[CharSet, int]] = {}
        self.assertions: dict[int, tuple[str, int]] = {}
        self.splits: dict[int, tuple[int, ...]] = {}
        self.matched = 0
        self.count = 1

    def emit(self, node: Node, after: int) -> int:
        """The step that a part begins with, where `after` is what comes next."""
        match node:
            case Chars():
                step = self._new()
                self.chars[step] = (node.chars, after)
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

    def alphabet(self) -> Alphabet:
        """What the pattern tells apart."""
        sets = {chars for chars, _ in self.chars.values()}
        if self.has_kinds:
            sets |= {charsets.NEWLINE, charsets.WORD}
        return Alphabet(sets)

    @property
    def has_kinds(self) -> bool:
        """Whether a place depends on more than the text's ends."""
        places = {place for place, _ in self.assertions.values()}
        return not places <= {"begin", "end"}

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
        if self.count >= STEPS_MAX:
            raise ValueError("expression too large")
        self.count += 1
        return self.count - 1


class _State:
    """What is known before a character: steps that are reached, and the character before.

    steps  in order, two bytes each: there may be ten thousand
    moves  symbol -> what follows
    """

    __slots__ = ("before", "moves", "steps")

    def __init__(self, steps: bytes, before: str) -> None:
        self.steps = steps
        self.before = before
        self.moves: dict[int, _Move] = {}


class _Move:
    """What a symbol does.

    state  the one after it; None: there is a match before that character
    moves  of that state; none if there is a match
    steps  that were looked at to find it out
    mark   of whom has paid for it last
    """

    __slots__ = ("mark", "moves", "state", "steps")

    def __init__(self, state: _State | None, steps: int) -> None:
        self.state = state
        self.moves = {} if state is None else state.moves
        self.steps = steps
        self.mark: object = None


class Pattern:
    """A compiled pattern. It learns from the texts that it sees; what it answers never changes."""

    def __init__(self, program: _Program, start: int) -> None:
        self._program = program
        self._start = start
        self._alphabet = program.alphabet()
        self._has_kinds = program.has_kinds
        self._steps_of_a_move_max = program.count + _WORK_OF_A_MOVE
        self._first = _Move(_State(b"", ""), 0)
        self._states: dict[tuple[bytes, str], _State] = {}
        _LEARNT.patterns.add(self)

    def forget(self) -> None:
        """What it has learnt; at once, where circles of states would wait to be collected."""
        for state in self._states.values():
            state.moves.clear()
        self._states.clear()
        self._first.moves.clear()

    def search(self, text: str) -> bool:
        """Whether some part of the text is a match.

        TooMuchWorkError: it takes too long.
        """
        if not _WORK.is_shared:
            _WORK.begin()
        symbols = self._alphabet.symbols(text)
        if _WORK.takes_unmarked((len(text) + 1) * self._steps_of_a_move_max):
            return self._search(symbols)
        _WORK.charge(len(text) // _CHARACTERS_OF_A_STEP if text.isascii() else len(text))
        return self._search_marked(symbols)

    def _search(self, symbols: Iterable[int]) -> bool:
        move = self._first
        for symbol in symbols:
            try:
                move = move.moves[symbol]
            except KeyError:
                if move.state is None:
                    return True
                move = self._learn(move.state, symbol)
        if move.state is None:
            return True
        end = move.moves.get(_END) or self._learn(move.state, _END)
        return end.state is None

    def _search_marked(self, symbols: Iterable[int]) -> bool:
        """As above, every move being paid."""
        move, mark = self._first, _WORK.mark
        for symbol in chain(symbols, (_END,)):
            try:
                move = move.moves[symbol]
            except KeyError:
                if move.state is None:
                    return True
                move = self._learn(move.state, symbol)
            if move.mark is not mark:
                move.mark = mark
                _WORK.charge(move.steps)
        return move.state is None

    def _learn(self, state: _State, symbol: int) -> _Move:
        following = "" if symbol == _END else chr(self._alphabet.members[symbol])
        waiting, count = self._reached(state, following)
        following_state = None if waiting is None else self._state(waiting, following)
        move = _Move(following_state, count + _WORK_OF_A_MOVE)
        state.moves[symbol] = move
        _LEARNT.bytes += _BYTES_OF_A_MOVE
        return move

    def _state(self, waiting: Iterable[tuple[CharSet, int]], character: str) -> _State:
        """The one after a character, steps having waited for it."""
        code = ord(character) if character else -1
        after = {step for chars, step in waiting if bisect_right(chars, code) & 1}
        key = (array("H", sorted(after)).tobytes(), self._kind(character))
        known = self._states.get(key)
        if known is None:
            known = self._states[key] = _State(*key)
            _LEARNT.bytes += _BYTES_OF_A_STATE + len(known.steps)
        return known

    def _kind(self, character: str) -> str:
        """One of each kind that the pattern's assertions tell apart."""
        if not self._has_kinds:
            return " "
        if character == "\n":
            return "\n"
        return "a" if _is_word(character) else " "

    def _reached(
        self, state: _State, following: str
    ) -> tuple[Iterable[tuple[CharSet, int]] | None, int]:
        """Characters that are waited for, each with the step after it; None: there is a match
        already. And how many steps were looked at.
        """
        program = self._program
        chars, splits = program.chars, program.splits
        # A match may begin at every character.
        todo = [*array("H", state.steps), self._start]
        seen = set(todo)
        waiting: list[tuple[CharSet, int]] = []
        while todo:
            step = todo.pop()
            if step in chars:
                waiting.append(chars[step])
                continue
            if step == program.matched:
                return None, len(seen)
            steps = splits.get(step) or self._passed(step, state.before, following)
            for after in steps:
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
        return waiting, len(seen)

    def _passed(self, assertion: int, before: str, following: str) -> tuple[int, ...]:
        place, after = self._program.assertions[assertion]
        return (after,) if _holds(place, before, following) else ()


def _is_word(character: str) -> bool:
    """What `\\b` stands between."""
    return character != "" and charsets.has(charsets.WORD, ord(character))


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
    is_boundary = _is_word(before) is not _is_word(following)
    return is_boundary is (place == "word")
