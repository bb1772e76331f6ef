"""A quantity that several faults may make worse at a time. PURE."""


class Worst:
    """A quantity that faults make worse: the worst of those in effect counts."""

    def __init__(self, usual: float) -> None:
        self.now = self._usual = usual
        self._faults: list[float] = []

    def begin(self, value: float) -> None:
        """A fault begins."""
        self._faults.append(value)
        self.now = max(self._usual, *self._faults)

    def end(self, value: float) -> None:
        """A fault that had begun with this value ends."""
        self._faults.remove(value)
        self.now = max([self._usual, *self._faults])
