"""Who asks: by a client certificate, a bearer token, or not at all; and whom they act for.

PURE but for the objects that it looks up by the function it is given. Source: Kubernetes'
documentation, "Authenticating" (x509, static tokens, service accounts, impersonation).
"""

import base64
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from controlplane.api import errors
from controlplane.apiserver.incoming import Incoming
from controlplane.apiserver.rbac import Attributes
from controlplane.apiserver.users import (
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    User,
    anonymous,
    authenticated,
    service_account,
    service_account_of,
)
from controlplane.tokens import Claims, TokenError, Tokens

Find = Callable[[str, str, str], Mapping[str, Any] | None]
"""(plural of the core group, namespace, name) -> the object, or None."""

GOING_SECONDS_MAX = 60.0
"""So long after its deletionTimestamp an account or pod that is still there ends its tokens."""

_IMPERSONATE = "impersonate-"
_EXTRA = "impersonate-extra-"


class Authenticator:
    """static_tokens: token -> user."""

    def __init__(
        self,
        tokens: Tokens,
        find: Find,
        *,
        static_tokens: Mapping[str, User],
        allows_anonymous: bool,
        now: Callable[[], float],
    ) -> None:
        self._tokens = tokens
        self._find = _standing(find, now)
        self._static_tokens = static_tokens
        self._allows_anonymous = allows_anonymous
        self._now = now

    def identify(self, incoming: Incoming) -> User:
        """Raises ApiError 401: what it shows is wrong, or it shows nothing and must."""
        if incoming.certificate:
            return authenticated(user_of_certificate(incoming.certificate))
        kind, _, token = incoming.header("authorization").partition(" ")
        token = token.strip()
        if kind.lower() == "bearer" and token:
            return authenticated(self.user_of_token(token))
        if not self._allows_anonymous:
            raise errors.unauthorized()
        return anonymous()

    def user_of_token(self, token: str, audiences: Sequence[str] = ()) -> User:
        """Raises ApiError 401."""
        known = self._static_tokens.get(token)
        if known is not None and self.audiences_of(token, audiences):
            return known
        try:
            claims = self._tokens.verify(token, now=self._now(), audiences=audiences)
        except TokenError:
            raise errors.unauthorized() from None
        if not self._lives(claims, token):
            raise errors.unauthorized()
        user = service_account(claims.namespace, claims.name, claims.uid)
        return User(name=user.name, uid=user.uid, groups=user.groups, extra=_extra(claims))

    def audiences_of(self, token: str, audiences: Sequence[str]) -> tuple[str, ...]:
        """Those of some audiences (none: our own) that a token is for; it is verified already."""
        wanted = tuple(audiences) or self._tokens.audiences
        if token in self._static_tokens:  # they say nothing of it, so they are for us only
            return tuple(one for one in wanted if one in self._tokens.audiences)
        claims = self._tokens.verify(token, now=self._now(), audiences=wanted)
        return tuple(one for one in wanted if one in claims.audiences)

    def _lives(self, claims: Claims, token: str) -> bool:
        """Whether its account, and what it is bound to, are still those it was issued for."""
        account = self._find("serviceaccounts", claims.namespace, claims.name)
        if account is None or account["metadata"]["uid"] != claims.uid:
            return False
        if claims.bound is None:
            return True
        kind, name, uid = claims.bound
        namespace = "" if kind == "node" else claims.namespace
        found = self._find(f"{kind}s", namespace, name)
        if found is None:
            return False
        return found["metadata"]["uid"] == uid if uid else _keeps(found, token)


def _keeps(secret: Mapping[str, Any], token: str) -> bool:
    """Whether a Secret has this token: it may have been replaced by another of its name."""
    kept = (secret.get("data") or {}).get("token") or ""
    return hmac.compare_digest(kept.encode(), base64.b64encode(token.encode()))


def _standing(find: Find, now: Callable[[], float]) -> Find:
    """Without those that should be gone: their finalizers do not prolong what tokens they have."""

    def standing(plural: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        found = find(plural, namespace, name)
        going = found and found["metadata"].get("deletionTimestamp")
        if going and datetime.fromisoformat(going).timestamp() + GOING_SECONDS_MAX < now():
            return None
        return found

    return standing


def user_of_certificate(subject: Sequence[tuple[str, str]]) -> User:
    """CN is the user, each O a group."""
    name = next((value for key, value in subject if key == "CN"), "")
    if not name:
        raise errors.unauthorized()
    return User(name=name, groups=tuple(value for key, value in subject if key == "O"))


def _extra(claims: Claims) -> dict[str, tuple[str, ...]]:
    if not claims.token_id:
        return {}
    extra: dict[str, tuple[str, ...]] = {
        "authentication.kubernetes.io/credential-id": (f"JTI={claims.token_id}",)
    }
    if claims.bound is not None:
        kind, name, uid = claims.bound
        extra[f"authentication.kubernetes.io/{kind}-name"] = (name,)
        extra[f"authentication.kubernetes.io/{kind}-uid"] = (uid,)
    return extra


def impersonated(incoming: Incoming) -> tuple[User, list[Attributes]] | None:
    """Whom the headers ask to act for, and every right that this takes; None: nobody.

    Raises ApiError 400 when groups or more are named without a user.
    """
    name = incoming.header(f"{_IMPERSONATE}user")
    groups = [one for one in incoming.header(f"{_IMPERSONATE}group").split("\n") if one]
    uid = incoming.header(f"{_IMPERSONATE}uid")
    extra = {
        unquote(key.removeprefix(_EXTRA)): tuple(value.split("\n"))
        for key, value in incoming.headers.items()
        if key.startswith(_EXTRA)
    }
    if not name:
        if groups or uid or extra:
            raise errors.bad_request("requested impersonation without impersonating a user")
        return None
    needed = [_right_to_user(name)]
    needed += [Attributes(verb="impersonate", resource="groups", name=group) for group in groups]
    api = "authentication.k8s.io"
    if uid:
        needed.append(Attributes(verb="impersonate", group=api, resource="uids", name=uid))
    for key, values in extra.items():
        needed += [
            Attributes(verb="impersonate", group=api, resource=f"userextras/{key}", name=value)
            for value in values
        ]
    groups = groups or list(_own_groups(name))
    if not {AUTHENTICATED, UNAUTHENTICATED} & set(groups):
        groups.append(UNAUTHENTICATED if name == ANONYMOUS else AUTHENTICATED)
    return User(name=name, uid=uid, groups=tuple(groups), extra=extra), needed


def _own_groups(name: str) -> tuple[str, ...]:
    """Those that a user is in by its name alone."""
    account = service_account_of(name)
    return () if account is None else service_account(*account, uid="").groups


def _right_to_user(name: str) -> Attributes:
    account = service_account_of(name)
    if account is None:
        return Attributes(verb="impersonate", resource="users", name=name)
    return Attributes(
        verb="impersonate", resource="serviceaccounts", namespace=account[0], name=account[1]
    )
