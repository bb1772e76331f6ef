"""A controller of an own resource: a Fleet has as many Ships as it says, and tells how many.

`python -m examples.fleet --store-endpoints=…` is a process that runs it; of several one leads.
`fleet.yaml` defines the two kinds.
"""

import argparse
import asyncio
import logging
import os
import socket
from collections.abc import Sequence

from controlplane import flags
from controlplane.api.resource import Object, Resource
from controlplane.api.schema import Schema
from controlplane.controller import Controller, Lister, owned, owner_reference, run
from controlplane.flags import StoreSettings
from controlplane.indexer import Key
from controlplane.leader_election import LeaderElector
from controlplane.objects import ObjectStore

ANYTHING = Schema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, {})


def _resource(kind: str) -> Resource:
    lower = kind.lower()
    return Resource(
        group="sea.example.com",
        version="v1",
        kind=kind,
        plural=f"{lower}s",
        singular=lower,
        is_namespaced=True,
        schema=ANYTHING,
        has_generation=True,
    )


FLEETS, SHIPS = _resource("Fleet"), _resource("Ship")


async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
    """Make what is missing, remove what is too much, tell how many there are."""
    fleet = lister.get(FLEETS, key)
    if fleet is None or fleet["metadata"].get("deletionTimestamp"):
        return  # the garbage collector removes what it owns
    ships = lister.owned_by(SHIPS, fleet["metadata"]["uid"])
    missing, surplus = plan(fleet, ships)
    for ship in missing:
        await store.create(SHIPS, ship)
    for name in surplus:
        await store.delete(SHIPS, key.namespace, name)
    status = {"ships": len(ships) + len(missing) - len(surplus)}
    await store.update(FLEETS, *key, lambda current: {**current, "status": status})


def plan(fleet: Object, ships: Sequence[Object]) -> tuple[list[Object], list[str]]:
    """Ships to make, and names of ships to remove. Pure."""
    metadata, size = fleet["metadata"], fleet["spec"]["size"]
    wanted = [f"{metadata['name']}-{number}" for number in range(size)]
    there = {ship["metadata"]["name"] for ship in ships}
    common = {"namespace": metadata["namespace"], "ownerReferences": [owner_reference(fleet)]}
    absent = [name for name in wanted if name not in there]
    return [{"metadata": {"name": name, **common}} for name in absent], sorted(there - set(wanted))


FLEET_CONTROLLER = Controller("fleets", FLEETS, reconcile, triggers=[owned(SHIPS, by=FLEETS)])


async def lead(settings: StoreSettings) -> None:
    """Wait to lead, and run the controller; ends with LeadershipLostError when another may lead."""
    async with settings.connect() as client:
        identity = f"{socket.gethostname()}-{os.getpid()}"
        elector = LeaderElector(ObjectStore(client), "fleets", identity)
        await elector.run(lambda store: run([FLEET_CONTROLLER], store))


def main() -> None:
    """Until Ctrl-C, or until it does not lead any more: who supervises it begins it anew."""
    parser = argparse.ArgumentParser(prog="python -m examples.fleet", description=__doc__)
    flags.add_store_flags(parser)
    logging.basicConfig(level=logging.INFO)
    asyncio.run(lead(flags.store_of(parser.parse_args())))


if __name__ == "__main__":
    main()
