"""Brings a local cluster up, the store's members and the control plane, and takes it down.

Everything about processes is `supervisor`'s, everything about shapes `topology`'s and
`components`'; the store is asked through `kvstore.client` only.
"""

import asyncio
import contextlib
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from cluster import (
    components,
    control,
    data_folder,
    kubeconfig,
    logs,
    output,
    pods,
    private_files,
    topology,
)
from cluster.components import Component
from cluster.data_folder import Loaded
from cluster.errors import LaunchError
from cluster.membership import OutcomeUnknownError, ensure_added, ensure_removed
from cluster.network import node_names
from cluster.ports import Ports
from cluster.probe import ApiProbe, probe
from cluster.statuses import ComponentStatus, MemberStatus
from cluster.supervisor import Supervisor
from cluster.topology import ClusterFile, MemberSpec, TlsFiles
from kvstore import client
from kvstore.errors import KvError

_PROBE_SECONDS = 0.25
_PATIENCE_SECONDS = 15.0
_LOGS_SECONDS = 60.0


class Launcher:
    """One local cluster in one data folder."""

    def __init__(self, folder: Path, loaded: Loaded, ports: Ports) -> None:
        self.folder = folder
        self.cluster = loaded.cluster
        self._certificates = loaded.certificates
        self._policies = loaded.policies
        self._ports = ports
        self._down = asyncio.Event()
        self._supervisors = {one.name: self._supervisor(one) for one in self.cluster.members}
        self._supervisors |= {one.name: self._component_supervisor(one) for one in self._components}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup
        self._changing = asyncio.Lock()  # of the membership: one change at a time

    def _supervisor(self, member: MemberSpec) -> Supervisor:
        certificates = self._certificates if self.cluster.is_tls else None
        arguments = topology.store_arguments(
            self.cluster, member, None if certificates is None else certificates.member
        )
        command = [sys.executable, "-m", "kvstore", *arguments]
        return Supervisor(lambda: command, self.folder / f"{member.name}.log", _say)

    def _component_supervisor(self, component: Component) -> Supervisor:
        def command() -> list[str]:
            [current] = [one for one in self._components if one.name == component.name]
            return [sys.executable, *current.arguments]

        return Supervisor(command, self._log_of(component), _say)

    @property
    def _components(self) -> tuple[Component, ...]:
        """The control plane, as it is to be started now."""
        if self._policies is None:
            return ()
        assert self._certificates is not None
        return components.components(self.cluster, self._certificates, self._policies)

    @property
    def _admin_tls(self) -> TlsFiles | None:
        """How the launcher, and a person, shows the store who it is."""
        if self._certificates is None or not self.cluster.is_tls:
            return None
        return self._certificates.store_admin

    def _log_of(self, component: Component) -> Path:
        return self.folder / f"{component.name}.log"

    # ------------------------------------------------------------------ running

    def leave(self) -> None:
        """End as `down` does; whoever says so again waits for no process, but for the pods' end."""
        if self._down.is_set():
            for supervisor in self._supervisors.values():
                supervisor.kill()
        self._down.set()

    async def run(self) -> None:
        """Start everything, report, supervise until `leave`, `down` or cancellation."""
        # Of a launcher that was killed pods may be left, of nodes that there are no more.
        await pods.end_all(self.folder, but=node_names(self.cluster.nodes))
        async with (
            control.serve(self.folder, self._on_request) as is_anothers,
            asyncio.TaskGroup() as self._tasks,
        ):
            for name in self._supervisors:
                self._supervise(name)
            others = [self._announce(), self._keep_logs_short()]
            beside = [self._tasks.create_task(one) for one in others]
            try:
                await self._down.wait()
            finally:
                for task in beside:
                    task.cancel()
                await self._stop(is_anothers)

    async def _stop(self, is_anothers: Callable[[], bool]) -> None:
        """The store ends last: who leaves gives back there what it holds."""
        for component in reversed(self._components):
            self._running[component.name].cancel()
            await asyncio.wait([self._running[component.name]])
        # Their objects stay, and so they begin again when the cluster does.
        if not is_anothers():
            await pods.end_all(self.folder)
        for task in self._running.values():
            task.cancel()

    async def _keep_logs_short(self) -> None:
        while True:
            await asyncio.sleep(_LOGS_SECONDS)
            for name in self._supervisors:
                with contextlib.suppress(OSError):
                    logs.trim(self.folder / f"{name}.log")

    def _supervise(self, name: str) -> None:
        self._running[name] = self._tasks.create_task(self._supervisors[name].run())

    async def statuses(self) -> tuple[list[MemberStatus], list[ComponentStatus]]:
        """What each member and component says of itself, asked at the same time."""
        members, control_plane = await asyncio.gather(
            asyncio.gather(*map(self._status, self.cluster.members)),
            asyncio.gather(*map(self._component_status, self._components)),
        )
        return list(members), list(control_plane)

    async def _status(self, member: MemberSpec) -> MemberStatus:
        supervisor = self._supervisors[member.name]
        status = MemberStatus(
            name=member.name,
            state=supervisor.state,
            client_address=topology.client_url(self.cluster, member),
            data_folder=member.folder,
            pid=supervisor.pid,
            restarts=supervisor.restarts,
        )
        return await probe(status, self._admin_tls) if status.state == "running" else status

    async def _component_status(self, component: Component) -> ComponentStatus:
        supervisor = self._supervisors[component.name]
        status = ComponentStatus(
            name=component.name,
            state=supervisor.state,
            address=component.address,
            log=str(self._log_of(component)),
            pid=supervisor.pid,
            restarts=supervisor.restarts,
        )
        if status.state != "running" or not await self._is_healthy(component):
            return status
        return msgspec.structs.replace(status, state="healthy")

    async def _is_healthy(self, component: Component) -> bool:
        assert self._certificates is not None
        url = component.ready_at or topology.api_url(self.cluster)
        api = ApiProbe(url.removeprefix("https://"), self._certificates.admin)
        if component.node:
            return await api.is_node_ready(component.node)
        if component.lease:
            return await api.is_led(component.lease, time.time())
        return await api.is_ready()

    async def _announce(self) -> None:
        """Print the tables and the word `healthy`, once, when all is."""
        if self.cluster.intended is not None:
            # It may count for the quorum already: then nothing works before it runs.
            answer = await self._change(self._add_member)
            _say(answer.get("done") or answer["error"])
        lines = self._paste_lines()
        members, control_plane = await self._until_healthy()
        _say(output.tables(members, control_plane))
        if self._policies is not None and not self.cluster.is_tls:
            _say("\nThe store serves plain HTTP, as this data folder was made.")
        _say("\n".join(("", *lines, "", "healthy")))

    async def _until_healthy(self) -> tuple[list[MemberStatus], list[ComponentStatus]]:
        """Wait for everyone; who takes long is named, and where it says why."""
        told_at = time.monotonic()
        while True:
            members, control_plane = await self.statuses()
            late = [member.name for member in members if not member.is_healthy]
            late += [component.name for component in control_plane if not component.is_healthy]
            if not late:
                return members, control_plane
            if time.monotonic() - told_at > _PATIENCE_SECONDS:
                told_at = time.monotonic()
                places = ", ".join(str(self.folder / f"{name}.log") for name in late)
                _say(f"waiting for {', '.join(late)}: see {places}")
            await asyncio.sleep(_PROBE_SECONDS)

    def _paste_lines(self) -> list[str]:
        """What works once all is healthy; with the kubeconfig that the lines name."""
        lines = topology.paste_lines(self.cluster, self._admin_tls, _program("kvctl"))
        if self._policies is None:
            return lines
        assert self._certificates is not None
        path = self.folder / "kubeconfig"
        text = kubeconfig.text(topology.api_url(self.cluster), self._certificates.admin)
        try:
            if not (path.exists() and kubeconfig.is_current(path.read_text(), text)):
                private_files.write(path, text.encode())
        except (OSError, ValueError) as error:
            _say(f"{path} stays as it is: {error}")
        return [*components.paste_lines(str(path), _program("cpctl")), "", *lines]

    async def _on_request(self, message: dict[str, Any]) -> dict[str, Any]:
        action, name = message.get("do"), message.get("name")
        if action == "status":
            members, control_plane = await self.statuses()
            return {
                "members": msgspec.to_builtins(members),
                "components": msgspec.to_builtins(control_plane),
            }
        if action == "pids":  # at once, whatever they are at
            return {name: one.pid for name, one in self._supervisors.items()}
        if action == "down":
            self._down.set()
            return {"done": "stopping"}
        if action == "add-member":
            return await self._change(self._add_member)
        if action == "hollow":
            return self._set_hollow(int(message.get("nodes") or 0))
        if action == "remove-member":
            return await self._change(lambda store: self._remove_member(store, str(name)))
        supervisor = self._supervisors.get(str(name))
        if supervisor is None:
            return {"error": f"nothing is called {name}: there is {', '.join(self._supervisors)}"}
        return _signal(supervisor, str(action), str(name))

    def _unknown(self, name: str) -> str:
        known = ", ".join(member.name for member in self.cluster.members)
        return f"no member is called {name}: the members are {known}"

    def _set_hollow(self, count: int) -> dict[str, Any]:
        """Have so many hollow nodes, in one process."""
        if self._policies is None:
            return {"error": "this cluster has no control plane"}
        try:
            self._save(msgspec.structs.replace(self.cluster, hollow=count))
        except OSError as error:
            return {"error": f"the hollow nodes stay as they are: {error}"}
        running = self._running.get(components.HOLLOW)
        if running is None and count:
            [made] = [one for one in self._components if one.name == components.HOLLOW]
            self._supervisors[made.name] = self._component_supervisor(made)
            self._supervise(made.name)
        elif running is not None and count:
            self._supervisors[components.HOLLOW].renew()
        elif running is not None:
            running.cancel()
            del self._running[components.HOLLOW], self._supervisors[components.HOLLOW]
        return {"done": f"{count} hollow nodes; objects of those that are no more stay NotReady"}

    # ------------------------------------------------------------------ members come and go

    async def _change(self, change: Callable[[client.Client], Awaitable[str]]) -> dict[str, Any]:
        """Ask the store for a change of its membership, then follow it."""
        endpoints = [topology.client_url(self.cluster, member) for member in self.cluster.members]
        try:
            async with self._changing, client.connect(endpoints, tls=self._material()) as store:
                return {"done": await change(store)}
        except OutcomeUnknownError as error:
            return {"error": str(error)}
        except OSError as error:
            return {"error": f"the launcher lacks a file: {error}"}
        except (KvError, LaunchError) as error:
            return {"error": f"the membership stays as it is: {error}"}

    def _material(self) -> client.Tls | None:
        tls = self._admin_tls
        if tls is None:
            return None
        return client.Tls.from_files(tls.authority, tls.certificate, tls.key)

    async def _add_member(self, store: client.Client) -> str:
        """Add a member and start it, or go on with the one that was to be added."""
        earlier = self.cluster.intended
        member = earlier or self._next_member()
        # Before the store is asked: the answer may be lost, or this process.
        self._save(self.cluster.with_member(member))
        url = topology.peer_url(self.cluster, member)
        try:
            await ensure_added(store, url)
        except KvError as error:
            if earlier is not None:
                raise OutcomeUnknownError(
                    f"{member.name} at {url} was to be added earlier, and that cannot be finished"
                    f" now: {error}. Try `cluster add-member` again, or give it up:"
                    f" `cluster remove-member {member.name}`"
                ) from None
            self._save(self.cluster.without_intended())
            raise
        member = topology.added(member)
        self._save(self.cluster.with_member(member))
        self._supervisors[member.name] = self._supervisor(member)
        self._supervise(member.name)
        return f"added {member.name} at {topology.client_url(self.cluster, member)}"

    def _next_member(self) -> MemberSpec:
        if len(self.cluster.members) == topology.MEMBERS_MAX:
            raise LaunchError(f"a cluster has at most {topology.MEMBERS_MAX} members")
        ports = data_folder.free_ports(self._ports, self.cluster.all_members)
        return topology.next_member(self.cluster, ports, str(self.folder))

    async def _remove_member(self, store: client.Client, name: str) -> str:
        known = (*self.cluster.members, self.cluster.intended)
        spec = next(
            (member for member in known if member is not None and member.name == name), None
        )
        if spec is None:
            raise LaunchError(self._unknown(name))
        await ensure_removed(store, topology.peer_url(self.cluster, spec))
        self._save(self.cluster.without_member(spec))
        running = self._running.pop(name, None)
        if running is not None:  # else it was to be added only
            running.cancel()
            del self._supervisors[name]
        for component in self._components:  # they know the members by their command lines
            self._supervisors[component.name].renew()
        return f"removed {name}; delete its data folder {spec.folder} once the others serve"

    def _save(self, cluster: ClusterFile) -> None:
        data_folder.save(self.folder, cluster)  # what cannot be remembered has not happened
        self.cluster = cluster


def _signal(supervisor: Supervisor, action: str, name: str) -> dict[str, Any]:
    match action:
        case "kill":
            supervisor.kill()
        case "start":
            supervisor.start()
        case "pause" | "resume" if supervisor.pid is None:
            return {"error": f"{name} does not run: `cluster start {name}` first"}
        case "pause":
            supervisor.pause()
        case "resume":
            supervisor.resume()
        case _:
            return {"error": f"unknown request: {action}"}
    return {"done": f"{action} {name}"}


def _say(text: str) -> None:
    """Tell whoever started it. If nobody listens any more, what runs goes on."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def _program(name: str) -> str:
    """How a person calls a program of ours: by its name where that is enough."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if shutil.which(name) is None and beside.exists() else name
