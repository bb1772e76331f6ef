"""/token of service accounts.

Source: Kubernetes' API reference, TokenRequest authentication.k8s.io/v1; kube-behaviour 11.2.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from controlplane.admission.review import Lister
from controlplane.api import causes, errors, meta, subresources
from controlplane.api.resource import Object
from controlplane.apiserver import bodies
from controlplane.apiserver.call import Call, plain
from controlplane.apiserver.incoming import Answer
from controlplane.apiserver.reads import Reads
from controlplane.tokens import (
    TTL_SECONDS_DEFAULT,
    TTL_SECONDS_MAX,
    TTL_SECONDS_MIN,
    Tokens,
)

_BOUND_KINDS = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


class ServiceAccounts:
    """Issues tokens."""

    def __init__(self, reads: Reads, tokens: Tokens, lister: Lister) -> None:
        self._reads = reads
        self._tokens = tokens
        self._lister = lister

    async def token(self, call: Call) -> Answer:
        """A token for an account. Raises ApiError 404, 409, 422."""
        request = bodies.posted(call, subresources.resource_for(call.resource, "token"))
        account = await self._reads.object(call)
        spec = request.get("spec") or {}
        seconds = _seconds(call, spec)
        bound = self._bound(call, spec.get("boundObjectRef"), account)
        audiences = list(spec.get("audiences") or self._tokens.audiences)
        token = self._tokens.issue(
            account,
            audiences=audiences,
            ttl_seconds=seconds,
            now=call.now,
            token_id=str(uuid.uuid4()),
            bound=bound,
        )
        found: dict[str, Any] = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {
                "name": call.target.name,
                "namespace": call.target.namespace,
                "creationTimestamp": meta.rfc3339(call.now),
            },
            "spec": {
                "audiences": audiences,
                "expirationSeconds": seconds,
                "boundObjectRef": spec.get("boundObjectRef"),
            },
            "status": {
                "token": token,
                "expirationTimestamp": meta.rfc3339(call.now + seconds),
            },
        }
        return plain(found, code=201)

    def _bound(
        self, call: Call, reference: Mapping[str, Any] | None, account: Object
    ) -> Mapping[str, Any] | None:
        if not reference:
            return None
        kind, name = str(reference.get("kind") or ""), str(reference.get("name") or "")
        version = str(reference.get("apiVersion") or "")
        plural = _BOUND_KINDS.get(kind) if "/" not in version else None
        if plural is None:
            told = version if "/" in version else f"/{version}"
            raise errors.bad_request(f"cannot bind token to object of type {told}, Kind={kind}")
        namespace = "" if kind == "Node" else call.target.namespace
        found = self._lister.get("", plural, namespace, name)
        if found is None:
            raise errors.not_found(plural, "", name)
        uid = str(found["metadata"]["uid"])
        if reference.get("uid") and reference["uid"] != uid:
            why = (
                f"the UID in the bound object reference ({reference['uid']}) does not match the "
                f"UID in record. The object might have been deleted and then recreated"
            )
            raise errors.conflict(plural, "", name, why)
        user = (found.get("spec") or {}).get("serviceAccountName")
        if kind == "Pod" and user != account["metadata"]["name"]:
            raise errors.bad_request(
                f'cannot bind token for serviceaccount "{call.target.name}" to pod running with'
                " different serviceaccount name."
            )
        return {"kind": kind, "name": name, "uid": uid}


def _seconds(call: Call, spec: Mapping[str, Any]) -> int:
    seconds = spec.get("expirationSeconds")
    if seconds is None:
        return TTL_SECONDS_DEFAULT
    why = ""
    if seconds < TTL_SECONDS_MIN:
        why = "may not specify a duration less than 10 minutes"
    elif seconds > TTL_SECONDS_MAX:
        why = "may not specify a duration larger than 2^32 seconds"
    if why:
        cause = causes.invalid("spec.expirationSeconds", seconds, why)
        raise errors.invalid("TokenRequest", "authentication.k8s.io", call.target.name, [cause])
    return int(seconds)
