"""What a fault is: it begins, lasts while the clients go on, and ends."""

from typing import ClassVar

from kvstore.testing.torture.scene import Need, Scene

STEP_DOWN_SECONDS_MAX = 2.0  # two election timeouts


class Fault:
    """One fault of one round.

    name                    on the command line and in the table
    needs                   what the scene must have
    hold_seconds            how long it lasts, unless the command line says otherwise
    serves_meanwhile        a quorum is left: clients must be served while it lasts, and time is
                            taken from its beginning. Otherwise from the beginning of its end
    unavailable_seconds_max until a write is acknowledged that was begun after it struck
    terms_max               how many new terms may come of it; None: any number
    catch_up_seconds_max    how long after its end a member may lag behind what was committed then;
                            None: as long as it takes
    points                  the failpoints that it takes in turn, a round each
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[Need]] = frozenset()
    hold_seconds: ClassVar[float] = 0.0
    serves_meanwhile: ClassVar[bool] = True
    unavailable_seconds_max: ClassVar[float] = 5.0
    terms_max: ClassVar[int | None] = None
    catch_up_seconds_max: ClassVar[float | None] = None
    points: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.detail = ""
        """Whom it hit, for the line of its round."""
        self.moments: list[float] = []
        """Monotonic seconds at which it struck: from each the clients' waiting is counted."""

        self.broken: list[str] = []
        """Bounds of its own that were not kept."""
        self.point = ""
        """The failpoint that it is about, if it is."""
        self.is_reached = False
        """Whether a member has ended there."""
        self.evidence = ""
        """What shows that it happened, and was not only asked for; empty: nothing does."""

    def note_step_down(self, seconds: float) -> None:
        """How long somebody took itself for the leader who was none any more."""
        self.detail += f" (stepped down after {seconds:.2f} s)"
        if seconds > STEP_DOWN_SECONDS_MAX:
            self.broken.append(f"it did not step down within {STEP_DOWN_SECONDS_MAX} s")

    async def prepare(self, scene: Scene) -> None:
        """Arrange what it needs, before its time is taken."""

    async def begin(self, scene: Scene) -> None:
        """Do harm."""
        raise NotImplementedError

    async def end(self, scene: Scene) -> None:
        """Make good what is not good by itself; every member runs afterwards."""
        raise NotImplementedError

    async def clear(self, scene: Scene) -> None:
        """Take back what `prepare` arranged, after its time was taken."""
