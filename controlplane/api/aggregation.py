"""ClusterRoles that are made of others: their rules are those of all roles that they select. PURE.

Source: Kubernetes' documentation, "Aggregated ClusterRoles"; kube-behaviour 11.3.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from controlplane.api import selectors
from controlplane.api.resource import Object


def aggregated(
    cluster_role_selectors: Sequence[Mapping[str, Any]], roles: Iterable[Object], *, but: str = ""
) -> list[Any]:
    """The rules of all roles that one of the selectors takes, in the order of the roles' names.

    but  name of a role that is none of them: the one that the rules are for

    Raises ApiError 400 for a selector that says nothing valid.
    """
    wanted = [selectors.from_object(one) for one in cluster_role_selectors]
    rules: dict[bytes, Any] = {}  # by what they say: each once, however many there are
    for role in sorted(roles, key=lambda found: str(found["metadata"]["name"])):
        labels = role["metadata"].get("labels") or {}
        if role["metadata"]["name"] == but or not any(one.matches(labels) for one in wanted):
            continue
        for rule in role.get("rules") or ():
            rules.setdefault(orjson.dumps(rule, option=orjson.OPT_SORT_KEYS), rule)
    return list(rules.values())
