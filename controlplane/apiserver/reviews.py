"""Questions that are posted like objects and kept nowhere: who is this, and may it do that?

Source: Kubernetes' API reference, authorization.k8s.io/v1 and authentication.k8s.io/v1.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from controlplane.api import errors
from controlplane.api.causes import invalid
from controlplane.api.errors import ApiError, Cause
from controlplane.apiserver import bodies
from controlplane.apiserver.authentication import Authenticator
from controlplane.apiserver.authorization import Authorizer
from controlplane.apiserver.call import Call, answer
from controlplane.apiserver.incoming import Answer
from controlplane.apiserver.rbac import Attributes, Rule
from controlplane.apiserver.users import User, authenticated


class Reviews:
    """One method for each kind of question."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer

    async def self_subject_access(self, call: Call) -> Answer:
        """May I?"""
        review = _posted(call)
        return self._judged(call, review, call.user, _faults_of_attributes(_spec(review)))

    async def subject_access(self, call: Call) -> Answer:
        """May this one?"""
        review = _posted(call)
        return self._judged(call, review, _subject(review), _faults_of_subject(_spec(review)))

    async def local_subject_access(self, call: Call) -> Answer:
        """May this one, in the namespace of the path?"""
        review = _posted(call)
        faults = _faults_of_local(_spec(review), call.target.namespace)
        return self._judged(call, review, _subject(review), faults)

    async def self_subject_rules(self, call: Call) -> Answer:
        """What may I do in a namespace?"""
        review = _posted(call)
        namespace = str((review.get("spec") or {}).get("namespace") or "")
        if not namespace:
            raise errors.bad_request("no namespace on request")
        user = call.user
        rules = list(self._authorizer.policy.rules_for(user, namespace))
        if user.is_master:
            rules.append(Rule(verbs=("*",), groups=("*",), resources=("*",)))
            rules.append(Rule(verbs=("*",), paths=("*",)))
        status = {
            "resourceRules": [rule.told for rule in rules if rule.resources],
            "nonResourceRules": [rule.told for rule in rules if rule.paths],
            "incomplete": False,
        }
        return _answered(call, review, status)

    async def token(self, call: Call) -> Answer:
        """Whose token is this?"""
        review = _posted(call)
        spec = review.get("spec") or {}
        token, audiences = str(spec.get("token") or ""), tuple(spec.get("audiences") or ())
        if not token:
            raise errors.bad_request("token is required for TokenReview in authentication")
        try:
            user = self._authenticator.user_of_token(token, audiences)
        except ApiError:
            status: dict[str, Any] = {"user": {}, "error": "invalid bearer token"}
        else:
            status = {
                "authenticated": True,
                "user": authenticated(user).info,
                "audiences": list(self._authenticator.audiences_of(token, audiences)),
            }
        return _answered(call, review, status)

    async def self_subject(self, call: Call) -> Answer:
        """Who am I?"""
        return _answered(call, _posted(call), {"userInfo": call.user.info})

    def _judged(
        self, call: Call, review: Mapping[str, Any], user: User, faults: Iterator[Cause]
    ) -> Answer:
        found = list(faults)
        if found:
            raise errors.invalid(call.resource.kind, call.resource.group, "", found)
        is_allowed = self._authorizer.allows(user, _attributes(_spec(review)))
        status: dict[str, Any] = {"allowed": is_allowed}
        if is_allowed:
            status["reason"] = "RBAC: allowed by rules of the roles that are bound to the user"
        return _answered(call, review, status)


def _posted(call: Call) -> Mapping[str, Any]:
    return bodies.posted(call, call.resource)


def _answered(call: Call, review: Mapping[str, Any], status: Mapping[str, Any]) -> Answer:
    resource = call.resource
    found = {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": review.get("metadata") or {},
    }
    if "spec" in review:
        found["spec"] = review["spec"]
    return answer(call, {**found, "status": status}, code=201)


def _spec(review: Mapping[str, Any]) -> Mapping[str, Any]:
    return review.get("spec") or {}


def _subject(review: Mapping[str, Any]) -> User:
    spec = _spec(review)
    return User(name=str(spec.get("user") or ""), groups=tuple(spec.get("groups") or ()))


def _faults_of_attributes(spec: Mapping[str, Any]) -> Iterator[Cause]:
    of_resource, of_path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if of_resource is not None and of_path is not None:
        why = "cannot be specified in combination with resourceAttributes"
        yield invalid("spec.nonResourceAttributes", of_path, why)
    if of_resource is None and of_path is None:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        # A pointer to nothing is a word to Kubernetes' printer.
        yield invalid("spec.resourceAttributes", "null", why)


def _faults_of_subject(spec: Mapping[str, Any]) -> Iterator[Cause]:
    yield from _faults_of_attributes(spec)
    if not spec.get("user") and not spec.get("groups"):
        yield invalid("spec.user", "", "at least one of user or group must be specified")


def _faults_of_local(spec: Mapping[str, Any], namespace: str) -> Iterator[Cause]:
    yield from _faults_of_subject(spec)
    of_resource, of_path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    asked = str((of_resource or {}).get("namespace") or "")
    if of_resource is not None and asked != namespace:
        why = "must match metadata.namespace"
        yield invalid("spec.resourceAttributes.namespace", asked, why)
    if of_path is not None:
        why = "disallowed on this kind of request"
        yield invalid("spec.nonResourceAttributes", of_path, why)


def _attributes(spec: Mapping[str, Any]) -> Attributes:
    """What is asked for, of a question without faults."""
    of_resource, of_path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if of_resource is None:
        assert of_path is not None
        return Attributes(verb=str(of_path.get("verb", "")), path=str(of_path.get("path", "")))
    plural, subresource = str(of_resource.get("resource", "")), of_resource.get("subresource")
    return Attributes(
        verb=str(of_resource.get("verb", "")),
        group=str(of_resource.get("group", "")),
        resource=f"{plural}/{subresource}" if subresource else plural,
        namespace=str(of_resource.get("namespace", "")),
        name=str(of_resource.get("name", "")),
    )
