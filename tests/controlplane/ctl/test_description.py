import re

from controlplane.ctl.description import describe

NOW = 1_764_374_400.0  # 2025-11-29T00:00:00Z
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "a",
        "namespace": "d",
        "uid": "u",
        "labels": {"b": "2", "a": "1"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        "managedFields": [{"manager": "m"}],
    },
    "spec": {"hostNetwork": True, "containers": [{"name": "c", "image": "i"}], "podIP": None},
}


def test_everything_is_shown_under_spelled_out_names() -> None:
    assert describe(POD, [], now=NOW).splitlines() == [
        "Name:         a",
        "Namespace:    d",
        "Labels:       a=1",
        "              b=2",
        "Annotations:  <none>",
        "API Version:  v1",
        "Kind:         Pod",
        "Metadata:",
        "  UID:  u",
        "Spec:",
        "  Containers:",
        "    Image:  i",
        "    Name:   c",
        "  Host Network:  true",
        "  Pod IP:        <nil>",
        "Events:  <none>",
    ]


def test_keys_of_users_are_left_as_they_are() -> None:
    found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    told = describe({**found, "data": {"myKey": "one\ntwo"}}, [], now=NOW).splitlines()
    assert told[told.index("Data:") + 1 : -1] == ["  myKey:  one", "          two", "Metadata:"]


def test_no_value_of_a_secret_is_shown() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}
    told = describe({**secret, "data": {"key": "aHVzaA=="}}, [], now=NOW)
    assert "key:  4 bytes" in told
    assert "aHVzaA" not in told


def test_events_stand_in_the_order_of_their_last_time() -> None:
    def event(reason: str, at: str, count: int) -> dict[str, object]:
        return {
            "metadata": {"name": reason},
            "type": "Normal",
            "reason": reason,
            "message": "m",
            "firstTimestamp": "2025-11-28T23:00:00Z",
            "lastTimestamp": at,
            "count": count,
            "source": {"component": "kubelet"},
        }

    late = event("Late", "2025-11-28T23:59:50Z", 3)
    early = event("Early", "2025-11-28T23:58:30Z", 1)
    told = describe(POD, [late, early], now=NOW).splitlines()[-2:]
    assert told[0].split() == ["Normal", "Early", "90s", "kubelet", "m"]
    assert told[1].split() == ["Normal", "Late", "10s", "(x3", "over", "60m)", "kubelet", "m"]


def test_nothing_that_a_terminal_would_obey_is_shown() -> None:
    """Whoever may write an object, an event or a log message must not write on others' screens."""
    evil = "\x1b]0;a\x07b\rc\x9bd"
    pod = {
        **POD,
        "metadata": {"name": "a", "annotations": {"k": evil}, "labels": {"l": evil}},
        "spec": {evil: evil, "args": [evil, {"name": evil}], "deep": {"text": f"1\n{evil}"}},
    }
    event = {"metadata": {"name": "e"}, "type": evil, "reason": evil, "message": evil}
    told = describe(pod, [event], now=NOW)
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", told) is None
    assert told.count("?]0;a?b?c?d") >= 9


def test_lines_stay_lines_also_in_lists_and_annotations() -> None:
    found = {"apiVersion": "v1", "kind": "ConfigMap"}
    metadata = {"name": "a", "annotations": {"b": "one\r\ntwo"}}
    told = describe({**found, "metadata": metadata, "args": ["one\n\ttwo"]}, [], now=NOW)
    lines = told.splitlines()
    assert lines[3:5] == ["Annotations:  b: one", "              two"]
    assert lines[lines.index("Args:") + 1 :][:2] == ["  one", "        two"]
