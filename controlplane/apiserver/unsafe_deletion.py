"""Removal of what is stored and cannot be read: the last resort, asked for by an option of DELETE.

Source: Kubernetes' documentation, "Force deletion" (an option of DeleteOptions, and a verb of its
own). Neither finalizers nor admission nor preconditions are looked at, since nobody can read them,
and what the object had claimed (an address) stays claimed.
"""

import logging
from collections.abc import Awaitable, Callable

from controlplane.api import errors
from controlplane.api.errors import Cause
from controlplane.apiserver.authorization import Authorizer
from controlplane.apiserver.cache import Unreadable
from controlplane.apiserver.cacher import Cacher
from controlplane.apiserver.call import Call, Outgoing, plain
from controlplane.apiserver.options import IGNORE_READ_ERRORS, delete_wish
from controlplane.apiserver.rbac import Attributes
from controlplane.store_errors import as_api_errors
from kvstore.client import Client, ModRevision, delete
from kvstore.commands import Txn

VERB = "unsafe-delete-ignore-read-errors"
_ONLY = "is exclusively used to delete corrupt object(s), try again by removing this option"

_log = logging.getLogger(__name__)


class UnsafeDeletion:
    """delete: whoever deletes all that can be read."""

    def __init__(
        self,
        client: Client,
        cacher: Cacher,
        authorizer: Authorizer,
        delete_readable: Callable[[Call], Awaitable[Outgoing]],
    ) -> None:
        self._client = client
        self._cacher = cacher
        self._authorizer = authorizer
        self._delete_readable = delete_readable

    async def delete(self, call: Call) -> Outgoing:
        """An object is deleted as always, unless the option asks for more.

        Raises ApiError 403 for whom may not do that, 422 for an object that can be read.
        """
        options = call.incoming.decoded().object if call.incoming.body.strip() else {}
        if not delete_wish(call.incoming, options).ignores_read_errors:
            return await self._delete_readable(call)
        self._require_right(call)
        await self._cacher.current()
        await self._remove(call, self._broken(call))
        resource, name = call.resource, call.target.name
        details = {"name": name, "kind": resource.plural, "group": resource.group}
        return plain(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": {word: value for word, value in details.items() if value},
            }
        )

    def _require_right(self, call: Call) -> None:
        target = call.target
        asked = Attributes(
            verb=VERB,
            group=target.group,
            resource=target.plural,
            namespace=target.namespace,
            name=target.name,
        )
        if not self._authorizer.allows(call.user, asked):
            why = f'not permitted to do "{VERB}"'
            raise errors.forbidden(target.plural, target.group, target.name, why)

    def _broken(self, call: Call) -> Unreadable:
        """Raises ApiError 404 and 422."""
        resource, target = call.resource, call.target
        cache = self._cacher.cache.of(*resource.place)
        key = resource.key(target.namespace, target.name)
        broken = cache.broken(key)
        if broken is not None:
            return broken
        if cache.get(key) is None:
            raise errors.not_found(resource.plural, resource.group, target.name)
        cause = Cause("FieldValueInvalid", f"Invalid value: true: {_ONLY}", IGNORE_READ_ERRORS)
        raise errors.invalid(resource.kind, resource.group, target.name, [cause])

    async def _remove(self, call: Call, broken: Unreadable) -> None:
        """Raises ApiError 409 when somebody else has written it meanwhile."""
        resource, target = call.resource, call.target
        key = resource.key(target.namespace, target.name)
        txn = Txn((ModRevision(key) == broken.revision,), (delete(key),), ())
        with as_api_errors():
            answer = await self._client.commit(txn)
        if not answer.succeeded:
            raise errors.conflict(resource.plural, resource.group, target.name)
        _log.warning("%s, which could not be read, was removed for %s", key, call.user.name)
