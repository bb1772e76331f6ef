"""The audit log: who asked for what, and what came of it, as JSON lines.

Source: Kubernetes' documentation, "Auditing", and the API reference of audit.k8s.io/v1 Event;
kube-behaviour 11.10. How much is told is the policy's.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from controlplane.api.errors import ApiError
from controlplane.apiserver import audit_policy
from controlplane.apiserver.audit_policy import NAMES, Chosen, Level, Policy
from controlplane.apiserver.incoming import Answer, Incoming, Target
from controlplane.apiserver.large_bodies import LARGE_BYTES
from controlplane.apiserver.users import User
from controlplane.uids import new_uid

ID_HEADER = "Audit-Id"
_ID_LENGTH_MAX = 64
_OBJECTS = ("requestObject", "responseObject")
_DECISION = "authorization.k8s.io/decision"

_log = logging.getLogger(__name__)


class Audit:
    """write: takes a line; None: nothing is kept. now: seconds since 1970."""

    def __init__(
        self,
        write: Callable[[bytes], object] | None,
        now: Callable[[], float],
        policy: Policy = audit_policy.EVERYTHING,
    ) -> None:
        self._write = write
        self._policy = policy
        self.now = now

    def begin(self, incoming: Incoming, target: Target | None) -> "Audited":
        """A request has come."""
        return Audited(self, incoming, target)

    def choose(self, user: User | None, verb: str, target: Target | None, path: str) -> Chosen:
        """What is told of a request."""
        if self._write is None:
            return _NOTHING
        return self._policy.choose(user, verb, target, path)

    def tell(self, event: Mapping[str, Any]) -> None:
        """Write an event."""
        assert self._write is not None, "who tells nothing chooses nothing"
        try:
            line = orjson.dumps(event)
        except orjson.JSONEncodeError:  # YAML says more than JSON can: it is not stored, either
            line = orjson.dumps({word: event[word] for word in event if word not in _OBJECTS})
        try:
            self._write(line + b"\n")
        except OSError as error:
            # What was answered was done: it cannot be taken back for a line that is missing.
            _log.error("a line of the audit log is lost: %s", error)


_NOTHING = Chosen(level=Level.NONE)


class Audited:
    """One request: each method is a stage of it, or something that is known by then."""

    def __init__(self, audit: Audit, incoming: Incoming, target: Target | None) -> None:
        self._audit = audit
        self._incoming = incoming
        self._target = target
        self._received = audit.now()
        self._chosen = _NOTHING
        self._user: User | None = None
        self._actor: User | None = None
        self._is_panic = False
        self.decision = ""
        """Of the authorisation: `allow` or `forbid`; empty: it was not asked."""
        self.audit_id = _id(incoming)
        """What the client gets in the header `Audit-Id`; its own if it has sent one."""

    def identified(self, user: User) -> None:
        """It is known who asks."""
        self._user = user
        self._choose()
        self._tell(audit_policy.REQUEST_RECEIVED)

    def acts_for(self, actor: User) -> None:
        """The user may, and does, act for another one."""
        self._actor = actor

    def panicked(self) -> None:
        """Our own fault."""
        self._is_panic = True

    def answered(self, answer: Answer) -> None:
        """It came to its end."""
        stage = audit_policy.PANIC if self._is_panic else audit_policy.RESPONSE_COMPLETE
        if self._user is None:
            self._choose()  # by rules that are nobody's
            stage = audit_policy.RESPONSE_STARTED
        self._tell(stage, answer)

    def stream_began(self, code: int = 200) -> None:
        """What lasts has begun to be answered."""
        self._tell(audit_policy.RESPONSE_STARTED, Answer(code=code))

    def stream_ended(self, code: int = 200) -> None:
        """… and has ended."""
        self._tell(audit_policy.RESPONSE_COMPLETE, Answer(code=code))

    @property
    def _verb(self) -> str:
        return self._incoming.method.lower() if self._target is None else self._target.verb

    def _choose(self) -> None:
        self._chosen = self._audit.choose(self._user, self._verb, self._target, self._incoming.path)

    def _tell(self, stage: str, answer: Answer | None = None) -> None:
        chosen = self._chosen
        if chosen.level is Level.NONE or stage in chosen.omitted:
            return
        event = self._event(stage)
        if answer is not None:
            self._add_outcome(event, answer)
        self._audit.tell(event)

    def _event(self, stage: str) -> dict[str, Any]:
        incoming, target = self._incoming, self._target
        query = incoming.query.raw
        event: dict[str, Any] = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": NAMES[self._chosen.level],
            "auditID": self.audit_id,
            "stage": stage,
            "requestURI": f"{incoming.path}?{query}" if query else incoming.path,
            "verb": self._verb,
            "user": {} if self._user is None else self._user.info,
            "sourceIPs": [incoming.remote] if incoming.remote else [],
            "userAgent": incoming.header("user-agent"),
            "requestReceivedTimestamp": _moment(self._received),
            "stageTimestamp": _moment(self._audit.now()),
        }
        if target is not None:
            event["objectRef"] = _reference(target)
        if self._actor is not None:
            event["impersonatedUser"] = self._actor.info
        if self.decision:
            event["annotations"] = {_DECISION: self.decision}
        return event

    def _add_outcome(self, event: dict[str, Any], answer: Answer) -> None:
        event["responseStatus"] = _status(answer)
        target, level = self._target, self._chosen.level
        if target is None or not target.verb:
            return
        is_nameless = target.verb == "create" and not target.name
        sent = _sent(self._incoming) if is_nameless or level >= Level.REQUEST else None
        if is_nameless and (name := _name(sent)):
            event["objectRef"]["name"] = name
        if level >= Level.REQUEST and sent is not None:
            event["requestObject"] = self._told(sent)
        if level >= Level.REQUEST_RESPONSE and (got := _json(answer.body)) is not None:
            event["responseObject"] = self._told(got)

    def _told(self, found: Any) -> Any:
        return _without_managed_fields(found) if self._chosen.omits_managed_fields else found


def _id(incoming: Incoming) -> str:
    own = incoming.header("audit-id")
    # It goes into a header and a log: what is no plain word is none of an honest client.
    if own and len(own) <= _ID_LENGTH_MAX and own.isascii() and own.isprintable():
        return own
    return new_uid()


def _moment(seconds: float) -> str:
    told = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    return told.replace("+00:00", "Z")


def _reference(target: Target) -> dict[str, str]:
    words = {
        "resource": target.plural,
        "namespace": target.namespace,
        "name": target.name,
        "apiGroup": target.group,
        "apiVersion": target.version,
        "subresource": target.subresource,
    }
    return {word: value for word, value in words.items() if value}


def _status(answer: Answer) -> dict[str, Any]:
    """What a Status says, which is no secret; of an object that was answered only the code."""
    if answer.code >= 400:
        told = _json(answer.body)
        if isinstance(told, dict) and told.get("kind") == "Status":
            words = ("metadata", "status", "message", "reason", "details", "code")
            return {word: told[word] for word in words if word in told}
    return {"metadata": {}, "code": answer.code}


def _sent(incoming: Incoming) -> Any:
    """The object of a request, or its patch; None: there is none, or nobody can read it."""
    if incoming.sent is not None:
        return incoming.sent.object
    if "json" in incoming.media_type or not incoming.media_type:
        return _json(incoming.body)
    # A large one was read before it was handled, or could not be: that takes too long for a log.
    if not incoming.body or len(incoming.body) > LARGE_BYTES:
        return None
    try:
        return incoming.decoded().object
    except ApiError:
        return None


def _name(sent: Any) -> str:
    metadata = sent.get("metadata") if isinstance(sent, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) and name.isprintable() else ""


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        return None


def _without_managed_fields(found: Any) -> Any:
    """An object, or a list of some."""
    if not isinstance(found, dict):
        return found
    if isinstance(found.get("items"), list):
        return {**found, "items": [_without_managed_fields(one) for one in found["items"]]}
    metadata = found.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return found
    kept = {word: value for word, value in metadata.items() if word != "managedFields"}
    return {**found, "metadata": kept}
