"""PySyncObj members and their clients on one simulated network."""

import asyncio
from collections import Counter
from functools import partial
from random import Random

from kvstore.testing.pysyncobj.doors import Doors
from kvstore.testing.pysyncobj.member import ControlMember
from kvstore.testing.pysyncobj.store import SUCCESS, Answer
from kvstore.testing.pysyncobj.transport import Wire
from kvstore.testing.simulation.network import Network

_CLIENT = 1000  # the first client's process; members have the numbers below
_ANSWER_SECONDS = 5.0


class ControlCluster:
    """All members, dead or alive."""

    def __init__(
        self,
        seed: int,
        doors: Doors,
        *,
        size: int,
        loss: float,
        snapshot_count: int,
        is_power_kept: bool,
    ) -> None:
        """`loss`: share of segments that always vanish, and are sent again."""
        self.random = Random(seed)
        self.network = Network(Random(self.random.getrandbits(64)), loss=loss)
        self.wire = Wire(self.network)
        self.doors = doors
        self.snapshot_count = snapshot_count
        self.is_power_kept = is_power_kept
        self.members = [
            ControlMember(self, number, size, Random(self.random.getrandbits(64)))
            for number in range(1, size + 1)
        ]
        self.crashes: Counter[str] = Counter()
        """How often members died, by cause."""
        self.errors: Counter[str] = Counter()
        """What PySyncObj has raised, by text."""

    def leader(self) -> ControlMember | None:
        """Whoever leads in the highest term."""
        leaders = [
            (member.store.raftCurrentTerm, member)
            for member in self.members
            if member.store is not None and member.store._isLeader()
        ]
        return max(leaders, key=lambda leader: leader[0])[1] if leaders else None

    def agree(self) -> bool:
        """Tell whether all live, and have applied all of what the leader has committed."""
        stores = [member.store for member in self.members if member.store is not None]
        if len(stores) < len(self.members) or self.leader() is None:
            return False
        places = {place for s in stores for place in (s.raftCommitIndex, s.raftLastApplied)}
        return len(places) == 1

    async def call(
        self, client: int, member: ControlMember, name: str, *arguments: object
    ) -> Answer | None:
        """Let a client call an operation of the store at a member; None = the outcome is unknown.

        Of PySyncObj's reasons for a failure only success is believed.
        """
        answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        process = _CLIENT + client

        def settle(answer: Answer | None) -> None:
            if not answered.done():
                answered.set_result(answer)

        def on_answer(answer: Answer | None, reason: int) -> None:
            outcome = answer if reason == SUCCESS else None
            told = repr((reason, outcome)).encode()
            arrive, lose = partial(settle, outcome), partial(settle, None)
            self.network.deliver((member.member_id, process), told, arrive, lose)

        asked = repr((name, arguments)).encode()
        ask = partial(member.call, name, arguments, on_answer)
        self.network.deliver((process, member.member_id), asked, ask, partial(settle, None))
        timer = asyncio.get_running_loop().call_later(_ANSWER_SECONDS, settle, None)
        try:
            return await answered
        finally:
            timer.cancel()

    # ------------------------------------------------------------------ what members tell

    def died(self, _: ControlMember, cause: str) -> None:
        """See `Host.died`."""
        self.crashes[cause] += 1

    def erred(self, _: ControlMember, error: Exception, *, is_fatal: bool) -> None:
        """See `Host.erred`."""
        where = "at the start" if is_fatal else "while it runs"
        kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        self.errors[f"{kind} {where}: {error}"] += 1
