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
from controlplane.apiserver.cache import ObjectCache

GROUP, PLURAL = "apiextensions.k8s.io", "customresourcedefinitions"

_log = logging.getLogger(__name__)


class Definitions:
    """`step` after every change of the cache; cheap when no definition changed."""

    def __init__(self, registry: Registry, cache: Callable[[], ObjectCache]) -> None:
        self._registry = registry
        self._cache = cache
        self._seen: tuple[int, int] = (-1, -1)
        self._served: dict[tuple[str, str], bytes] = {}

    def step(self) -> None:
        """Serve what the definitions say now."""
        cache = self._cache()
        of_definitions = cache.of(GROUP, PLURAL)
        seen = (id(cache), of_definitions.changes)
        if seen == self._seen:
            return
        self._seen = seen
        wanted: dict[tuple[str, str], tuple[bytes, Any]] = {}
        for entry in of_definitions.scan(""):
            definition = orjson.loads(entry.raw)
            place = self._place(definition)
            if place is not None:
                # Only what is said of it counts: its status changes with every look at it.
                told = orjson.dumps(definition["spec"], option=orjson.OPT_SORT_KEYS)
                wanted[place] = (told, definition)
        for place in self._served.keys() - wanted.keys():
            self._registry.remove(*place)
            del self._served[place]
        for place, (told, definition) in wanted.items():
            if self._served.get(place) != told:
                self._serve(place, told, definition)

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

    def _serve(self, place: tuple[str, str], told: bytes, definition: Any) -> None:
        try:
            resources = customresources.resources_of(definition)
        except (ValueError, KeyError, TypeError) as error:
            # Written past the API server, or by a newer one: what was served before stays.
            _log.warning("%s.%s cannot be served: %r", place[1], place[0], error)
            return
        self._registry.remove(*place)
        for resource in resources:
            self._registry.add(resource)
        self._served[place] = told
        self._cache().reindex(*place)
