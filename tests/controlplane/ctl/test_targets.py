import pytest

from controlplane.ctl.errors import CtlError
from controlplane.ctl.targets import Targets, targets_of
from tests.controlplane.ctl.test_resources import RESOURCES


def test_what_is_meant_by_words() -> None:
    [pods] = RESOURCES.called("pods")
    [services] = RESOURCES.called("svc")
    assert targets_of(RESOURCES, ["po,svc", "a", "b"]) == [
        Targets(pods, ("a", "b")),
        Targets(services, ("a", "b")),
    ]
    assert targets_of(RESOURCES, ["po/a", "svc/b"]) == [
        Targets(pods, ("a",)),
        Targets(services, ("b",)),
    ]
    for words in (["po/a", "b"], ["po/"], ["po/a/b"], []):
        with pytest.raises(CtlError):
            targets_of(RESOURCES, words)
