"""The audit log: who asked for what, and what came of it, as JSON lines.

Source: Kubernetes' documentation, "Auditing" (level Metadata); kube-behaviour 11.10.
"""

import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from controlplane.apiserver.incoming import Incoming, Target
from controlplane.apiserver.users import User

_log = logging.getLogger(__name__)


class Audit:
    """write: takes a line; None: nothing is kept."""

    def __init__(self, write: Callable[[bytes], None] | None, now: Callable[[], float]) -> None:
        self._write = write
        self._now = now

    def note(self, incoming: Incoming, target: Target | None, user: User | None, code: int) -> None:
        """A request has been answered (of a watch: begun)."""
        if self._write is None:
            return
        query = incoming.query.raw
        moment = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="microseconds")
        line: dict[str, Any] = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": str(uuid.uuid4()),
            "stage": "ResponseComplete",
            "requestURI": f"{incoming.path}?{query}" if query else incoming.path,
            "verb": incoming.method.lower() if target is None else target.verb,
            "user": {} if user is None else user.info,
            "sourceIPs": [incoming.remote] if incoming.remote else [],
            "userAgent": incoming.header("user-agent"),
            "responseStatus": {"metadata": {}, "code": code},
            "stageTimestamp": moment.replace("+00:00", "Z"),
        }
        if target is not None:
            line["objectRef"] = _reference(target)
        impersonated = incoming.header("impersonate-user")
        if impersonated:
            line["impersonatedUser"] = {"username": impersonated}
        try:
            self._write(orjson.dumps(line) + b"\n")
        except OSError as error:
            # What was answered was done: it cannot be taken back for a line that is missing.
            _log.error("a line of the audit log is lost: %s", error)


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
