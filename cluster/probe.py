"""Asks a member how it is through the public client, and an API server over HTTPS."""

import asyncio
import contextlib
import datetime
import http.client
import ssl

import msgspec

from cluster.statuses import MemberStatus
from cluster.topology import TlsFiles
from kvstore import client
from kvstore.errors import KvError

_TIMEOUT_SECONDS = 2.0


class ApiProbe:
    """Asks an API server. `address`: `host:port`."""

    def __init__(self, address: str, admin: TlsFiles) -> None:
        self._address = address
        self._admin = admin

    async def is_ready(self) -> bool:
        """Tell whether it is ready for requests."""
        return await self._get("/readyz") is not None

    async def is_led(self, lease: str, now: float) -> bool:
        """Tell whether somebody holds a Lease in kube-system. `now`: seconds since 1970."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{lease}"
        body = await self._get(path)
        if body is None:
            return False
        try:
            spec = msgspec.json.decode(body, type=_Lease).spec
        except msgspec.MsgspecError:  # somebody has written something else there
            return False
        if not spec.holder or spec.renewed_at is None:
            return False
        return now < spec.renewed_at.timestamp() + spec.duration_seconds

    async def is_node_ready(self, name: str) -> bool:
        """Tell whether a Node can take pods."""
        body = await self._get(f"/api/v1/nodes/{name}")
        try:
            conditions = msgspec.json.decode(body or b"{}", type=_Node).status.conditions
        except msgspec.MsgspecError:
            return False
        return any(one.type == "Ready" and one.status == "True" for one in conditions)

    async def _get(self, path: str) -> bytes | None:
        return await asyncio.to_thread(self._get_blocking, path)

    def _get_blocking(self, path: str) -> bytes | None:
        """The body of a good answer; None: there is none, or our certificate is gone."""
        try:
            context = ssl.create_default_context(cafile=self._admin.authority)
            context.load_cert_chain(self._admin.certificate, self._admin.key)
            connection = http.client.HTTPSConnection(
                self._address, timeout=_TIMEOUT_SECONDS, context=context
            )
            with contextlib.closing(connection):
                connection.request("GET", path)
                response = connection.getresponse()
                body = response.read()
        except (OSError, http.client.HTTPException):
            return None
        return body if response.status == http.HTTPStatus.OK else None


class _LeaseSpec(msgspec.Struct, frozen=True):
    holder: str = msgspec.field(name="holderIdentity", default="")
    duration_seconds: int = msgspec.field(name="leaseDurationSeconds", default=0)
    renewed_at: datetime.datetime | None = msgspec.field(name="renewTime", default=None)


class _Lease(msgspec.Struct, frozen=True):
    spec: _LeaseSpec = _LeaseSpec()


class _Condition(msgspec.Struct, frozen=True):
    type: str = ""
    status: str = ""


class _NodeStatus(msgspec.Struct, frozen=True):
    conditions: tuple[_Condition, ...] = ()


class _Node(msgspec.Struct, frozen=True):
    status: _NodeStatus = _NodeStatus()


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
