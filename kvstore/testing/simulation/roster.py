"""Changes of the membership in a simulated run: members are added, promoted and removed under load.

All by the production client, as an operator would. A change of unknown outcome is looked up in the
list of members before the next one; so is whoever was added and never started.
"""

import asyncio
from collections.abc import Callable
from random import Random

from kvstore.client import Client
from kvstore.client.types import Member
from kvstore.errors import KvError
from kvstore.testing.history import ViolationError
from kvstore.testing.simulation.cluster import SimulatedCluster
from kvstore.testing.simulation.member import SimulatedMember

_PAUSE_SECONDS_MAX = 10.0
_CALL_SECONDS = 5.0
_SETTLE_SECONDS = 60.0
_MORE_MAX = 1  # members beyond those that founded the cluster
_FOUNDERS_MIN = 2  # clients know no others
_TWICE_PROBABILITY = 0.3  # that two are added at the same time


class Roster:
    """Makes changes, one after the other."""

    def __init__(
        self, cluster: SimulatedCluster, random: Random, changed: Callable[[], None]
    ) -> None:
        """`changed` is called for each change that the cluster has confirmed."""
        self._cluster = cluster
        self._random = random
        self._changed = changed
        self._founders = {member.member_id for member in cluster.members}
        self._size_max = len(cluster.members) + _MORE_MAX

    async def run(self) -> None:
        """Change, until cancelled."""
        while True:
            await asyncio.sleep(self._random.random() * _PAUSE_SECONDS_MAX)
            async with self._cluster.connect() as store:
                try:
                    members = await self._follow(store)
                    if all(member.name for member in members):
                        await self._change(store, members)
                        self._changed()
                except KvError:
                    continue  # the next one begins with a look at what became of it

    async def settle(self) -> None:
        """No faults any more: whoever is a member runs and has published itself, and nobody else.

        Raises ViolationError after a minute.
        """
        deadline = asyncio.get_running_loop().time() + _SETTLE_SECONDS
        async with self._cluster.connect() as store:
            while True:
                try:
                    if all(member.name for member in await self._follow(store)):
                        return
                except KvError:
                    pass
                self._cluster.check_alive()
                if asyncio.get_running_loop().time() > deadline:
                    raise ViolationError(
                        "the members are not settled a minute after the last fault"
                    )
                await asyncio.sleep(0.2)

    async def _follow(self, store: Client) -> tuple[Member, ...]:
        """Start whoever was added, let go of whoever was removed."""
        found = await store.cluster.member_list(timeout_seconds=_CALL_SECONDS)
        listed = {member.member_id: member for member in found.members}
        for member in list(self._cluster.members):
            if member.member_id not in listed:
                self._cluster.let_go(member)
        known = {member.member_id: member for member in self._cluster.members}
        for member_id, entry in listed.items():
            member = known.get(member_id) or self._cluster.take_in(member_id, entry.peer_urls[0])
            if member.is_joining and not member.is_alive:
                member.join(_named(found.members, member))
        return found.members

    async def _change(self, store: Client, members: tuple[Member, ...]) -> None:
        learners = [member for member in members if member.is_learner]
        if learners:
            await store.cluster.member_promote(learners[0].member_id, timeout_seconds=_CALL_SECONDS)
        elif len(members) < self._size_max and self._random.random() < 0.5:
            adding = [self._add(store)]
            if self._random.random() < _TWICE_PROBABILITY:
                adding.append(self._add(store))  # one comes later or is refused, never beside it
            outcomes = await asyncio.gather(*adding, return_exceptions=True)
            await self._follow(store)
            for outcome in outcomes:
                if outcome is not None:
                    raise outcome
        elif len(members) >= self._size_max or len(self._founders_of(members)) > _FOUNDERS_MIN:
            await store.cluster.member_remove(self._victim(members), timeout_seconds=_CALL_SECONDS)
            await self._follow(store)

    async def _add(self, store: Client) -> None:
        await store.cluster.member_add(
            [self._cluster.next_peer_url()],
            is_learner=self._random.random() < 0.5,
            timeout_seconds=_CALL_SECONDS,
        )

    def _founders_of(self, members: tuple[Member, ...]) -> set[int]:
        return self._founders.intersection(member.member_id for member in members)

    def _victim(self, members: tuple[Member, ...]) -> int:
        ids = [member.member_id for member in members]
        founders = self._founders_of(members)
        if len(founders) <= _FOUNDERS_MIN:
            ids = [member_id for member_id in ids if member_id not in founders]
        return self._random.choice(ids)


def _named(members: tuple[Member, ...], joiner: SimulatedMember) -> str:
    """`--initial-cluster` for a joiner."""
    names = {member.member_id: member.name or f"x{member.member_id:x}" for member in members}
    names[joiner.member_id] = joiner.name
    return ",".join(f"{names[one.member_id]}={one.peer_urls[0]}" for one in members)
