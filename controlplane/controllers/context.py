"""What controllers are given when their process becomes the leader, and what kinds there are."""

from collections.abc import Iterable

import msgspec

from controlplane.api import customresources
from controlplane.api.pod_ranges import PodRanges
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.events import EventRecorder
from controlplane.tokens import Tokens

ENDED_PODS_MAX = 12_500  # 3.3


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """registry   the built-in kinds
    recorder   where controllers tell what went wrong with an object
    authority  PEM of whoever signs the API server's certificate; empty: nobody knows
    tokens     issues tokens for Secrets; None: no key was given

    node_monitor_period_seconds  a node that is not well is looked at at least so often
    node_monitor_grace_seconds   a node that is not heard of for so long is unreachable (6.2)
    node_startup_grace_seconds   … if nothing was ever said of it
    pod_ranges                   of which each node gets one for its pods; None: it gets none
    ended_pods_max  pods that have ended and may stay; 0: any number
    """

    registry: Registry
    recorder: EventRecorder
    authority: str = ""
    tokens: Tokens | None = None
    node_monitor_period_seconds: float = 5.0
    node_monitor_grace_seconds: float = 50.0
    node_startup_grace_seconds: float = 60.0
    pod_ranges: PodRanges | None = None
    ended_pods_max: int = ENDED_PODS_MAX

    def resource(self, group: str, plural: str) -> Resource:
        """A built-in one, in the version in which it is stored."""
        found = self.registry.storage(group, plural)
        assert found is not None, f"there is no {plural} in {group!r}"
        return found

    def stored(self) -> list[Resource]:
        """All built-in resources of which objects are stored, each once."""
        places = {one.place for one in self.registry.all() if "list" in one.verbs}
        return [self.resource(*place) for place in sorted(places)]


def custom_resources(definitions: Iterable[Object]) -> list[Resource]:
    """The resource of each definition whose objects may be stored."""
    found = (custom_resource(one) for one in definitions)
    return [one for one in found if one is not None]


def custom_resource(definition: Object) -> Resource | None:
    """In the version in which it is stored; None: the definition was written by a stranger.

    That it is established, or served, is not asked for: objects may be there from a time when it
    was.
    """
    try:
        return customresources.stored_resource_of(definition)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def kinds_of(definition: Object) -> list[str]:
    """`group/kind` by which a definition may be found: one, or none.

    As in Kubernetes' discovery a kind is only there where its name was accepted: a second
    definition of the same kind knows nothing of the objects of the first. Raises for what a
    stranger wrote.
    """
    if not customresources.is_established(definition):
        return []
    spec, accepted = definition["spec"], definition["status"]["acceptedNames"]
    kind = spec["names"]["kind"]
    return [f"{spec['group']}/{kind}"] if accepted["kind"] == kind else []
