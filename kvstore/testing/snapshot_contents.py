"""What a large state has to hold: which fill wrote each key last, and the value that follows.

PURE. Every value is derived from its key and its fill, so a key that is missing, old, empty or
another one's is told apart from a right one without keeping gigabytes.
"""

from collections.abc import Iterable

from kvstore.testing.history import ViolationError

VALUE_BYTES = 32 * 1024
_DIGITS_MAX = 20  # nobody counts that far; what is longer is no number of a writer


def value_of(key: bytes, fill: int) -> bytes:
    """What the fill of this number writes to a key."""
    return (b"%d %s " % (fill, key)).ljust(VALUE_BYTES, b".")


class Contents:
    """All keys that were acknowledged, by fills and by writers that count."""

    def __init__(self) -> None:
        self._fills: dict[bytes, int] = {}
        self._numbers: dict[bytes, tuple[int, int]] = {}

    def filled(self, key: bytes, fill: int) -> None:
        """A fill's put was acknowledged."""
        self._fills[key] = fill

    def counted(self, key: bytes, *, acknowledged: int, begun: int) -> None:
        """A writer was told of one number, and has asked for no more than another."""
        self._numbers[key] = (acknowledged, begun)

    def reading(self, who: str) -> "Reading":
        """Judge what `who` has; nothing may be written meanwhile."""
        return Reading(who, self._fills, self._numbers)


class Reading:
    """All keys of a member, page by page."""

    def __init__(
        self, who: str, fills: dict[bytes, int], numbers: dict[bytes, tuple[int, int]]
    ) -> None:
        self._who = who
        self._fills = fills
        self._numbers = numbers
        self._seen: set[bytes] = set()

    def page(self, found: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise ViolationError for a key that should not be there or holds something else."""
        for key, value in found:
            self._seen.add(key)
            if key in self._fills:
                self._filled(key, value)
            elif key in self._numbers:
                self._number(key, value)
            else:
                raise ViolationError(f"{self._who} has {key!r}, which nobody wrote")

    def end(self) -> int:
        """Give the number of keys. Raises ViolationError for one that was acknowledged, and is
        not there.
        """
        told = (key for key, (acknowledged, _) in self._numbers.items() if acknowledged)
        missing = {*self._fills, *told} - self._seen
        if missing:
            raise ViolationError(
                f"{self._who} lacks {len(missing)} acknowledged keys: {min(missing)!r} and others"
            )
        return len(self._seen)

    def _filled(self, key: bytes, value: bytes) -> None:
        if value != value_of(key, self._fills[key]):
            raise ViolationError(
                f"{self._who} has {value[:40]!r}… ({len(value)} bytes) in {key!r}, which fill "
                f"{self._fills[key]} wrote last"
            )

    def _number(self, key: bytes, value: bytes) -> None:
        acknowledged, begun = self._numbers[key]
        is_number = value.isdigit() and len(value) <= _DIGITS_MAX
        if not is_number or not acknowledged <= int(value) <= begun:
            raise ViolationError(
                f"{self._who} has {value!r} in {key!r}: {acknowledged} was acknowledged, and up to "
                f"{begun} was asked for"
            )
