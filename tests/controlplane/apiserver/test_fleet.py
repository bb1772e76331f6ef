"""The example of a controller, as README.md tells a user to run it."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import yaml

from controlplane import controller
from controlplane.api.registry import Registry
from controlplane.controllers import custom_resource_names, garbage_collector
from controlplane.controllers.context import Context
from controlplane.events import EventRecorder
from kvstore.testing.processes import ClusterProcesses
from tests.controlplane.apiserver.conftest import Api

ROOT = Path(__file__).parents[3]
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FLEETS = "/apis/sea.example.com/v1/namespaces/default/fleets"
SHIPS = "/apis/sea.example.com/v1/namespaces/default/ships"
WAIT_SECONDS_MAX = 60.0


async def _until_ships(api: Api, *names: str) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while await _names(api) != list(names):  # noqa: ASYNC110 - the API does not know of it
            await asyncio.sleep(0.05)


async def _names(api: Api) -> list[str] | None:
    """None: the kind is not served yet."""
    answered = await api.ask("GET", SHIPS)
    if answered.code == 404:
        return None
    return [one["metadata"]["name"] for one in answered.body["items"]]


async def _built_in(api: Api) -> None:
    """What `cluster up` runs besides."""
    async with EventRecorder(api.assembly.store, "test") as recorder:
        context = Context(registry=Registry.builtin(), recorder=recorder)
        makes = (custom_resource_names.controller, garbage_collector.controller)
        await controller.run([make(context) for make in makes], api.assembly.store)


async def test_fleet_of_the_example(api: Api, member: ClusterProcesses) -> None:
    """11.7, 3.2: defined, filled, resized through the API; what it owns goes with it."""
    built_in = asyncio.create_task(_built_in(api))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "examples.fleet",
        f"--store-endpoints={member.endpoints[0]}",
        cwd=ROOT,
    )
    try:
        for one in yaml.safe_load_all((ROOT / "examples/fleet.yaml").read_text()):
            await api.good("POST", DEFINITIONS, one)
        await _until_ships(api)
        body: dict[str, Any] = {
            "apiVersion": "sea.example.com/v1",
            "kind": "Fleet",
            "metadata": {"name": "north"},
            "spec": {"size": 3},
        }
        await api.good("POST", FLEETS, body)
        await _until_ships(api, "north-0", "north-1", "north-2")
        patch = {"content_type": "application/merge-patch+json"}
        await api.good("PATCH", f"{FLEETS}/north", {"spec": {"size": 1}}, **patch)
        await _until_ships(api, "north-0")
        status = await api.fault("PATCH", f"{FLEETS}/north", {"spec": {"size": -1}}, **patch)
        assert status["reason"] == "Invalid"
        await api.good("DELETE", f"{FLEETS}/north")
        await _until_ships(api)
        assert process.returncode is None, "it runs until it is told to end"
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), WAIT_SECONDS_MAX)
    finally:
        if process.returncode is None:
            process.kill()
        built_in.cancel()
        await asyncio.wait([built_in])
