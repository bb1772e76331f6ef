"""create, update, patch and delete: from a request to a Txn.

What becomes of an object on the way is the pipeline's; here is what is read, what is tried again,
and what is answered. A dry run does all of it but the Txn (kube-behaviour 2.10).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from controlplane import admission
from controlplane.admission import resource_quota
from controlplane.admission.review import CREATE, DELETE, UPDATE, Lister, Review
from controlplane.api import apply, errors, lifecycle, patch, strategic
from controlplane.api.errors import ApiError, Cause
from controlplane.api.resource import Object, Resource
from controlplane.apiserver import bodies, pod_accounts
from controlplane.apiserver.call import Call, answer, plain
from controlplane.apiserver.escalation import Escalation
from controlplane.apiserver.incoming import APPLY_PATCH, Answer
from controlplane.apiserver.options import WriteOptions, delete_wish, write_options
from controlplane.apiserver.pipeline import Pipeline
from controlplane.apiserver.turns import Turns
from controlplane.objects import DeleteOptions, Deletion, ObjectStore

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

Step = Callable[[Object], Object]
"""What a request makes of an object; the very same one back: nothing."""


class Writes:
    """lister: what admission looks things up in. fresh: waits until the cache has all writes.

    turns: of those who want the same key
    quotas: the resource of ResourceQuota, which admission charges
    """

    def __init__(
        self,
        store: ObjectStore,
        pipeline: Pipeline,
        lister: Lister,
        fresh: Callable[[], Awaitable[None]],
        turns: Turns,
        escalation: Escalation,
        quotas: Resource,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._lister = lister
        self._fresh = fresh
        self._turns = turns
        self._escalation = escalation
        self._quotas = quotas

    # -------------------------------------------------------------------- verbs

    async def create(self, call: Call) -> Answer:
        """A new object from a body."""
        options = write_options(call.incoming, "CreateOptions")
        found = bodies.object_of(call, options)
        created = await self._created(call, options, found, is_apply=False)
        return answer(call, created, code=201)

    async def update(self, call: Call) -> Answer:
        """An object is replaced by a body."""
        options = write_options(call.incoming, "UpdateOptions")
        found = bodies.object_of(call, options)

        def step(old: Object) -> Object:
            lifecycle.require_uid(call.resource, old["metadata"], _uid(found))
            return found

        async def update() -> Object:
            return await self.updated(call, options, step)

        async def create() -> Object:
            lifecycle.require_uid(call.resource, {"name": call.target.name}, _uid(found))
            return await self._created(call, options, found, is_apply=False)

        if call.resource.is_put_new:
            return await self._updated_or_created(call, update, create)
        return answer(call, await update())

    async def patch(self, call: Call) -> Answer:
        """An object is changed by a patch; by an apply it may be created."""
        kind = call.incoming.header("content-type").split(";", 1)[0].strip()
        if kind == APPLY_PATCH:
            options = write_options(call.incoming, "PatchOptions", is_apply=True)
            return await self._apply(call, options)
        options = write_options(call.incoming, "PatchOptions")
        changed = _patched(call, kind)

        def step(old: Object) -> Object:
            call.warnings.clear()  # of an attempt before
            new = changed(old)
            bodies.judge_patched(call, options, new)
            return bodies.with_owners_once(call, new)

        return answer(call, await self.updated(call, options, step))

    async def delete(self, call: Call) -> Answer:
        """An object is marked, or goes."""
        resource, target = call.resource, call.target
        wish = delete_wish(call.incoming, _delete_body(call))
        admission.mutate(self._review(call, DELETE, is_dry_run=wish.is_dry_run), {})
        deletion = await self._deleted(resource, target.namespace, target.name, wish.options())
        if not deletion.is_gone:
            return answer(call, deletion.object)
        metadata = deletion.object["metadata"]
        return plain(_success(resource, str(metadata["name"]), str(metadata["uid"])))

    async def delete_each(self, call: Call, found: Sequence[Object]) -> Answer:
        """deletecollection: every object of a list; the answer is the list as it was."""
        resource = call.resource
        wish = delete_wish(call.incoming, _delete_body(call))
        for one in found:
            metadata = one["metadata"]
            review = self._review(call, DELETE, is_dry_run=wish.is_dry_run)
            review.namespace = str(metadata.get("namespace", ""))
            review.name = str(metadata["name"])
            admission.mutate(review, one)
            try:
                await self._deleted(resource, review.namespace, review.name, wish.options())
            except ApiError as error:
                if error.reason != "NotFound":  # somebody else has deleted it
                    raise
        kind = resource.list_kind or f"{resource.kind}List"
        listed = {"kind": kind, "apiVersion": resource.api_version, "metadata": {}}
        return plain({**listed, "items": list(found)})

    async def _deleted(
        self, resource: Resource, namespace: str, name: str, options: DeleteOptions
    ) -> Deletion:
        async def attempt() -> Deletion:
            known = self._known(resource, namespace, name)
            return await self._store.delete(resource, namespace, name, options=options, known=known)

        return await self._turns.run([resource.key(namespace, name).encode()], attempt)

    # ------------------------------------------------------------------- create

    async def _created(
        self, call: Call, options: WriteOptions, found: Object, *, is_apply: bool
    ) -> Object:
        resource, metadata = call.resource, found["metadata"]
        if not metadata.get("name") and not metadata.get("generateName"):
            told = "Required value: name or generateName is required"
            cause = Cause("FieldValueRequired", told, "metadata.name")
            raise errors.invalid(resource.kind, resource.group, "", [cause])
        await self._know_namespace(call)
        review = self._review(call, CREATE, is_dry_run=options.is_dry_run)
        review.name = str(metadata.get("name") or metadata.get("generateName"))
        await pod_accounts.until_known(review, found, self._fresh)

        async def attempt() -> Object:
            review.claims.clear()
            ready = self._pipeline.created(review, found, call.now)
            self._escalation.require(call.user, resource, ready, None)
            if not is_apply:
                ready = self._pipeline.recorded(review, options, None, ready, call.now)
            else:
                ready = _owned_as(ready, found)
            return await self._store.create(
                resource, ready, also=review.claims, dry_run=options.is_dry_run
            )

        return await self._turns.run(resource_quota.counters(review), attempt)

    async def _know_namespace(self, call: Call) -> None:
        """A namespace that was made just now may not have come to the cache yet."""
        namespace = call.target.namespace
        if call.resource.is_namespaced and not self._lister.get("", "namespaces", "", namespace):
            await self._fresh()

    # ------------------------------------------------------------------- update

    async def updated(self, call: Call, options: WriteOptions, step: Step) -> Object:
        """Run a step on the object as it is; again when somebody else was faster."""

        def change(review: Review, old: Object) -> Object:
            new = self._pipeline.updated(review, _stepped(call, step, old), old)
            self._escalation.require(call.user, call.resource, new, old)
            return self._pipeline.recorded(review, options, old, new, call.now)

        return await self._changed(call, options, change)

    async def _changed(
        self, call: Call, options: WriteOptions, change: Callable[[Review, Object], Object]
    ) -> Object:
        resource, target = call.resource, call.target
        review = self._review(call, UPDATE, is_dry_run=options.is_dry_run)

        def decide(old: Object) -> Object:
            review.old = old
            review.claims.clear()
            return change(review, old)

        async def attempt() -> Object:
            return await self._store.update(
                resource,
                target.namespace,
                target.name,
                decide,
                also=review.claims,
                dry_run=options.is_dry_run,
                known=self._known(resource, target.namespace, target.name),
            )

        return await self._turns.run(
            [resource.key(target.namespace, target.name).encode()], attempt
        )

    def _known(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """What the cache has: the store is asked only where that is not what it has itself."""
        if resource.strategy.from_storage is not None:
            return None
        found = self._lister.get(resource.group, resource.plural, namespace, name)
        if found is None or found["apiVersion"] != resource.api_version:
            return None
        return found

    # -------------------------------------------------------------------- apply

    async def _apply(self, call: Call, options: WriteOptions) -> Answer:
        """Server-side apply (kube-behaviour 2.15)."""
        applied = bodies.applied_of(call, options)

        def merged(live: Object | None) -> Object:
            return apply.apply(
                call.resource,
                live,
                applied,
                manager=options.manager,
                force=options.is_forced,
                now=call.now,
                subresource=call.target.subresource,
            )

        def change(review: Review, old: Object) -> Object:
            _require_version(call, applied["metadata"], old)
            wanted = merged(old)
            if wanted is old:
                return old
            new = self._pipeline.updated(review, wanted, old)
            self._escalation.require(call.user, call.resource, new, old)
            return apply.unless_only_times(_owned_as(new, wanted), old)

        async def update() -> Object:
            return await self._changed(call, options, change)

        async def create() -> Object:
            _require_no_uid(call, applied["metadata"])
            return await self._created(call, options, merged(None), is_apply=True)

        return await self._updated_or_created(call, update, create)

    async def _updated_or_created(
        self,
        call: Call,
        update: Callable[[], Awaitable[Object]],
        create: Callable[[], Awaitable[Object]],
    ) -> Answer:
        """Create what is not there, update what is: also while others create and delete it."""
        while True:
            try:
                return answer(call, await update())
            except ApiError as error:
                if not _is_about(call, error, "NotFound") or call.target.subresource:
                    raise
            # Who may change what is there may not thereby make what is not.
            self._escalation.require_create(call.user, call.target)
            try:
                return answer(call, await create(), code=201)
            except ApiError as error:
                if not _is_about(call, error, "AlreadyExists"):
                    raise

    def _review(self, call: Call, operation: str, *, is_dry_run: bool) -> Review:
        return Review(
            operation=operation,
            resource=call.resource,
            subresource=call.target.subresource,
            namespace=call.target.namespace if call.resource.is_namespaced else "",
            name=call.target.name,
            is_dry_run=is_dry_run,
            lister=self._lister,
            claims=[],
            quota_resource=self._quotas,
        )


def _stepped(call: Call, step: Step, old: Object) -> Object:
    """Raises ApiError 400 where a patch gives an object another name, 409 where it was read at
    another revision (2.3), even if nothing would change.
    """
    new = step(old)
    if new is old:
        return old
    metadata = new.get("metadata") or {}
    bodies.require_name(call, metadata)
    placed = {**new, "metadata": bodies.placed_in(call, metadata)}
    if not call.resource.is_overwritable and metadata.get("resourceVersion") in _NO_VERSION:
        raise _unversioned(call)
    _require_version(call, metadata, old)
    return placed


_NO_VERSION = (None, "", "0")


def _unversioned(call: Call) -> ApiError:
    """422, about the resource and with the number as Go shows it, as Kubernetes has it."""
    told = "Invalid value: 0x0: must be specified for an update"
    cause = Cause("FieldValueInvalid", told, "metadata.resourceVersion")
    resource = call.resource
    return errors.invalid(resource.plural, resource.group, call.target.name, [cause])


def _uid(found: Object) -> str:
    return str(found["metadata"].get("uid") or "")


def _is_about(call: Call, error: ApiError, reason: str) -> bool:
    """Whether a refusal is for this reason, and about the very object that was asked for."""
    place = (call.resource.plural, call.target.name)
    return error.reason == reason and (error.kind, error.name) == place


def _require_version(call: Call, metadata: Mapping[str, Any], old: Object) -> None:
    """Here, since what is stored has no resourceVersion: the pipeline takes it away."""
    version = metadata.get("resourceVersion")
    if version not in (*_NO_VERSION, old["metadata"]["resourceVersion"]):
        raise errors.conflict(call.resource.plural, call.resource.group, call.target.name)


def _require_no_uid(call: Call, metadata: Mapping[str, Any]) -> None:
    """Raises ApiError 409: who names a uid means an object that was there."""
    uid = metadata.get("uid")
    if uid:
        why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was "
        raise errors.conflict(
            call.resource.plural, call.resource.group, call.target.name, why + "found"
        )


def _patched(call: Call, kind: str) -> Step:
    """What a patch does to an object. Raises ApiError 400 and 415."""
    supported = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH]
    if not call.resource.is_custom:
        supported.insert(2, STRATEGIC_PATCH)
    if kind not in supported:
        raise errors.unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: "
            + ", ".join(supported)
        )
    change, schema = bodies.patch_of(call), call.resource.schema
    if kind == JSON_PATCH:
        return lambda old: patch.json_patch(old, change)
    if kind == MERGE_PATCH:
        return lambda old: patch.merge_patch(old, change)
    return lambda old: strategic.strategic_merge(schema, old, change)


def _owned_as(found: Object, owner: Object) -> Object:
    """With the managedFields of another object."""
    owned = owner["metadata"].get("managedFields")
    metadata = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    return {**found, "metadata": {**metadata, "managedFields": owned} if owned else metadata}


def _delete_body(call: Call) -> Mapping[str, Any]:
    return call.incoming.decoded().object if call.incoming.body.strip() else {}


def _success(resource: Resource, name: str, uid: str) -> dict[str, object]:
    details: dict[str, object] = {"name": name, "kind": resource.plural, "uid": uid}
    if resource.group:
        details["group"] = resource.group
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }
