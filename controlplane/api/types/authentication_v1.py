"""Types of `authentication_v1`; made by scripts/gentypes."""

from collections.abc import Mapping
from typing import ClassVar

from controlplane.api.record import Record
from controlplane.api.types import meta_v1


class UserInfo(Record, frozen=True, kw_only=True):
    extra: Mapping[str, tuple[str, ...]] = {}
    groups: tuple[str, ...] = ()
    uid: str = ""
    username: str = ""


class SelfSubjectReviewStatus(Record, frozen=True, kw_only=True):
    user_info: UserInfo = UserInfo()


class SelfSubjectReview(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind"})
    api_version: str = "authentication.k8s.io/v1"
    kind: str = "SelfSubjectReview"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    status: SelfSubjectReviewStatus = SelfSubjectReviewStatus()


class BoundObjectReference(Record, frozen=True, kw_only=True):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""


class TokenRequestSpec(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"audiences"})
    audiences: tuple[str, ...] = ()
    bound_object_ref: BoundObjectReference | None = None
    expiration_seconds: int | None = None


class TokenRequestStatus(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"expirationTimestamp", "token"})
    expiration_timestamp: str = ""
    token: str = ""


class TokenRequest(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "spec"})
    api_version: str = "authentication.k8s.io/v1"
    kind: str = "TokenRequest"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: TokenRequestSpec = TokenRequestSpec()
    status: TokenRequestStatus = TokenRequestStatus()


class TokenReviewSpec(Record, frozen=True, kw_only=True):
    audiences: tuple[str, ...] = ()
    token: str = ""


class TokenReviewStatus(Record, frozen=True, kw_only=True):
    audiences: tuple[str, ...] = ()
    authenticated: bool = False
    error: str = ""
    user: UserInfo = UserInfo()


class TokenReview(Record, frozen=True, kw_only=True):
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"apiVersion", "kind", "spec"})
    api_version: str = "authentication.k8s.io/v1"
    kind: str = "TokenReview"
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: TokenReviewSpec = TokenReviewSpec()
    status: TokenReviewStatus = TokenReviewStatus()
