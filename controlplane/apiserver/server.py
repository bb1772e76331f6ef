"""The chain that every request goes through, and who handles it in the end.

authentication → impersonation → authorisation → its body → its turn → handler → its client has the
answer. A handler is a function of a `Call`; which one is said by the verb and the sub-resource.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from controlplane.api import errors, selectors
from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.apiserver import authentication
from controlplane.apiserver.audit import ID_HEADER, Audit, Audited
from controlplane.apiserver.authentication import Authenticator
from controlplane.apiserver.authorization import Authorizer
from controlplane.apiserver.call import (
    Call,
    CutError,
    Deliver,
    Outgoing,
    Sink,
    StalledError,
    Streaming,
    Upgrading,
    rendered,
    warning,
)
from controlplane.apiserver.documents import Documents
from controlplane.apiserver.flow_control import FlowControl
from controlplane.apiserver.incoming import Answer, Incoming, Target, target_of
from controlplane.apiserver.large_bodies import LargeBodies
from controlplane.apiserver.metrics import Metrics
from controlplane.apiserver.rbac import Attributes
from controlplane.apiserver.selection import form_of
from controlplane.apiserver.uploads import Uploads
from controlplane.apiserver.users import User
from controlplane.apiserver.watches import error_line
from controlplane.upgrades import Connection

REQUEST_SECONDS_MAX = 60.0  # 2.23: to be handled; a watch lasts as long as it says

Handler = Callable[[Call], Awaitable[Outgoing]]

_log = logging.getLogger(__name__)


async def _kept(answer: Answer) -> None:
    """Whoever asks in this process has the answer at once."""


class ApiServer:
    """`serve` answers every request, also those that nobody may make and those that fail.

    handlers  (verb, sub-resource or empty) -> handler
    """

    def __init__(
        self,
        *,
        registry: Registry,
        authenticator: Authenticator,
        authorizer: Authorizer,
        documents: Documents,
        handlers: dict[tuple[str, str], Handler],
        flow_control: FlowControl,
        audit: Audit,
        metrics: Metrics,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._registry = registry
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._documents = documents
        self._handlers = handlers
        self._flow_control = flow_control
        self._audit = audit
        self._metrics = metrics
        self._now = now
        self._uploads = Uploads()
        self._large_bodies = LargeBodies()
        self._measure()

    def _measure(self) -> None:
        gauge, flow = self._metrics.gauge, self._flow_control
        gauge(
            "apiserver_current_inflight_requests",
            "Requests that have a seat.",
            lambda: flow.readings(waiting=False),
        )
        gauge(
            "apiserver_current_inqueue_requests",
            "Requests that wait for one.",
            lambda: flow.readings(waiting=True),
        )
        gauge(
            "apiserver_held_body_bytes",
            "Bytes of bodies that have come, of requests that are not answered yet.",
            lambda: {(): self._uploads.held_bytes},
        )

    async def serve(self, incoming: Incoming, deliver: Deliver = _kept) -> Outgoing:
        """Answer a request; an error becomes its `Status`.

        An `Answer` has been delivered when it is returned: it keeps its seat until its client has
        it. A `Streaming` is the caller's to run.
        """
        target = target_of(incoming.method, incoming.path, incoming.query)
        begun = time.monotonic()
        audited = self._audit.begin(incoming, target)
        outgoing: Outgoing
        warnings: list[str] = []

        async def answer(found: Answer) -> None:
            found.headers = (*map(warning, warnings), *found.headers)
            await deliver(_identified(found, audited))

        try:
            user = self._authenticator.identify(incoming)
            audited.identified(user)
            actor = self._acting_for(incoming, user)
            if actor is not user:
                audited.acts_for(actor)
            outgoing = await self._answer(incoming, target, actor, audited, answer, warnings)
            if isinstance(outgoing, Streaming):
                outgoing.headers = tuple(map(warning, warnings))
        except ApiError as error:
            outgoing = await _told(incoming, error)
            await answer(outgoing)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad request must not end the server
            _log.exception("%s %s", incoming.method, incoming.path)
            audited.panicked()
            outgoing = Answer.of_error(errors.internal(type(error).__name__))
            await answer(outgoing)
        code = _code_of(outgoing)
        seconds = time.monotonic() - begun
        self._metrics.observe(incoming.method, self._served(target), code, seconds)
        if isinstance(outgoing, Streaming):
            return _audited_to_its_end(outgoing, audited)
        if isinstance(outgoing, Upgrading):
            return _audited_upgrade(outgoing, audited)
        audited.answered(outgoing)
        return outgoing

    def _served(self, target: Target | None) -> Target | None:
        """The same, if there is such a resource; its words may be anything otherwise."""
        if target is None or not target.verb:
            return None
        resource = self._registry.find(target.group, target.version, target.plural)
        is_known = resource is not None and target.subresource in ("", *resource.subresources)
        return target if is_known else None

    def _acting_for(self, incoming: Incoming, user: User) -> User:
        wanted = authentication.impersonated(incoming)
        if wanted is None:
            return user
        acted, needed = wanted
        for asked in needed:
            self._authorizer.require(user, asked)
        return acted

    async def _answer(
        self,
        incoming: Incoming,
        target: Target | None,
        user: User,
        audited: Audited,
        deliver: Deliver,
        warnings: list[str],
    ) -> Outgoing:
        """`warnings` gets what is told in any case, also of a request that fails."""
        asked = _attributes(target, incoming)
        audited.decision = "forbid"
        self._authorizer.require(user, asked)
        audited.decision = "allow"
        if target is None:
            async with self._flow_control.seat(user, asked):
                document = await self._documents.answer(incoming, user)
                await deliver(document)
            return document
        resource = self._registry.find(target.group, target.version, target.plural)
        if (
            resource is None
            or target.rest  # nothing is behind any sub-resource that there is
            or _is_out_of_place(target, is_namespaced=resource.is_namespaced)
        ):
            raise errors.no_such_path()
        if not target.verb:
            raise errors.method_not_allowed(target.plural, target.group, incoming.method)
        if resource.deprecation:
            warnings.append(resource.deprecation)
        handler = self._handler(target, resource.verbs, resource.subresources)
        if resource.is_namespaced and not target.namespace and target.verb not in _ACROSS:
            if target.name:
                raise errors.no_such_path()
            raise errors.method_not_allowed(target.plural, target.group, target.verb)
        call = Call(
            incoming=incoming,
            target=target,
            resource=resource,
            user=user,
            now=self._now(),
            warnings=[],
        )
        with self._uploads.room(user.name) as take:
            if incoming.receive is not None:
                incoming.body = await incoming.receive(take)
            async with self._flow_control.seat(user, asked):
                return await self._handled(call, handler, deliver)

    async def _handled(self, call: Call, handler: Handler, deliver: Deliver) -> Outgoing:
        """Raises ApiError 406 before anything is done, 504 when it takes too long."""
        form = call.form
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                await self._large_bodies.read(call.incoming)
                outgoing = await handler(call)
                if isinstance(outgoing, Answer):
                    outgoing = await rendered(form, outgoing)
        except TimeoutError:
            told = "the request timed out: what became of it is not known"
            raise errors.timeout(told) from None
        if isinstance(outgoing, Answer):
            await deliver(outgoing)
        return outgoing

    def _handler(
        self, target: Target, verbs: tuple[str, ...], subresources: tuple[str, ...]
    ) -> Handler:
        if target.subresource:
            if target.subresource not in subresources:
                raise errors.no_such_path()
            handler = self._handlers.get((target.verb, target.subresource))
        elif target.verb in verbs and bool(target.name) is _HAS_NAME.get(
            target.verb, bool(target.name)
        ):
            handler = self._handlers.get((target.verb, ""))
        else:
            handler = None
        if handler is None:
            raise errors.method_not_allowed(target.plural, target.group, target.verb)
        return handler


_SWITCHED = 101  # to another protocol

_O = TypeVar("_O", Answer, Streaming, Upgrading)


def _code_of(outgoing: Outgoing) -> int:
    match outgoing:
        case Answer():
            return outgoing.code
        case Streaming():
            return 200
        case Upgrading():
            return _SWITCHED


def _identified(outgoing: _O, audited: Audited) -> _O:
    """The same, with its audit's id."""
    headers = (*outgoing.headers, (ID_HEADER, audited.audit_id))
    return msgspec.structs.replace(outgoing, headers=headers)


def _audited_to_its_end(streaming: Streaming, audited: Audited) -> Streaming:
    run = streaming.run

    async def audited_run(sink: Sink) -> None:
        audited.stream_began()
        try:
            await run(sink)
        except ApiError as error:
            sink.write(error_line(error.status))
        except (CutError, StalledError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - its client hears of it as others do
            _log.exception("a watch, audited as %s", audited.audit_id)
            audited.panicked()
            sink.write(error_line(errors.internal(type(error).__name__).status))
        finally:
            audited.stream_ended()

    return msgspec.structs.replace(_identified(streaming, audited), run=audited_run)


def _audited_upgrade(upgrading: Upgrading, audited: Audited) -> Upgrading:
    run = upgrading.run

    async def audited_run(connection: Connection) -> None:
        audited.stream_began(_SWITCHED)
        try:
            await run(connection)
        finally:
            audited.stream_ended(_SWITCHED)

    return msgspec.structs.replace(_identified(upgrading, audited), run=audited_run)


_HAS_NAME = {"create": False, "update": True, "patch": True}
_OF_ONE_NAME = frozenset(("list", "watch", "deletecollection"))
_ACROSS = frozenset(("list", "watch"))  # of all namespaces together


def _is_out_of_place(target: Target, *, is_namespaced: bool) -> bool:
    """A path in a namespace, whose rights were asked for, of what is in none."""
    is_namespace = (target.group, target.plural) == ("", "namespaces")
    return bool(target.namespace) and not is_namespaced and not is_namespace


async def _told(incoming: Incoming, error: ApiError) -> Answer:
    """In the text that is wanted; in JSON if there is none."""
    answer = Answer.of_error(error)
    try:
        return await rendered(form_of(incoming), answer)
    except ApiError:
        return answer


def _attributes(target: Target | None, incoming: Incoming) -> Attributes:
    """A list or watch of one name by a field selector is about this name, as documented for rules
    with resourceNames. What is no request for a resource is one for a path.
    """
    if target is None or not target.verb:
        return Attributes(verb=incoming.method.lower(), path=incoming.path)
    name = target.name
    fields = incoming.query.text("fieldSelector")
    if not name and fields and target.verb in _OF_ONE_NAME:
        with contextlib.suppress(ApiError):  # whoever handles it will say what is wrong
            name = selectors.parse_fields(fields).exact("metadata.name") or ""
    return Attributes(
        verb=target.verb,
        group=target.group,
        resource=target.resource,
        namespace=target.namespace,
        name=name,
    )
