"""Brings the members of a local cluster up, keeps them up, and takes them down.

Everything about processes is `supervisor`'s, everything about shapes `topology`'s; the store is
asked through `kvstore.client` only.
"""

import asyncio
import contextlib
import fcntl
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from cluster import certificates, control, topology
from cluster.membership import OutcomeUnknownError, ensure_added, ensure_removed
from cluster.probe import MemberStatus, probe
from cluster.supervisor import Supervisor
from cluster.topology import ClusterFile, MemberSpec, TlsFiles
from kvstore import client
from kvstore.errors import KvError

_PROBE_SECONDS = 0.25
_FILE_NAME = "cluster.json"


class LaunchError(Exception):
    """The cluster cannot be started as asked; the message says what to do."""


class Launcher:
    """One local cluster in one data folder."""

    def __init__(self, folder: Path, cluster: ClusterFile, tls: TlsFiles | None) -> None:
        self.folder = folder
        self.cluster = cluster
        self.tls = tls
        self._down = asyncio.Event()
        self._supervisors = {member.name: self._supervisor(member) for member in cluster.members}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup
        self._changing = asyncio.Lock()  # of the membership: one change at a time

    def _supervisor(self, member: MemberSpec) -> Supervisor:
        arguments = topology.store_arguments(self.cluster, member, self.tls)
        return Supervisor(
            [sys.executable, "-m", "kvstore", *arguments], self.folder / f"{member.name}.log"
        )

    async def run(self) -> None:
        """Start all members, report, supervise until `down` or cancellation."""
        async with control.serve(self.folder, self._on_request), asyncio.TaskGroup() as self._tasks:
            for name in self._supervisors:
                self._supervise(name)
            announcing = self._tasks.create_task(self._announce())
            try:
                await self._down.wait()
            finally:
                announcing.cancel()
                for task in self._running.values():
                    task.cancel()

    def _supervise(self, name: str) -> None:
        self._running[name] = self._tasks.create_task(self._supervisors[name].run())

    async def statuses(self) -> list[MemberStatus]:
        """What each member says of itself, asked at the same time."""
        return list(await asyncio.gather(*map(self._status, self.cluster.members)))

    async def _status(self, member: MemberSpec) -> MemberStatus:
        supervisor = self._supervisors[member.name]
        status = MemberStatus(
            name=member.name,
            state="running",
            client_address=topology.client_url(self.cluster, member),
            data_folder=member.folder,
            pid=supervisor.pid,
            restarts=supervisor.restarts,
        )
        if supervisor.pid is None:
            state = "starting" if supervisor.is_wanted else "stopped"
            return msgspec.structs.replace(status, state=state)
        if supervisor.is_paused:
            return msgspec.structs.replace(status, state="paused")
        return await probe(status, self.tls)

    async def _announce(self) -> None:
        """Print the table and the word `healthy`, once, when all members are."""
        if self.cluster.intended is not None:
            # It may count for the quorum already: then nothing works before it runs.
            answer = await self._change(self._add_member)
            print(answer.get("done") or answer.get("error"), flush=True)
        statuses = await self.statuses()
        while not all(status.is_healthy for status in statuses):
            await asyncio.sleep(_PROBE_SECONDS)
            statuses = await self.statuses()
        print(table(statuses))
        print()
        for line in topology.paste_lines(self.cluster, self.tls):
            print(line)
        print("\nhealthy", flush=True)

    async def _on_request(self, message: dict[str, Any]) -> dict[str, Any]:
        action, name = message.get("do"), message.get("name")
        if action == "status":
            return {"members": [msgspec.to_builtins(s) for s in await self.statuses()]}
        if action == "down":
            self._down.set()
            return {"done": "stopping all members"}
        if action == "add-member":
            return await self._change(self._add_member)
        if action == "remove-member":
            return await self._change(lambda store: self._remove_member(store, str(name)))
        supervisor = self._supervisors.get(str(name))
        if supervisor is None:
            return {"error": self._unknown(str(name))}
        return _signal(supervisor, str(action), str(name))

    def _unknown(self, name: str) -> str:
        known = ", ".join(self._supervisors)
        return f"no member is called {name}: the members are {known}"

    # ------------------------------------------------------------------ members come and go

    async def _change(self, change: Callable[[client.Client], Awaitable[str]]) -> dict[str, Any]:
        """Ask the store for a change of its membership, then follow it."""
        endpoints = [topology.client_url(self.cluster, member) for member in self.cluster.members]
        try:
            async with self._changing, client.connect(endpoints, tls=self._material()) as store:
                return {"done": await change(store)}
        except OutcomeUnknownError as error:
            return {"error": str(error)}
        except (KvError, LaunchError) as error:
            return {"error": f"the membership stays as it is: {error}"}

    def _material(self) -> client.Tls | None:
        tls = self.tls
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
        return topology.next_member(self.cluster, free_ports(self.cluster), str(self.folder))

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
        return f"removed {name}; delete its data folder {spec.folder} once the others serve"

    def _save(self, cluster: ClusterFile) -> None:
        self.cluster = cluster
        _write(self.folder / _FILE_NAME, cluster)


def _write(path: Path, cluster: ClusterFile) -> None:
    partial = path.with_suffix(".tmp")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(cluster)) + b"\n")
    partial.replace(path)


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


def table(statuses: list[MemberStatus]) -> str:
    """Members as a table for people."""
    rows = [("MEMBER", "ROLE", "TERM", "CLIENT ADDRESS", "DATA FOLDER")]
    rows += [
        (s.name, s.role or s.state, str(s.term or "-"), s.client_address, s.data_folder)
        for s in statuses
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the data folder: two launchers must not run the same members."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "cluster.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LaunchError(
                f"a cluster runs in {folder} already: `cluster status --data {folder}` shows it, "
                f"`cluster down --data {folder}` stops it"
            ) from error
        yield


def load_or_create(
    folder: Path, count: int | None, is_tls: bool
) -> tuple[ClusterFile, TlsFiles | None]:
    """The cluster of a data folder; a new one gets free ports and remembers them."""
    path = folder / _FILE_NAME
    if path.exists():
        try:
            cluster = msgspec.json.decode(path.read_bytes(), type=ClusterFile)
        except msgspec.MsgspecError as error:
            raise LaunchError(f"{path} is damaged ({error}): use another --data") from error
        if count is not None and count != len(cluster.members):
            raise LaunchError(
                f"the cluster in {folder} has {len(cluster.members)} members, not {count}: "
                "leave --members out, or use another --data"
            )
        _refuse_busy_ports(cluster)
    else:
        pairs = [pair for pair in topology.port_pairs(count or 3) if all(map(_is_free, pair))]
        token = secrets.token_hex(8)
        members = topology.members(count or 3, pairs, str(folder))
        cluster = ClusterFile(token, members, is_tls)
        _write(path, cluster)
    tls = certificates.ensure(folder / "certificates") if cluster.is_tls else None
    return cluster, tls


def free_ports(cluster: ClusterFile) -> tuple[int, int]:
    """Client and peer port for one more member."""
    taken = {member.client_port for member in cluster.all_members}
    pairs = topology.port_pairs(topology.MEMBERS_MAX)
    return next(p for p in pairs if p[0] not in taken and all(map(_is_free, p)))


def _refuse_busy_ports(cluster: ClusterFile) -> None:
    for member in cluster.members:
        for port in (member.client_port, member.peer_port):
            if not _is_free(port):
                raise LaunchError(
                    f"port {port} of {member.name} is in use by another program: stop it, "
                    "or start a new cluster with another --data"
                )


def _is_free(port: int) -> bool:
    with socket.socket() as probe_socket:
        probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe_socket.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
