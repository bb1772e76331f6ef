"""`scripts/audit DATA`: prints what is wrong, a line each; the exit status is 1 if anything is."""

import json
import sys
import time
from pathlib import Path

from auditing import jobs, machine, pods, processes, services, store
from auditing.world import World

_JUDGES = (processes, pods, jobs, services)


def main(arguments: list[str]) -> int:
    """Judge the cluster that runs in a data folder."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0]).resolve()
    try:
        world = _world(folder)
    except (OSError, store.StoreError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2
    faults = [fault for judge in _JUDGES for fault in judge.faults(world)]
    print("\n".join([*faults, _counts(world, len(faults))]))
    return 1 if faults else 0


def _world(folder: Path) -> World:
    # Processes first: a pod that begins meanwhile is then no fault of anybody.
    running = machine.processes()
    kept, volumes = machine.sandboxes(folder), machine.volumes(folder)
    objects, ranges = store.read(folder)
    block = json.loads((folder / "cluster.json").read_text())["block"]
    return World(
        now=time.time(),
        folder=str(folder),
        pod_range=f"127.{block + 1}.",
        objects=objects,
        ranges=ranges,
        nodes=machine.nodes(folder),
        processes=running,
        sandboxes=kept,
        volumes=volumes,
        rests=machine.rests(folder),
    )


def _counts(world: World, faults: int) -> str:
    counted = {
        "objects": len(world.objects),
        "pods": sum(1 for _ in world.all("core/pods")),
        "jobs": sum(1 for _ in world.all("batch/jobs")),
        "deployments": sum(1 for _ in world.all("apps/deployments")),
        "services": sum(1 for _ in world.all("core/services")),
        "processes": len(world.processes),
    }
    told = ", ".join(f"{number} {name}" for name, number in counted.items())
    return f"{told} compared: {faults or 'no'} faults"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
