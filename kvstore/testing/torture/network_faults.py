"""Faults of the network: cuts of every shape, and links that lose, delay or double frames."""

import time
from collections.abc import Iterable
from itertools import permutations
from typing import ClassVar

import msgspec

from kvstore.testing.rigs.links import Counts, Faults
from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.scene import CLIENTS, Need, Scene

Link = tuple[str, str]
"""Source and target."""

_CUT_SECONDS = 10.0


class _NetworkFault(Fault):
    needs = frozenset({Need.NETWORKS})
    hold_seconds = _CUT_SECONDS
    catch_up_seconds_max = 10.0

    def _spoil(self, scene: Scene, links: Iterable[Link], faults: Faults) -> None:
        """Make these directions bad; the others stay as they are."""
        self._links = list(links)
        self._before = scene.network.counts(self._links)
        for link in self._links:
            scene.network.set(*link, **msgspec.structs.asdict(faults))

    def _cut(self, scene: Scene, links: Iterable[Link]) -> None:
        self._spoil(scene, links, Faults(cut=True))

    async def end(self, scene: Scene) -> None:
        scene.network.heal()
        self.evidence = self._shown(scene.network.counts(self._links).plus(self._before, -1))

    def _shown(self, counts: Counts) -> str:
        """What the switch's counts of the bad directions show, as a fault's `evidence`."""
        return f"{counts.dropped:,} frames dropped" if counts.dropped else ""


class CutLeader(_NetworkFault):
    """The leader is cut off from the other members, and maybe from the clients as well.

    If not, they go on filling its log with what can never be committed.
    """

    name = "cut-leader"
    terms_max = 1

    async def begin(self, scene: Scene) -> None:
        member = await scene.leader()
        leader = scene.slot_of(member).name
        others = [slot.name for slot in scene.slots if slot.name != leader]
        is_reachable = scene.random.random() < 0.5
        if not is_reachable:
            others.append(CLIENTS)
        self.detail = f"{leader} from {', '.join(others)}"
        self._cut(scene, _both_ways(leader, others))
        self.moments.append(time.monotonic())
        if is_reachable:
            self.note_step_down(await scene.stepped_down(member))


class CutFollower(_NetworkFault):
    """A follower is cut off from the other members: not even its return may disturb them."""

    name = "cut-follower"
    terms_max = 0

    async def begin(self, scene: Scene) -> None:
        follower = scene.slot_of(await scene.follower()).name
        self.detail = follower
        others = [slot.name for slot in scene.slots if slot.name != follower]
        self._cut(scene, _both_ways(follower, others))


class CutOneWay(_NetworkFault):
    """The leader cannot hear the other members, or they cannot hear it."""

    name = "cut-one-way"
    terms_max = 1

    async def begin(self, scene: Scene) -> None:
        leader = scene.slot_of(await scene.leader()).name
        is_deaf = scene.random.random() < 0.5
        self.detail = f"{leader} {'hears nobody' if is_deaf else 'is not heard'}"
        others = [slot.name for slot in scene.slots if slot.name != leader]
        self._cut(scene, [(name, leader) if is_deaf else (leader, name) for name in others])


class CutPartial(_NetworkFault):
    """The leader and one follower cannot reach each other; both reach the third."""

    name = "cut-partial"
    terms_max = 1

    async def begin(self, scene: Scene) -> None:
        member = await scene.leader()
        leader = scene.slot_of(member).name
        follower = scene.slot_of(await scene.follower(member)).name
        self.detail = f"{leader} from {follower}"
        self._cut(scene, _both_ways(leader, [follower]))


class CutMajority(_NetworkFault):
    """No member reaches another."""

    name = "cut-all"
    hold_seconds = 5.0
    serves_meanwhile = False

    async def begin(self, scene: Scene) -> None:
        self._cut(scene, permutations([slot.name for slot in scene.slots], 2))


class _BadLinks(_NetworkFault):
    """Every link is bad, also those of the clients."""

    faults: ClassVar[Faults]

    async def begin(self, scene: Scene) -> None:
        names = [*(slot.name for slot in scene.slots), CLIENTS]
        self._spoil(scene, permutations(names, 2), self.faults)


class Loss(_BadLinks):
    """Frames are lost."""

    name = "loss"
    faults = Faults(loss=0.05)


class Delay(_BadLinks):
    """Frames take long, and overtake each other."""

    name = "delay"
    faults = Faults(delay_seconds=0.05, jitter_seconds=0.05)
    terms_max = 0

    def _shown(self, counts: Counts) -> str:
        return f"{counts.delayed:,} frames delayed" if counts.delayed else ""


class Duplication(_BadLinks):
    """Frames come twice, and the second one late."""

    name = "duplication"
    faults = Faults(duplication=0.3, jitter_seconds=0.01)
    terms_max = 0

    def _shown(self, counts: Counts) -> str:
        return f"{counts.doubled:,} frames doubled" if counts.doubled else ""


def _both_ways(name: str, others: Iterable[str]) -> list[Link]:
    return [link for other in others for link in ((name, other), (other, name))]


NETWORK_FAULTS: tuple[type[Fault], ...] = (
    CutLeader,
    CutFollower,
    CutOneWay,
    CutPartial,
    CutMajority,
    Loss,
    Delay,
    Duplication,
)
