"""Who asks. PURE."""

from collections.abc import Mapping

import msgspec

ANONYMOUS = "system:anonymous"
AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
MASTERS = "system:masters"
SERVICE_ACCOUNT = "system:serviceaccount:"
SERVICE_ACCOUNTS = "system:serviceaccounts"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """As Kubernetes' UserInfo."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = {}

    @property
    def is_master(self) -> bool:
        """Whether no rule can bind it."""
        return MASTERS in self.groups

    @property
    def info(self) -> dict[str, object]:
        """The JSON of UserInfo."""
        found: dict[str, object] = {"username": self.name}
        if self.uid:
            found["uid"] = self.uid
        if self.groups:
            found["groups"] = list(self.groups)
        if self.extra:
            found["extra"] = {key: list(values) for key, values in self.extra.items()}
        return found


def anonymous() -> User:
    """Who shows nothing."""
    return User(name=ANONYMOUS, groups=(UNAUTHENTICATED,))


def authenticated(user: User) -> User:
    """With the group of everybody who is known."""
    if AUTHENTICATED in user.groups:
        return user
    return User(
        name=user.name,
        uid=user.uid,
        groups=(*user.groups, AUTHENTICATED),
        extra=user.extra,
    )


def service_account(namespace: str, name: str, uid: str) -> User:
    """The user that a service account is."""
    return User(
        name=f"{SERVICE_ACCOUNT}{namespace}:{name}",
        uid=uid,
        groups=(SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}"),
    )


def service_account_of(name: str) -> tuple[str, str] | None:
    """Namespace and name, if a user name is a service account's."""
    parts = name.removeprefix(SERVICE_ACCOUNT).split(":")
    is_one = name.startswith(SERVICE_ACCOUNT) and len(parts) == 2 and all(parts)
    return (parts[0], parts[1]) if is_one else None
