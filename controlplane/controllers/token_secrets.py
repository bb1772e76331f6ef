"""Secrets that keep a token of a service account: filled, and deleted when the account goes.

Source: Kubernetes' documentation, "Managing Service Accounts" ("Manual Secret management for
ServiceAccounts") and "Secrets" (type kubernetes.io/service-account-token); kube-behaviour 11.2.
"""

import base64
from collections.abc import Sequence

import msgspec

from controlplane.api.errors import ApiError
from controlplane.api.resource import Object, Resource
from controlplane.controller import Controller, Lister, Trigger
from controlplane.controllers.context import Context
from controlplane.indexer import Key
from controlplane.objects import DeleteOptions, ObjectStore
from controlplane.tokens import Tokens

TYPE = "kubernetes.io/service-account-token"
NAME, UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"
_ACCOUNT = "account"


class Plan(msgspec.Struct, frozen=True):
    """Secrets that lack something, and Secrets whose account is gone."""

    fill: Sequence[Object] = ()
    delete: Sequence[Object] = ()


def controller(context: Context) -> Controller:
    """Of service accounts: the keys are theirs, whether they are there or not."""
    accounts, secrets = context.resource("", "serviceaccounts"), context.resource("", "secrets")

    async def reconcile(key: Key, lister: Lister, store: ObjectStore) -> None:
        found = lister.by_index(secrets, _ACCOUNT, str(key))
        if not found or context.tokens is None:
            return
        # The caches of accounts and Secrets need not be of one moment.
        account = await _live(store, accounts, key)
        todo = plan(account, found, context.authority)
        if account is not None:
            for secret in todo.fill:
                await _fill(store, secrets, secret, account, context.tokens, context.authority)
        for secret in todo.delete:
            await _delete(store, secrets, secret)

    return Controller(
        "token secrets",
        accounts,
        reconcile,
        triggers=[Trigger(secrets, keys_of_account)],
        indexes={_ACCOUNT: (secrets, lambda secret: map(str, keys_of_account(secret)))},
    )


def keys_of_account(secret: Object) -> list[Key]:
    """Whose token a Secret keeps."""
    metadata = secret["metadata"]
    name = (metadata.get("annotations") or {}).get(NAME)
    return [Key(metadata["namespace"], name)] if name and secret.get("type") == TYPE else []


def plan(account: Object | None, secrets: Sequence[Object], authority: str) -> Plan:
    """What becomes of the Secrets that name an account (None: it is not there). Pure."""
    living = [one for one in secrets if not one["metadata"].get("deletionTimestamp")]
    if account is None:
        return Plan(delete=living)
    uid = account["metadata"]["uid"]
    kept = [one for one in living if _uid_of(one) in ("", uid)]
    return Plan(
        fill=[one for one in kept if _lacks(one, authority)],
        delete=[one for one in living if one not in kept],
    )


def filled(secret: Object, account: Object, token: str, authority: str) -> Object:
    """A Secret with all that it must have; a token that it has stays. Pure."""
    metadata = secret["metadata"]
    annotations = {**(metadata.get("annotations") or {}), UID: account["metadata"]["uid"]}
    data = dict(secret.get("data") or {})
    data.setdefault("token", _encoded(token))
    data["namespace"] = _encoded(metadata["namespace"])
    if authority:
        data["ca.crt"] = _encoded(authority)
    return {**secret, "metadata": {**metadata, "annotations": annotations}, "data": data}


def _uid_of(secret: Object) -> str:
    return str((secret["metadata"].get("annotations") or {}).get(UID) or "")


def _lacks(secret: Object, authority: str) -> bool:
    data = secret.get("data") or {}
    wanted = {"namespace": _encoded(secret["metadata"]["namespace"])}
    if authority:
        wanted["ca.crt"] = _encoded(authority)
    is_complete = all(data.get(name) == value for name, value in wanted.items())
    return not (is_complete and data.get("token") and _uid_of(secret))


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def _live(store: ObjectStore, accounts: Resource, key: Key) -> Object | None:
    try:
        return await store.get(accounts, *key)
    except ApiError as error:
        if error.code in (400, 404):  # a name that no account can have
            return None
        raise


async def _fill(
    store: ObjectStore,
    secrets: Resource,
    secret: Object,
    account: Object,
    tokens: Tokens,
    authority: str,
) -> None:
    metadata = secret["metadata"]
    token = tokens.issue_for_secret(account, metadata["name"])
    await store.update(
        secrets,
        metadata["namespace"],
        metadata["name"],
        lambda old: filled(old, account, token, authority),
        uid=metadata["uid"],
    )


async def _delete(store: ObjectStore, secrets: Resource, secret: Object) -> None:
    metadata = secret["metadata"]
    options = DeleteOptions(uid=metadata["uid"])
    try:
        await store.delete(secrets, metadata["namespace"], metadata["name"], options=options)
    except ApiError as error:
        if error.code != 404:
            raise
