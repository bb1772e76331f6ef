"""How a pod finds names: the resolv.conf of a pod, by its DNS policy. PURE.

Sources: Kubernetes' documentation, "DNS for Services and Pods" (policies, dnsConfig, limits);
resolv.conf(5); kube-behaviour 5.5.
"""

from collections.abc import Iterable, Sequence

import msgspec

from controlplane.api.types.core_v1 import PodDNSConfig

NAMESERVERS_MAX = 3
SEARCHES_MAX = 32
SEARCH_CHARS_MAX = 2048
NDOTS = "ndots:5"

CLUSTER_FIRST, CLUSTER_FIRST_WITH_HOST_NET = "ClusterFirst", "ClusterFirstWithHostNet"
DEFAULT, NONE = "Default", "None"


class ResolvConf(msgspec.Struct, frozen=True):
    """What such a file says. `options`: as they are written, like `ndots:5`."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def resolv_conf(
    policy: str,
    dns_config: PodDNSConfig | None,
    namespace: str,
    cluster_dns: Sequence[str],
    domain: str,
    host_text: str,
    *,
    is_host_network: bool = False,
) -> str:
    """The text of a pod's /etc/resolv.conf.

    policy       its dnsPolicy; empty is ClusterFirst
    cluster_dns  addresses of the cluster's DNS; none: everybody has what the host has
    domain       of the cluster
    host_text    the host's file
    """
    found = _by_policy(policy, namespace, cluster_dns, domain, parse(host_text), is_host_network)
    return text_of(found if dns_config is None else _merged(found, dns_config))


def _by_policy(
    policy: str,
    namespace: str,
    cluster_dns: Sequence[str],
    domain: str,
    host: ResolvConf,
    is_host_network: bool,
) -> ResolvConf:
    if policy == NONE:
        return ResolvConf()
    is_hosts = policy == DEFAULT or (is_host_network and policy != CLUSTER_FIRST_WITH_HOST_NET)
    if is_hosts or not cluster_dns:
        return host
    own = (f"{namespace}.svc.{domain}", f"svc.{domain}", domain)
    return ResolvConf(tuple(cluster_dns), _unique((*own, *host.searches)), (NDOTS,))


def _merged(found: ResolvConf, config: PodDNSConfig) -> ResolvConf:
    """What the pod adds comes last; an option that it names is as it says."""
    options = {_name(option): option for option in found.options}
    for one in config.options:
        options[one.name] = f"{one.name}:{one.value}" if one.value else one.name
    return ResolvConf(
        _unique((*found.nameservers, *config.nameservers)),
        _unique((*found.searches, *config.searches)),
        tuple(options.values()),
    )


def text_of(conf: ResolvConf) -> str:
    """The file, within the limits that resolvers have."""
    searches: list[str] = []
    for search in conf.searches[:SEARCHES_MAX]:
        if len(" ".join((*searches, search))) > SEARCH_CHARS_MAX:
            break
        searches.append(search)
    lines = [f"search {' '.join(searches)}"] if searches else []
    lines += [f"nameserver {one}" for one in conf.nameservers[:NAMESERVERS_MAX]]
    lines += [f"options {' '.join(conf.options)}"] if conf.options else []
    return "".join(f"{line}\n" for line in lines)


def parse(text: str) -> ResolvConf:
    """Lines that are not known say nothing; of search and domain the last counts."""
    nameservers: list[str] = []
    searches: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        match line.split():
            case ["nameserver", address, *_]:
                nameservers.append(address)
            case ["search" | "domain", *names]:
                searches = tuple(name.rstrip(".") or "." for name in names)
            case ["options", *told]:
                options += told
    return ResolvConf(_unique(nameservers), _unique(searches), _unique(options))


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _name(option: str) -> str:
    return option.partition(":")[0]
