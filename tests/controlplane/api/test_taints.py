"""Which tolerations are of which taints. Numbers are rows of kube-behaviour.md."""

import pytest

from controlplane.api import taints
from controlplane.api.types.core_v1 import Taint, Toleration

TAINT = Taint(key="k", value="v", effect="NoExecute")


@pytest.mark.parametrize(
    ("toleration", "wanted"),
    [
        (Toleration(operator="Exists"), True),
        (Toleration(key="k", operator="Exists"), True),
        (Toleration(key="k", operator="Exists", effect="NoExecute"), True),
        (Toleration(key="k", operator="Exists", effect="NoSchedule"), False),
        (Toleration(key="other", operator="Exists"), False),
        (Toleration(key="k", operator="Equal", value="v"), True),
        (Toleration(key="k", value="v"), True),
        (Toleration(key="k", value="other"), False),
        (Toleration(key="k"), False),
        (Toleration(key="k", operator="Gt", value="v"), False),
    ],
)
def test_tolerations(toleration: Toleration, wanted: bool) -> None:
    """6.3."""
    assert taints.tolerates(toleration, TAINT) == wanted
    others = (Toleration(key="other", value="v"), toleration, Toleration(operator="Exists"))
    assert taints.toleration_of(others, TAINT) == (toleration if wanted else others[2])
