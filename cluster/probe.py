"""Asks a member how it is through the public client, and an API server over HTTPS."""

import asyncio
import contextlib
import http.client
import ssl

import msgspec

from cluster.topology import TlsFiles
from kvstore import client
from kvstore.errors import KvError

_TIMEOUT_SECONDS = 2.0


class MemberStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `cluster status`. `state`: starting, running, healthy, paused or stopped."""

    name: str
    state: str
    client_address: str
    data_folder: str
    pid: int | None = None
    restarts: int = 0
    role: str = ""
    term: int = 0
    raft_index: int = 0

    @property
    def is_healthy(self) -> bool:
        """Tell whether it answered a linearizable read."""
        return self.state == "healthy"


class ComponentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the control plane. `state` as a member's; `address`: where it serves HTTPS."""

    name: str
    state: str
    address: str
    log: str
    pid: int | None = None
    restarts: int = 0

    @property
    def is_healthy(self) -> bool:
        """Tell whether it is ready for requests."""
        return self.state == "healthy"


async def probe_component(status: ComponentStatus, admin: TlsFiles) -> ComponentStatus:
    """With the state `healthy` if it says that it is ready."""
    is_ready = await asyncio.to_thread(_is_ready, status.address.removeprefix("https://"), admin)
    return msgspec.structs.replace(status, state="healthy") if is_ready else status


def _is_ready(address: str, admin: TlsFiles) -> bool:
    context = ssl.create_default_context(cafile=admin.authority)
    context.load_cert_chain(admin.certificate, admin.key)
    connection = http.client.HTTPSConnection(address, timeout=_TIMEOUT_SECONDS, context=context)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False


async def probe(status: MemberStatus, tls: TlsFiles | None) -> MemberStatus:
    """Fill in role, term and health; what cannot be asked stays as it is."""
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS), _connect(status, tls) as member:
            status = _described(status, await member.maintenance.status())
            await member.get(b"\0")  # a linearizable read needs a quorum
            # Again: the read may have waited for an election.
            status = _described(status, await member.maintenance.status())
    except (KvError, TimeoutError, OSError):
        return status
    return msgspec.structs.replace(status, state="healthy")


def _described(status: MemberStatus, answer: client.Status) -> MemberStatus:
    return msgspec.structs.replace(
        status,
        role="leader" if answer.leader == answer.header.member_id else "follower",
        term=answer.raft_term,
        raft_index=answer.raft_applied_index,
    )


def _connect(status: MemberStatus, tls: TlsFiles | None) -> client.Client:
    material = None
    if tls is not None:
        material = client.Tls.from_files(tls.authority, tls.certificate, tls.key)
    return client.connect(
        [status.client_address], tls=material, request_timeout_seconds=_TIMEOUT_SECONDS
    )
