"""Puts the parts of an API server together, and runs it."""

import asyncio
import logging
import random
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from controlplane.admission.review import Lister, Review
from controlplane.api import addresses, causes, errors
from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object
from controlplane.apiserver import usage_objects
from controlplane.apiserver.allocation import Allocator
from controlplane.apiserver.audit import Audit
from controlplane.apiserver.audit_log import AuditLog
from controlplane.apiserver.authentication import Authenticator
from controlplane.apiserver.authorization import Authorizer
from controlplane.apiserver.bootstrap import Bootstrap
from controlplane.apiserver.cacher import Cacher
from controlplane.apiserver.call import Call, Outgoing
from controlplane.apiserver.compaction import Compaction
from controlplane.apiserver.definitions import Definitions
from controlplane.apiserver.documents import Documents
from controlplane.apiserver.escalation import Escalation
from controlplane.apiserver.flow_control import FlowControl
from controlplane.apiserver.http import HttpServer
from controlplane.apiserver.metrics import Metrics
from controlplane.apiserver.nodes import Nodes, client_tls
from controlplane.apiserver.pipeline import Pipeline
from controlplane.apiserver.pod_streams import PodStreams
from controlplane.apiserver.pods import Pods
from controlplane.apiserver.reads import Reads
from controlplane.apiserver.reviews import Reviews
from controlplane.apiserver.scale import Scales
from controlplane.apiserver.server import ApiServer, Handler
from controlplane.apiserver.service_accounts import ServiceAccounts
from controlplane.apiserver.settings import Settings
from controlplane.apiserver.turns import Turns
from controlplane.apiserver.ui import Ui
from controlplane.apiserver.unsafe_deletion import UnsafeDeletion
from controlplane.apiserver.usage import Usage
from controlplane.apiserver.writes import Writes
from controlplane.encryption import Encryption
from controlplane.flags import SettingsError, unservable
from controlplane.objects import ObjectStore
from controlplane.tokens import Tokens
from controlplane.uids import new_uid
from kvstore.client import Client

logger = logging.getLogger(__name__)

# A member of the store ends now and then: who starts just then is no worse off than who serves.
_STORE_IS_AWAY = (503, 504)
_RETRY_SECONDS = 0.25

OWN_SERVICE = "default/kubernetes"
"""By which pods reach the API, at the first address of the range."""


class Assembly:
    """An API server with all its parts; `run` until cancelled."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self._settings = settings
        self.registry = Registry.builtin()
        transform = Encryption(settings.encryption_keys)
        self.cacher = Cacher(client, self.registry, transform)
        definitions = Definitions(self.registry, lambda: self.cacher.cache)
        self.cacher.on_advance(definitions.step)
        self.store = ObjectStore(client, transform=transform, releases=addresses.releases)
        self.allocator = Allocator(
            settings.service_range,
            range(settings.node_ports[0], settings.node_ports[1] + 1),
            self._is_claimed,
            random.Random(),
        )
        self.tokens = Tokens(
            settings.token_keys, issuer=settings.issuer, audiences=settings.audiences
        )
        self.lister = Lister(get=self.cacher.get, list=self.cacher.list_of)
        self.metrics = Metrics()
        self.cacher.measure(self.metrics)
        self.authorizer = Authorizer(self.cacher)
        self.authenticator = self._authenticator()
        if settings.agent_certificate:
            for one in usage_objects.resources():
                self.registry.add(one)
        reads = Reads(self.cacher, self.store, time.time)
        self.nodes = Nodes(
            lambda name: self.cacher.get("", "nodes", "", name),
            client_tls(settings.agent_certificate, settings.agent_key, settings.agent_authority),
        )
        self.turns = Turns(self.cacher.current, random.Random())
        self.writes = self._writes()
        self.server = ApiServer(
            registry=self.registry,
            authenticator=self.authenticator,
            authorizer=self.authorizer,
            documents=Documents(
                self.registry,
                self.tokens,
                self.metrics,
                self._checks(),
                Ui(self.store.client, settings.store.endpoints),
            ),
            handlers=self._handlers(reads, self.writes),
            flow_control=FlowControl(),
            audit=_audit(settings),
            metrics=self.metrics,
        )
        self.http = HttpServer(self.server.serve, _tls(settings), self.metrics)

    def _authenticator(self) -> Authenticator:
        return Authenticator(
            self.tokens,
            lambda plural, namespace, name: self.cacher.get("", plural, namespace, name),
            static_tokens=self._settings.static_tokens,
            allows_anonymous=self._settings.allows_anonymous,
            now=time.time,
        )

    def _writes(self) -> Writes:
        quotas = self.registry.find("", "v1", "resourcequotas")
        assert quotas is not None, "a built-in kind"
        return Writes(
            self.store,
            Pipeline(self._with_addresses, new_uid),
            self.lister,
            self.cacher.current,
            self.turns,
            Escalation(self.authorizer),
            quotas,
        )

    # ------------------------------------------------------------------ running

    async def run(self, announce: Callable[[str], None]) -> None:
        """Serve until cancelled; `announce` is told the URL once all is ready.

        Raises SettingsError where nothing can be served.
        """
        try:
            await self._run(announce)
        except BaseExceptionGroup as group:
            for error in group.exceptions:
                if isinstance(error, SettingsError):
                    raise error from None
            raise

    async def _run(self, announce: Callable[[str], None]) -> None:
        settings = self._settings
        http = self.http
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.cacher.run())
            await self.cacher.is_ready.wait()
            try:
                port = await http.listen(settings.host, settings.port)
            except OSError as error:
                raise unservable(
                    error,
                    settings.host,
                    settings.port,
                    host_flag="--bind-address",
                    port_flag="--secure-port",
                ) from None
            try:
                bootstrap = await self._bootstrap(port)
                scheme = "https" if settings.certificate else "http"
                compaction = Compaction(
                    self.store.client, interval_seconds=settings.compaction_seconds
                )
                tasks.create_task(compaction.run())
                tasks.create_task(bootstrap.keep_service())
                announce(f"{scheme}://{settings.advertise_address}:{port}")
                await asyncio.Event().wait()
            finally:
                await http.close()
                await self.nodes.close()

    async def _bootstrap(self, port: int) -> Bootstrap:
        address = self.allocator.first
        bootstrap = Bootstrap(
            self.store,
            self.registry,
            service_address=address,
            endpoints=[(self._settings.advertise_address, port)],
            claim_of={addresses.IP_PREFIX + address: OWN_SERVICE},
        )
        while True:
            try:
                await bootstrap.run()
                await self.cacher.current()
            except ApiError as error:
                if error.code not in _STORE_IS_AWAY:
                    raise
                logger.warning("what every cluster has cannot be made yet: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return bootstrap

    def _is_claimed(self, key: str) -> bool:
        return key in self.cacher.claims or key == addresses.IP_PREFIX + self.allocator.first

    def _with_addresses(self, review: Review, found: Object) -> Object:
        """A service with its addresses. The first is kept for our own, also while it is away."""
        made = self.allocator.mutate(review, found)
        first, owner = self.allocator.first, f"{review.namespace}/{review.name}"
        key = (addresses.IP_PREFIX + first).encode()
        if owner != OWN_SERVICE and any(claim.key == key for claim in review.claims):
            why = f"failed to allocate IP {first}: provided IP is already allocated"
            cause = causes.invalid("spec.clusterIPs", [first], why)
            raise errors.invalid("Service", "", review.name, [cause])
        return made

    # ------------------------------------------------------------------ handlers

    def _handlers(self, reads: Reads, writes: Writes) -> dict[tuple[str, str], Handler]:
        scales = Scales(reads, writes)
        pods = Pods(self.store, writes, self.turns, self.registry, self.lister, self.cacher.current)
        accounts = ServiceAccounts(reads, self.tokens, self.lister)
        streams = PodStreams(reads, self.nodes)
        unsafe = UnsafeDeletion(self.store.client, self.cacher, self.authorizer, writes.delete)

        async def delete_collection(call: Call) -> Outgoing:
            return await writes.delete_each(call, await reads.matching(call))

        usage = Usage(self.nodes, lambda: self.cacher.cache, time.time)
        handlers: dict[tuple[str, str], Handler] = {
            ("get", ""): _by_group({usage_objects.GROUP: usage.one}, reads.get),
            ("list", ""): _by_group({usage_objects.GROUP: usage.every}, reads.list),
            ("watch", ""): reads.watch,
            ("create", ""): self._creator(writes),
            ("update", ""): writes.update,
            ("patch", ""): writes.patch,
            ("delete", ""): unsafe.delete,
            ("deletecollection", ""): delete_collection,
            ("get", "scale"): scales.get,
            ("update", "scale"): scales.update,
            ("patch", "scale"): scales.patch,
            ("create", "binding"): pods.bind,
            ("create", "eviction"): pods.evict,
            ("create", "token"): accounts.token,
            ("get", "log"): streams.log,
            ("update", "finalize"): writes.update,
        }
        for plain in ("status", "ephemeralcontainers"):
            handlers["get", plain] = reads.get
            handlers["update", plain] = writes.update
            handlers["patch", plain] = writes.patch
        for verb in ("create", "get"):  # by SPDY, by WebSocket
            handlers[verb, "exec"] = streams.exec
            handlers[verb, "attach"] = streams.attach
            handlers[verb, "portforward"] = streams.port_forward
        return handlers

    def _creator(self, writes: Writes) -> Handler:
        """Reviews are posted as objects are, and kept nowhere."""
        reviews = Reviews(self.authenticator, self.authorizer)
        own: dict[str, Callable[[Call], Awaitable[Outgoing]]] = {
            "selfsubjectaccessreviews": reviews.self_subject_access,
            "subjectaccessreviews": reviews.subject_access,
            "localsubjectaccessreviews": reviews.local_subject_access,
            "selfsubjectrulesreviews": reviews.self_subject_rules,
            "tokenreviews": reviews.token,
            "selfsubjectreviews": reviews.self_subject,
        }

        async def create(call: Call) -> Outgoing:
            handler = own.get(call.resource.plural) if not call.resource.is_custom else None
            return await (handler or writes.create)(call)

        return create

    def _checks(self) -> dict[str, Callable[[], Awaitable[str]]]:
        async def store() -> str:
            try:
                await self.cacher.current()
            except ApiError as error:
                return error.message
            return ""

        return {"etcd": store, "informer-sync": store}


def _by_group(own: Mapping[str, Handler], others: Handler) -> Handler:
    """Groups whose objects are kept nowhere have handlers of their own."""

    async def handle(call: Call) -> Outgoing:
        return await own.get(call.resource.group, others)(call)

    return handle


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """Client certificates are asked for, and not needed: others show a token."""
    if not settings.certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.certificate, settings.key)
    if settings.client_authority:
        context.load_verify_locations(settings.client_authority)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _audit(settings: Settings) -> Audit:
    path = settings.audit_log
    write: Callable[[bytes], object] | None = None
    if path == "-":
        write = _print
    elif path:
        try:
            write = AuditLog(
                Path(path),
                bytes_max=settings.audit_megabytes_max * 1024 * 1024,
                backups_max=settings.audit_backups_max,
                now=time.time,
            ).write
        except OSError as error:
            told = f"--audit-log-path: cannot write {path}: {error.strerror}"
            raise SettingsError(told) from None
    return Audit(write, time.time, settings.audit_policy)


def _print(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
