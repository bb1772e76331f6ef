"""Custom resources come and go with their definitions: the registry follows the cache.

Source: Kubernetes' documentation, "Custom Resources"; kube-behaviour 11.7. A definition is served
once it is established, which the controller of names says.
"""

import logging
from collections.abc import Callable
from typing import Any

import orjson

from controlplane.api import customresources
from controlplane.api.registry import Registry
from controlplane.api.resource import Resource
from controlplane.api.validation import validate
from controlplane.apiserver.cache import ObjectCache
from controlplane.apiserver.recent import Entry
from controlplane.apiserver.selection import index_of

GROUP, PLURAL = "apiextensions.k8s.io", "customresourcedefinitions"

_log = logging.getLogger(__name__)


class Definitions:
    """`step` after every change of the cache: it looks at the definitions that have changed."""

    def __init__(self, registry: Registry, cache: Callable[[], ObjectCache]) -> None:
        self._registry = registry
        self._cache = cache
        resource = registry.storage(GROUP, PLURAL)
        assert resource is not None, "definitions are built in"
        self._resource = resource
        self._followed: ObjectCache | None = None
        self._revision = 0
        self._places: dict[str, tuple[str, str]] = {}  # key of a definition -> what it defines
        self._served: dict[tuple[str, str], bytes] = {}

    def step(self) -> None:
        """Serve what the definitions say now."""
        cache = self._cache()
        of_definitions = cache.of(GROUP, PLURAL)
        changes = of_definitions.since(self._revision) if cache is self._followed else None
        self._followed, self._revision = cache, cache.revision
        if changes is None:
            entries = {entry.key: entry for entry in of_definitions.scan("")}
            for key in self._places.keys() - entries.keys():
                self._forget(key)
            for entry in entries.values():
                self._take(entry)
            return
        for change in changes:
            if change.is_deletion:
                self._forget(change.new.key)
            else:
                self._take(change.new)

    def _take(self, entry: Entry) -> None:
        definition = orjson.loads(entry.raw)
        place = self._place(definition)
        if place != self._places.get(entry.key):
            self._forget(entry.key)
        if place is None:
            return
        self._places[entry.key] = place
        # Only what is said of it counts: its status changes with every look at it.
        told = orjson.dumps(definition["spec"], option=orjson.OPT_SORT_KEYS)
        if self._served.get(place) != told:
            self._serve(place, told, definition)

    def _forget(self, key: str) -> None:
        place = self._places.pop(key, None)
        if place is not None and self._served.pop(place, None) is not None:
            self._registry.remove(*place)

    def _place(self, definition: Any) -> tuple[str, str] | None:
        """Group and plural of what it defines; None: it is not served.

        A definition takes nothing from the kinds that are built in, whatever it is called.
        """
        try:
            spec = definition["spec"]
            place = (str(spec["group"]), str(spec["names"]["plural"]))
            is_established = customresources.is_established(definition)
        except (KeyError, TypeError, AttributeError):
            return None  # written past the API server
        there = self._registry.storage(*place)
        return place if is_established and (there is None or there.is_custom) else None

    def _resources(self, definition: Any) -> list[Resource]:
        """Raises ValueError, KeyError, TypeError, AttributeError where none can be made of it."""
        faults = validate(self._resource.schema, definition, with_required=False)
        if faults:
            raise ValueError(f"{faults[0].field}: {faults[0].message}")
        resources = customresources.resources_of(definition)
        for resource in resources:
            if not resource.version:
                raise ValueError("a version has no name")
            index_of(resource)  # its schema is looked at
        return resources

    def _serve(self, place: tuple[str, str], told: bytes, definition: Any) -> None:
        try:
            resources = self._resources(definition)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # Written past the API server, or by a newer one: what was served before stays.
            _log.warning("%s.%s cannot be served: %r", place[1], place[0], error)
            return
        self._registry.remove(*place)
        for resource in resources:
            self._registry.add(resource)
        self._served[place] = told
        self._cache().reindex(*place)
