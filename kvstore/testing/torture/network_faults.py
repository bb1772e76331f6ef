"""Faults of the network: cuts of every shape, and links that lose, delay or double frames."""

import time
from itertools import permutations
from typing import ClassVar

from kvstore.testing.torture.fault import Fault
from kvstore.testing.torture.scene import CLIENTS, Need, Scene

_CUT_SECONDS = 10.0


class _NetworkFault(Fault):
    needs = frozenset({Need.NETWORKS})
    hold_seconds = _CUT_SECONDS
    catch_up_seconds_max = 10.0

    async def end(self, scene: Scene) -> None:
        scene.network.heal()


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
        for other in others:
            scene.network.set(leader, other, cut=True)
            scene.network.set(other, leader, cut=True)
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
        for slot in scene.slots:
            if slot.name != follower:
                scene.network.set(follower, slot.name, cut=True)
                scene.network.set(slot.name, follower, cut=True)


class CutOneWay(_NetworkFault):
    """The leader cannot hear the other members, or they cannot hear it."""

    name = "cut-one-way"
    terms_max = 1

    async def begin(self, scene: Scene) -> None:
        leader = scene.slot_of(await scene.leader()).name
        is_deaf = scene.random.random() < 0.5
        self.detail = f"{leader} {'hears nobody' if is_deaf else 'is not heard'}"
        for slot in scene.slots:
            if slot.name != leader:
                link = (slot.name, leader) if is_deaf else (leader, slot.name)
                scene.network.set(*link, cut=True)


class CutPartial(_NetworkFault):
    """The leader and one follower cannot reach each other; both reach the third."""

    name = "cut-partial"
    terms_max = 1

    async def begin(self, scene: Scene) -> None:
        leader = scene.slot_of(await scene.leader()).name
        follower = scene.slot_of(await scene.follower()).name
        self.detail = f"{leader} from {follower}"
        scene.network.set(leader, follower, cut=True)
        scene.network.set(follower, leader, cut=True)


class CutMajority(_NetworkFault):
    """No member reaches another."""

    name = "cut-all"
    hold_seconds = 5.0
    serves_meanwhile = False

    async def begin(self, scene: Scene) -> None:
        for source, target in permutations([slot.name for slot in scene.slots], 2):
            scene.network.set(source, target, cut=True)


class _BadLinks(_NetworkFault):
    """Every link is bad, also those of the clients."""

    loss: ClassVar[float] = 0.0
    delay_seconds: ClassVar[float] = 0.0
    jitter_seconds: ClassVar[float] = 0.0
    duplication: ClassVar[float] = 0.0

    async def begin(self, scene: Scene) -> None:
        for link in permutations([*(slot.name for slot in scene.slots), CLIENTS], 2):
            scene.network.set(
                *link,
                loss=self.loss,
                delay_seconds=self.delay_seconds,
                jitter_seconds=self.jitter_seconds,
                duplication=self.duplication,
            )


class Loss(_BadLinks):
    """Frames are lost."""

    name = "loss"
    loss = 0.05


class Delay(_BadLinks):
    """Frames take long, and overtake each other."""

    name = "delay"
    delay_seconds = 0.05
    jitter_seconds = 0.05
    terms_max = 0


class Duplication(_BadLinks):
    """Frames come twice, and the second one late."""

    name = "duplication"
    duplication = 0.3
    jitter_seconds = 0.01
    terms_max = 0


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
