"""Authorisation by RBAC: the policy follows the cache, every decision is a look-up."""

import orjson

from controlplane.api import errors
from controlplane.apiserver.cacher import Cacher
from controlplane.apiserver.rbac import RBAC_GROUP, Attributes, Policy, refusal
from controlplane.apiserver.users import User

_PLURALS = ("roles", "clusterroles", "rolebindings", "clusterrolebindings")


class Authorizer:
    """Its policy is built anew when a role or binding has changed."""

    def __init__(self, cacher: Cacher) -> None:
        self._cacher = cacher
        self._policy = Policy()
        self._state: object = None

    @property
    def policy(self) -> Policy:
        """What holds now."""
        caches = [self._cacher.cache.of(RBAC_GROUP, plural) for plural in _PLURALS]
        state = (self._cacher.generation, *(cache.changes for cache in caches))
        if state != self._state:
            roles, cluster_roles, bindings, cluster_bindings = (
                [orjson.loads(entry.raw) for entry in cache.scan("")] for cache in caches
            )
            self._policy = Policy(
                roles=roles,
                cluster_roles=cluster_roles,
                role_bindings=bindings,
                cluster_role_bindings=cluster_bindings,
            )
            self._state = state
        return self._policy

    def allows(self, user: User, asked: Attributes) -> bool:
        """Tell whether a user may do it."""
        return self.policy.allows(user, asked)

    def require(self, user: User, asked: Attributes) -> None:
        """Raises ApiError 403 unless a user may do it."""
        if self.allows(user, asked):
            return
        why = refusal(user, asked)
        if not asked.is_resource:
            raise errors.ApiError(403, "Forbidden", f"forbidden: {why}")
        plural, _, _ = asked.resource.partition("/")
        raise errors.forbidden(plural, asked.group, asked.name, why)
