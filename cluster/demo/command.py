"""`cluster demo`: plays the story on the cluster of a data folder, and prints it."""

import argparse
import asyncio
import sys
from pathlib import Path

from cluster import control
from cluster.demo import report
from cluster.demo.api import Api
from cluster.demo.story import Story, faults_of
from controlplane.ctl import kubeconfig
from controlplane.ctl.client import ApiClient


def run(options: argparse.Namespace) -> int:
    """Exit status 0: all healed, and no request was lost where none may be.

    Raises NotRunningError, controlplane.ctl.errors.CtlError.
    """
    return asyncio.run(_play(options.data))


async def _play(folder: Path) -> int:
    await control.require_healthy(folder)
    access = kubeconfig.load(folder / "kubeconfig", None)
    async with ApiClient(access, lambda warning: print(warning, file=sys.stderr)) as client:

        async def pids() -> dict[str, int]:
            return await _pids(folder)

        print(report.HEADER.rstrip(), flush=True)
        story = Story(Api(client), pids, lambda told: print(report.line(told), flush=True))
        try:
            told = await story.run()
        except TimeoutError as error:
            print(f"cluster: {error}", file=sys.stderr)
            return 1
    faults = faults_of(told)
    print(report.ending(faults))
    return 1 if faults else 0


async def _pids(folder: Path) -> dict[str, int]:
    answer = await control.request(folder, {"do": "status"})
    found = {row["name"]: row["pid"] for row in (*answer["members"], *answer["components"])}
    leaders = [row["pid"] for row in answer["members"] if row.get("role") == "leader"]
    if leaders:
        found["leader"] = leaders[0]
    return {name: pid for name, pid in found.items() if pid is not None}
