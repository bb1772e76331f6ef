"""Questions that are posted like objects and kept nowhere: who is this, and may it do that?

Source: Kubernetes' API reference, authorization.k8s.io/v1 and authentication.k8s.io/v1.
"""

from collections.abc import Mapping
from typing import Any

from controlplane.api import errors
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
        return self._judged(call, review, call.user)

    async def subject_access(self, call: Call) -> Answer:
        """May this one?"""
        review = _posted(call)
        spec = review.get("spec") or {}
        name, groups = str(spec.get("user") or ""), tuple(spec.get("groups") or ())
        if not name and not groups:
            told = 'Invalid value: "": at least one of user or group must be specified'
            raise _invalid(call, Cause("FieldValueInvalid", told, "spec.user"))
        return self._judged(call, review, User(name=name, groups=groups))

    async def local_subject_access(self, call: Call) -> Answer:
        """May this one, in the namespace of the path?"""
        asked = (_posted(call).get("spec") or {}).get("resourceAttributes") or {}
        if asked.get("namespace") != call.target.namespace:
            told = f"Invalid value: must match metadata.namespace {call.target.namespace}"
            field = "spec.resourceAttributes.namespace"
            raise _invalid(call, Cause("FieldValueInvalid", told, field))
        return await self.subject_access(call)

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

    def _judged(self, call: Call, review: Mapping[str, Any], user: User) -> Answer:
        asked = _attributes(call, review.get("spec") or {})
        is_allowed = self._authorizer.allows(user, asked)
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


def _attributes(call: Call, spec: Mapping[str, Any]) -> Attributes:
    of_resource, of_path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (of_resource is None) == (of_path is None):
        told = (
            "Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be "
            "specified"
        )
        raise _invalid(call, Cause("FieldValueInvalid", told, "spec.resourceAttributes"))
    if of_path is not None:
        return Attributes(verb=str(of_path.get("verb", "")), path=str(of_path.get("path", "")))
    assert of_resource is not None
    plural, subresource = str(of_resource.get("resource", "")), of_resource.get("subresource")
    return Attributes(
        verb=str(of_resource.get("verb", "")),
        group=str(of_resource.get("group", "")),
        resource=f"{plural}/{subresource}" if subresource else plural,
        namespace=str(of_resource.get("namespace", "")),
        name=str(of_resource.get("name", "")),
    )


def _invalid(call: Call, cause: Cause) -> ApiError:
    return errors.invalid(call.resource.kind, call.resource.group, "", [cause])
