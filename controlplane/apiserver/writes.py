"""create, update, patch and delete: from a body to a Txn.

The order is Kubernetes': decode, default, prepare, admission that changes, validation, admission
that only looks, ownership of fields, write. A dry run stops before the last (kube-behaviour 2.10).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from controlplane.api import (
    apply,
    decoding,
    defaulting,
    errors,
    lifecycle,
    meta,
    patch,
    strategic,
    validation,
)
from controlplane.api.errors import ApiError, Cause
from controlplane.api.resource import Object, Resource
from controlplane.apiserver import admission
from controlplane.apiserver.admission.review import CREATE, DELETE, UPDATE, Lister, Review
from controlplane.apiserver.call import Call, answer, plain
from controlplane.apiserver.incoming import Answer
from controlplane.apiserver.options import WriteOptions, delete_wish, write_options
from controlplane.objects import ClaimLostError, DeleteOptions, ObjectStore

ATTEMPTS_MAX = 5
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_PATCH_OPERATIONS_MAX = 10_000

Step = Callable[[Object], Object]


class Writes:
    """lister: what admission looks things up in. fresh: waits until the cache has all writes."""

    def __init__(self, store: ObjectStore, lister: Lister, fresh: Callable[[], Any]) -> None:
        self._store = store
        self._lister = lister
        self._fresh = fresh

    # -------------------------------------------------------------------- verbs

    async def create(self, call: Call) -> Answer:
        """A new object from a body. Raises ApiError."""
        options = write_options(call.incoming, "CreateOptions")
        found = self._decoded(call, options)
        created = await self._created(call, options, found)
        return answer(call, created, code=201)

    async def update(self, call: Call) -> Answer:
        """An object is replaced by a body."""
        options = write_options(call.incoming, "UpdateOptions")
        found = self._decoded(call, options)
        version = str(found["metadata"].get("resourceVersion") or "")
        updated = await self.updated(call, options, lambda old: found, version)
        return answer(call, updated)

    async def patch(self, call: Call) -> Answer:
        """An object is changed by a patch; by an apply it may be created."""
        kind = call.incoming.header("content-type").split(";", 1)[0].strip()
        options = write_options(call.incoming, "PatchOptions", is_apply=kind == APPLY_PATCH)
        if kind == APPLY_PATCH:
            return await self._apply(call, options)
        step = self._step(call, kind, options)
        return answer(call, await self.updated(call, options, step, ""))

    async def delete(self, call: Call) -> Answer:
        """An object is marked, or goes."""
        wish = delete_wish(call.incoming, self._delete_body(call))
        review = self._review(call, DELETE, is_dry_run=wish.is_dry_run)
        admission.mutate(review, {})
        deletion = await self._store.delete(
            call.resource,
            call.target.namespace,
            call.target.name,
            options=DeleteOptions(
                grace_period_seconds=wish.grace_seconds,
                propagation_policy=wish.policy,
                uid=wish.uid,
                resource_version=wish.resource_version,
                dry_run=wish.is_dry_run,
            ),
        )
        if not deletion.is_gone:
            return answer(call, deletion.object)
        metadata = deletion.object["metadata"]
        return plain(_success(call.resource, str(metadata["name"]), str(metadata["uid"])))

    async def delete_each(self, call: Call, found: Sequence[Object]) -> Answer:
        """deletecollection: every object of a list; the list as it was."""
        wish = delete_wish(call.incoming, self._delete_body(call))
        options = DeleteOptions(
            grace_period_seconds=wish.grace_seconds,
            propagation_policy=wish.policy,
            dry_run=wish.is_dry_run,
        )
        resource = call.resource
        for one in found:
            metadata = one["metadata"]
            namespace, name = str(metadata.get("namespace", "")), str(metadata["name"])
            review = self._review(call, DELETE, is_dry_run=wish.is_dry_run)
            review.namespace, review.name = namespace, name
            admission.mutate(review, one)
            try:
                await self._store.delete(resource, namespace, name, options=options)
            except ApiError as error:
                if error.reason != "NotFound":
                    raise
        kind = resource.list_kind or f"{resource.kind}List"
        listed = {"kind": kind, "apiVersion": resource.api_version, "metadata": {}}
        return plain({**listed, "items": list(found)})

    # ------------------------------------------------------------------- create

    async def _created(self, call: Call, options: WriteOptions, found: Object) -> Object:
        resource = call.resource
        metadata = found["metadata"]
        if not metadata.get("name") and not metadata.get("generateName"):
            cause = Cause(
                "FieldValueRequired",
                "Required value: name or generateName is required",
                "metadata.name",
            )
            raise errors.invalid(resource.kind, resource.group, "", [cause])
        for attempt in range(ATTEMPTS_MAX):
            if attempt or resource.is_namespaced:
                await self._know(call)
            review = self._review(call, CREATE, is_dry_run=options.is_dry_run)
            review.name = str(metadata.get("name") or metadata.get("generateName"))
            ready = self._ready_to_create(review, options, found, call.now)
            try:
                return await self._store.create(
                    resource, ready, also=review.claims, dry_run=options.is_dry_run
                )
            except ClaimLostError:
                if attempt == ATTEMPTS_MAX - 1:
                    raise
                await self._fresh()
        raise AssertionError("unreachable")

    async def _know(self, call: Call) -> None:
        """A namespace that was made just now may not have come to the cache yet."""
        if self._lister.get("", "namespaces", "", call.target.namespace) is None:
            await self._fresh()

    def _ready_to_create(
        self, review: Review, options: WriteOptions, found: Object, now: float
    ) -> Object:
        resource, strategy = review.resource, review.resource.strategy
        found = self._defaulted(resource, found)
        found = meta.prepare_create(resource, found, uid="", now=now)
        if strategy.prepare_create is not None:
            found = strategy.prepare_create(found)
        found = admission.mutate(review, found)
        self._require_valid(resource, found, None)
        admission.validate(review, found)
        return apply.record_update(
            resource, None, found, manager=options.manager, now=now, subresource=""
        )

    # ------------------------------------------------------------------- update

    async def updated(
        self, call: Call, options: WriteOptions, step: Step, version: str
    ) -> Object:
        """Run a step on the object as it is; again when somebody else was faster."""
        resource, target = call.resource, call.target
        review = self._review(call, UPDATE, is_dry_run=options.is_dry_run)

        def change(old: Object) -> Object:
            review.old = old
            review.claims.clear()
            changed = self._stepped(call, step, old)
            return self._ready_to_update(review, options, changed, old, call.now)

        for attempt in range(ATTEMPTS_MAX):
            try:
                return await self._store.update(
                    resource,
                    target.namespace,
                    target.name,
                    change,
                    resource_version=version,
                    also=review.claims,
                    dry_run=options.is_dry_run,
                )
            except ClaimLostError:
                if attempt == ATTEMPTS_MAX - 1:
                    raise
                await self._fresh()
        raise AssertionError("unreachable")

    def _stepped(self, call: Call, step: Step, old: Object) -> Object:
        changed = step(old)
        self._require_matching(call, changed)
        return changed

    def _ready_to_update(
        self, review: Review, options: WriteOptions, new: Object, old: Object, now: float
    ) -> Object:
        resource, strategy = review.resource, review.resource.strategy
        new = self._defaulted(resource, new)
        new = meta.prepare_update(resource, new, old, subresource=review.subresource)
        if strategy.prepare_update is not None and not review.subresource:
            new = strategy.prepare_update(new, old)
        new = admission.mutate(review, new)
        self._require_valid(resource, new, old)
        admission.validate(review, new)
        return apply.record_update(
            resource,
            old,
            new,
            manager=options.manager,
            now=now,
            subresource=review.subresource,
        )

    # -------------------------------------------------------------------- patch

    def _step(self, call: Call, kind: str, options: WriteOptions) -> Step:
        """What a patch does to an object. Raises ApiError 400 and 415."""
        body = call.incoming.body
        supported = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH]
        if not call.resource.is_custom:
            supported.insert(2, STRATEGIC_PATCH)
        if kind not in supported:
            told = ", ".join(supported)
            raise errors.unsupported_media_type(
                f"the body of the request was in an unknown format - accepted media types include: "
                f"{told}"
            )
        change = decoding.decode_patch(body)
        if kind == JSON_PATCH:
            if not isinstance(change, list):
                raise errors.bad_request("a JSON patch is a list of operations")
            if len(change) > _PATCH_OPERATIONS_MAX:
                raise errors.too_large(
                    f"the allowed maximum operations in a JSON patch is {_PATCH_OPERATIONS_MAX}, "
                    f"got {len(change)}"
                )
            changed: Callable[[Object], Any] = lambda old: patch.json_patch(old, change)  # noqa: E731
        elif not isinstance(change, Mapping):
            raise errors.bad_request("a merge patch is an object")
        elif kind == MERGE_PATCH:
            changed = lambda old: patch.merge_patch(old, change)  # noqa: E731
        else:
            schema = call.resource.schema
            changed = lambda old: strategic.strategic_merge(schema, old, change)  # noqa: E731

        def step(old: Object) -> Object:
            call.warnings.clear()
            new = changed(old)
            if not isinstance(new, Mapping):
                raise errors.bad_request("the patched document is no object")
            self._judge_fields(call, options, new, ())
            return new

        return step

    async def _apply(self, call: Call, options: WriteOptions) -> Answer:
        """Server-side apply (kube-behaviour 2.15)."""
        decoded = decoding.decode(call.incoming.body, "application/yaml")
        applied = decoded.object
        self._require_typed(call, applied)
        self._judge_fields(call, options, applied, decoded.duplicates)
        metadata = applied.get("metadata") or {}
        if metadata.get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        applied = {**applied, "metadata": {**metadata, "name": call.target.name}}
        if call.resource.is_namespaced:
            applied["metadata"]["namespace"] = call.target.namespace
        try:
            return answer(call, await self._applied(call, options, applied))
        except ApiError as error:
            if error.reason != "NotFound" or call.target.subresource or error.kind == "namespaces":
                raise
        live = apply.apply(
            call.resource,
            None,
            applied,
            manager=options.manager,
            force=options.is_forced,
            now=call.now,
        )
        created = await self._created_by_apply(call, options, live)
        return answer(call, created, code=201)

    async def _applied(self, call: Call, options: WriteOptions, applied: Object) -> Object:
        review = self._review(call, UPDATE, is_dry_run=options.is_dry_run)
        resource, target = call.resource, call.target

        def change(old: Object) -> Object:
            review.old = old
            review.claims.clear()
            new = apply.apply(
                resource,
                old,
                applied,
                manager=options.manager,
                force=options.is_forced,
                now=call.now,
                subresource=target.subresource,
            )
            owned = new["metadata"].get("managedFields")
            new = self._ready_to_update(review, options, new, old, call.now)
            return _with_managed_fields(new, owned)

        version = str(applied["metadata"].get("resourceVersion") or "")
        return await self._store.update(
            resource,
            target.namespace,
            target.name,
            change,
            resource_version=version,
            also=review.claims,
            dry_run=options.is_dry_run,
        )

    async def _created_by_apply(
        self, call: Call, options: WriteOptions, found: Object
    ) -> Object:
        await self._know(call)
        review = self._review(call, CREATE, is_dry_run=options.is_dry_run)
        owned = found["metadata"].get("managedFields")
        ready = self._ready_to_create(review, options, found, call.now)
        return await self._store.create(
            call.resource,
            _with_managed_fields(ready, owned),
            also=review.claims,
            dry_run=options.is_dry_run,
        )

    # ------------------------------------------------------------------- bodies

    def _decoded(self, call: Call, options: WriteOptions) -> Object:
        decoded = decoding.decode(call.incoming.body, call.incoming.header("content-type"))
        found = decoded.object
        self._require_typed(call, found)
        self._judge_fields(call, options, found, decoded.duplicates)
        resource, target = call.resource, call.target
        metadata = dict(found.get("metadata") or {})
        if resource.is_namespaced:
            namespace = metadata.setdefault("namespace", target.namespace)
            if namespace != target.namespace:
                raise errors.bad_request(
                    f"the namespace of the provided object does not match the namespace sent on "
                    f"the request ({namespace}, {target.namespace})"
                )
        elif metadata.get("namespace"):
            raise errors.bad_request("namespace must not be set on objects of the cluster")
        found = {**found, "metadata": metadata}
        if target.name:
            metadata.setdefault("name", target.name)
        self._require_matching(call, found)
        return found

    def _require_typed(self, call: Call, found: Object) -> None:
        """Raises ApiError 400 unless the body is of the kind of the path."""
        resource = call.resource
        version, kind = found.get("apiVersion"), found.get("kind")
        if not kind or not version:
            missing = "kind" if not kind else "apiVersion"
            raise errors.bad_request(f"Object '{missing.capitalize()}' is missing in the body")
        if (version, kind) != (resource.api_version, resource.kind):
            raise errors.bad_request(
                f'{kind} in version "{version}" cannot be handled as a {resource.kind}: '
                f"the path is of {resource.api_version}"
            )

    def _require_matching(self, call: Call, found: Object) -> None:
        """Raises ApiError 400 unless the body names whom the URL names."""
        metadata, target = found.get("metadata") or {}, call.target
        for field, wanted in (("name", target.name), ("namespace", target.namespace)):
            told = metadata.get(field)
            if told and wanted and told != wanted and not (
                field == "namespace" and not call.resource.is_namespaced
            ):
                raise errors.bad_request(
                    f"the {field} of the object ({told}) does not match the {field} on the URL "
                    f"({wanted})"
                )

    def _judge_fields(
        self, call: Call, options: WriteOptions, found: Object, duplicates: Sequence[str]
    ) -> None:
        """Unknown and repeated fields: refused, warned of, or let pass (kube-behaviour 2.11)."""
        if options.strict == "Ignore":
            return
        told = [f'duplicate field "{path}"' for path in duplicates]
        unknown = validation.unknown_fields(call.resource.schema, found)
        told = [f'unknown field "{path}"' for path in unknown] + told
        if told and options.strict == "Strict":
            raise errors.bad_request(
                f"{call.resource.kind} in version \"{call.resource.version}\" cannot be handled "
                f"as a {call.resource.kind}: strict decoding error: {', '.join(told)}"
            )
        call.warnings.extend(told)

    def _defaulted(self, resource: Resource, found: Object) -> Object:
        found = validation.prune(resource.schema, found)
        if resource.is_custom:
            return defaulting.apply_schema_defaults(resource.schema, found)
        found = defaulting.apply_defaults(resource.defaults, found)
        return found if resource.strategy.default is None else resource.strategy.default(found)

    def _require_valid(self, resource: Resource, new: Object, old: Object | None) -> None:
        """Raises ApiError 422 with all that is wrong."""
        strategy, metadata = resource.strategy, new["metadata"]
        causes = list(meta.validate_meta(metadata, is_namespaced=resource.is_namespaced))
        causes += validation.validate(resource.schema, new)
        if not causes and strategy.validate is not None:
            causes += strategy.validate(new)
        if old is not None and not causes:
            causes += meta.validate_meta_update(metadata, old["metadata"])
            causes += lifecycle.changed_immutables(resource, new, old)
            if strategy.validate_update is not None:
                causes += strategy.validate_update(new, old)
        if causes:
            name = str(metadata.get("name") or metadata.get("generateName") or "")
            raise errors.invalid(resource.kind, resource.group, name, causes)

    def _delete_body(self, call: Call) -> Mapping[str, Any]:
        body = call.incoming.body
        if not body:
            return {}
        content_type = call.incoming.header("content-type") or "application/json"
        return decoding.decode(body, content_type).object

    def _review(self, call: Call, operation: str, *, is_dry_run: bool) -> Review:
        return Review(
            operation=operation,
            resource=call.resource,
            subresource=call.target.subresource,
            namespace=call.target.namespace,
            name=call.target.name,
            user=call.user,
            is_dry_run=is_dry_run,
            lister=self._lister,
            claims=[],
        )


def _with_managed_fields(found: Object, owned: object) -> Object:
    metadata = {**found["metadata"], "managedFields": owned}
    return {**found, "metadata": metadata}


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
