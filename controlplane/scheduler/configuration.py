"""Which plug-ins place pods: the default profile, and what a configuration makes of it. PURE.

    profiles:
      - schedulerName: packing
        plugins:
          disabled: [{name: ImageLocality}]
          enabled: [{name: Quiet, weight: 5}]
        pluginConfig:
          - name: NodeResourcesFit
            args: {scoringStrategy: {type: MostAllocated}}

The same words as in Kubernetes' KubeSchedulerConfiguration, of which `plugins` may also stand in
`multiPoint`. Source: Kubernetes, "Scheduler Configuration"; kube-behaviour 7.3, 7.4, 7.8.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from controlplane.scheduler.filters import (
    NodeAffinity,
    NodeName,
    NodePorts,
    NodeUnschedulable,
    TaintToleration,
)
from controlplane.scheduler.framework import Plugin, Profile, Weighted
from controlplane.scheduler.pod_affinity import InterPodAffinity
from controlplane.scheduler.pod_class import DEFAULT_SCHEDULER
from controlplane.scheduler.resources import NodeResourcesBalancedAllocation, NodeResourcesFit
from controlplane.scheduler.scores import ImageLocality
from controlplane.scheduler.spread import PodTopologySpread
from controlplane.scheduler.volume_binding import VolumeBinding

DEFAULT_PLUGINS = (
    Weighted(NodeUnschedulable()),
    Weighted(NodeName()),
    Weighted(TaintToleration(), 3),
    Weighted(NodeAffinity(), 2),
    Weighted(NodePorts()),
    Weighted(NodeResourcesFit(), 1),
    Weighted(VolumeBinding()),
    Weighted(PodTopologySpread(), 2),
    Weighted(InterPodAffinity(), 2),
    Weighted(NodeResourcesBalancedAllocation(), 1),
    Weighted(ImageLocality(), 1),
)
"""In the order in which they are asked, which is that of Kubernetes; weights are 7.4's."""

WEIGHT_MAX = 100
_ALL = "*"
_FIELDS = {"apiVersion", "kind", "profiles"}
_PROFILE_FIELDS = {"schedulerName", "plugins", "pluginConfig"}


class ConfigurationError(Exception):
    """A configuration that cannot be used; the message says why."""


class Configuration(msgspec.Struct, frozen=True):
    """Profiles by scheduler name."""

    profiles: Mapping[str, Profile]


DEFAULT = Configuration({DEFAULT_SCHEDULER: Profile(DEFAULT_PLUGINS)})


def configuration_of(tree: object, more: Mapping[str, Plugin]) -> Configuration:
    """Of a KubeSchedulerConfiguration. Raises ConfigurationError.

    more  plug-ins besides the default ones, by name
    """
    if not isinstance(tree, Mapping):
        raise ConfigurationError("it must be a map with `profiles`")
    unknown = tree.keys() - _FIELDS
    if unknown:
        raise ConfigurationError(f"unknown fields: {', '.join(sorted(map(str, unknown)))}")
    found = tree.get("profiles")
    if found is None:
        return DEFAULT
    profiles: dict[str, Profile] = {}
    for one in _list(found, "profiles"):
        profile = _profile(one, more)
        if profile.scheduler_name in profiles:
            raise ConfigurationError(f"two profiles are named {profile.scheduler_name!r}")
        profiles[profile.scheduler_name] = profile
    if not profiles:
        raise ConfigurationError("profiles: there must be one at least")
    return Configuration(profiles)


def _profile(found: object, more: Mapping[str, Plugin]) -> Profile:
    tree = _map(found, "profiles")
    unknown = tree.keys() - _PROFILE_FIELDS
    if unknown:
        raise ConfigurationError(f"profiles: unknown fields: {', '.join(sorted(unknown))}")
    name = tree.get("schedulerName", DEFAULT_SCHEDULER)
    if not isinstance(name, str) or not name:
        raise ConfigurationError("profiles: schedulerName must be a name")
    sets = _map(tree.get("plugins") or {}, "plugins")
    chosen = _chosen(_map(sets.get("multiPoint") or sets, "plugins"), more)
    settings = {
        str(one.get("name")): _map(one.get("args") or {}, "args")
        for one in (_map(each, "pluginConfig") for each in _list(tree.get("pluginConfig") or ()))
    }
    missing = settings.keys() - {one.plugin.name for one in chosen}
    if missing:
        raise ConfigurationError(f"pluginConfig: not enabled: {', '.join(sorted(missing))}")
    configured = [
        msgspec.structs.replace(one, plugin=_configured(one.plugin, settings)) for one in chosen
    ]
    return Profile(configured, scheduler_name=name)


def _chosen(sets: Mapping[str, Any], more: Mapping[str, Plugin]) -> list[Weighted]:
    """The default plug-ins without what is disabled, then what is enabled.

    Who is enabled with another weight keeps its place.
    """
    unknown = sets.keys() - {"enabled", "disabled"}
    if unknown:
        raise ConfigurationError(f"plugins: unknown fields: {', '.join(sorted(unknown))}")
    known = {one.plugin.name: one.plugin for one in DEFAULT_PLUGINS} | dict(more)
    disabled = {_map(one, "disabled").get("name") for one in _list(sets.get("disabled") or ())}
    chosen = {
        one.plugin.name: one
        for one in DEFAULT_PLUGINS
        if one.plugin.name not in disabled and _ALL not in disabled
    }
    for one in _list(sets.get("enabled") or ()):
        tree = _map(one, "enabled")
        name, weight = tree.get("name"), tree.get("weight", 1)
        if name not in known:
            raise ConfigurationError(
                f"there is no plug-in {name!r}; known are {', '.join(sorted(known))}"
            )
        if not isinstance(weight, int) or not 0 <= weight <= WEIGHT_MAX:
            raise ConfigurationError(f"{name}: weight must be 0 to {WEIGHT_MAX}")
        chosen[name] = Weighted(known[name], weight)
    return list(chosen.values())


def _configured(plugin: Plugin, settings: Mapping[str, Mapping[str, Any]]) -> Plugin:
    try:
        return plugin.configured(settings.get(plugin.name, {}))
    except ValueError as error:
        raise ConfigurationError(f"pluginConfig of {plugin.name}: {error}") from None


def _map(found: object, where: str) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise ConfigurationError(f"{where}: {found!r} is no map")
    return found


def _list(found: object, where: str = "plugins") -> Sequence[object]:
    if not isinstance(found, list | tuple):
        raise ConfigurationError(f"{where}: {found!r} is no list")
    return found
