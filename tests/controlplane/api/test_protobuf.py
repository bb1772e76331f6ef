"""Protobuf requests: what kubectl sends is decoded to the JSON that it would have sent.

`protobuf_bodies.json` has, for each command, the body of kubectl 1.33 (protobuf) and that of
kubectl 1.31, which sends the same object as JSON: Go's own JSON is the oracle. Where kubectls are
installed beside each other the bodies are captured anew.
"""

import base64
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import decoding, protobuf
from controlplane.api.errors import ApiError
from tests.controlplane.api.kubectl_stub import PROTOBUF, bodies_of

BODIES: Mapping[str, Mapping[str, Any]] = json.loads(
    Path(__file__).with_name("protobuf_bodies.json").read_text()
)


def _folder_of_kubectls() -> Path | None:
    """Where several releases are installed beside each other."""
    found = shutil.which("kubectl")
    folder = Path(os.path.realpath(found)).parent if found else None
    wanted = ("kubectl.1.33", "kubectl.1.31")
    return folder if folder and all((folder / name).exists() for name in wanted) else None


KUBECTLS = _folder_of_kubectls()


def significant(tree: Any) -> Any:
    """Without nulls and empty objects, which say nothing in what kubectl sends."""
    if isinstance(tree, dict):
        kept = {name: significant(value) for name, value in tree.items()}
        return {name: value for name, value in kept.items() if value is not None and value != {}}
    return [significant(element) for element in tree] if isinstance(tree, list) else tree


@pytest.mark.parametrize("command", BODIES)
def test_decoding_gives_the_json_that_kubectl_would_have_sent(command: str) -> None:  # 1.5
    body = base64.b64decode(BODIES[command]["protobuf"])
    assert significant(protobuf.decode(body)) == significant(BODIES[command]["json"])


@pytest.mark.skipif(KUBECTLS is None, reason="kubectl 1.31 and 1.33 are not beside each other")
@pytest.mark.parametrize("command", BODIES)
def test_two_real_kubectls_say_the_same(command: str, tmp_path: Path) -> None:  # 1.5
    assert KUBECTLS is not None
    (new, *_) = bodies_of(KUBECTLS / "kubectl.1.33", tmp_path, command)
    assert new.content_type == PROTOBUF
    if BODIES[command]["captured"]:
        (old, *_) = bodies_of(KUBECTLS / "kubectl.1.31", tmp_path, command)
        expected = json.loads(old.body)
    else:  # The older kubectl chooses another version of this kind.
        expected = BODIES[command]["json"]
    assert significant(protobuf.decode(new.body)) == significant(expected)


# By hand: what the wire has beyond what kubectl sends.


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def request(version: str, kind: str, raw: bytes) -> bytes:
    meta = field(1, version.encode()) + field(2, kind.encode())
    return b"k8s\0" + field(1, meta) + field(2, raw) + field(3, b"") + field(4, b"")


def test_a_pointer_to_zero_is_kept_and_an_unset_number_is_not() -> None:  # 1.5
    spec = field(1, 0) + field(5, 0)  # replicas: *int32; minReadySeconds: int32
    decoded = protobuf.decode(request("apps/v1", "Deployment", field(2, spec)))
    assert decoded["spec"] == {"replicas": 0}


def test_an_empty_value_that_json_never_omits_is_kept() -> None:  # 1.5
    decoded = protobuf.decode(request("scheduling.k8s.io/v1", "PriorityClass", field(2, 0)))
    assert decoded["value"] == 0


def test_a_required_selector_that_selects_everything_is_kept() -> None:  # 1.5
    decoded = protobuf.decode(
        request("networking.k8s.io/v1", "NetworkPolicy", field(2, field(1, b"")))
    )
    assert decoded["spec"] == {"podSelector": {}}


def test_negative_numbers() -> None:
    assert protobuf.decode(request("scheduling.k8s.io/v1", "PriorityClass", field(2, -7)))[
        "value"
    ] == (-7)


def test_times_have_whole_seconds_and_micro_times_microseconds() -> None:
    stamp = field(1, 1_700_000_000) + field(2, 123_456_789)
    lease = protobuf.decode(
        request(
            "coordination.k8s.io/v1", "Lease", field(1, field(8, stamp)) + field(2, field(3, stamp))
        )
    )
    assert lease["metadata"]["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert lease["spec"]["acquireTime"] == "2023-11-14T22:13:20.123456Z"


def test_a_time_before_the_first_year_is_refused() -> None:
    stamp = field(1, -(1 << 62))
    body = request("v1", "Pod", field(1, field(8, stamp)))
    assert _refusal(body).message == (
        'Pod in version "v1" cannot be handled as a Pod: time is out of range'
    )


def test_embedded_json_is_part_of_the_object() -> None:
    raw = field(2, field(1, b'{"spec":{"x":[1]}}')) + field(3, 4)
    decoded = protobuf.decode(request("apps/v1", "ControllerRevision", raw))
    assert decoded["data"] == {"spec": {"x": [1]}}
    assert decoded["revision"] == 4


@pytest.mark.parametrize("text", [b"{", b"[" * 300 + b"]" * 300, b"\xff"])
def test_embedded_json_is_bounded_and_checked(text: bytes) -> None:  # 2.18
    refusal = _refusal(request("apps/v1", "ControllerRevision", field(2, field(1, text))))
    assert refusal.code == 400
    told = 'ControllerRevision in version "v1" cannot be handled as a ControllerRevision: '
    assert refusal.message.startswith(f"{told}embedded JSON")


def test_the_decoder_is_found_by_its_media_type() -> None:  # 1.5
    body = request("v1", "ConfigMap", field(4, 1))
    decoded = decoding.decode(body, "application/vnd.kubernetes.protobuf;type=x")
    assert decoded.object["immutable"] is True


def test_bytes_are_base64() -> None:
    entry = field(1, b"k") + field(2, b"\xff\x00")
    assert protobuf.decode(request("v1", "Secret", field(2, entry)))["data"] == {"k": "/wA="}


def test_a_port_may_be_a_name_or_a_number() -> None:
    def port(target: bytes) -> bytes:
        return field(1, field(3, 80) + field(4, target))

    by_name = field(1, 1) + field(2, 0) + field(3, b"http")
    by_number = field(1, 0) + field(2, 8080) + field(3, b"")
    spec = port(by_name) + port(by_number)
    decoded = protobuf.decode(request("v1", "Service", field(2, spec)))
    assert [found["targetPort"] for found in decoded["spec"]["ports"]] == ["http", 8080]


def test_packed_and_single_numbers_are_one_list() -> None:
    groups = field(4, 1) + field(4, varint(2) + varint(300))  # supplementalGroups
    spec = field(14, groups)
    decoded = protobuf.decode(request("v1", "Pod", field(2, spec)))
    assert decoded["spec"]["securityContext"]["supplementalGroups"] == [1, 2, 300]


def test_a_message_whose_field_is_only_a_list_is_that_list() -> None:
    extra = field(1, b"scopes") + field(2, field(1, b"a") + field(1, b"b"))
    decoded = protobuf.decode(
        request(
            "authentication.k8s.io/v1", "SelfSubjectReview", field(2, field(1, field(4, extra)))
        )
    )
    assert decoded["status"]["userInfo"]["extra"] == {"scopes": ["a", "b"]}


def test_options_are_of_every_group_version() -> None:  # 1.5: drain's DeleteOptions
    for version in ("v1", "apps/v1", "policy/v1"):
        decoded = protobuf.decode(request(version, "DeleteOptions", field(1, 30)))
        assert decoded == {"apiVersion": version, "kind": "DeleteOptions", "gracePeriodSeconds": 30}


def test_fields_that_nobody_knows_are_skipped() -> None:
    raw = (
        field(99, 1)
        + field(98, b"x")
        + varint(97 << 3 | 1)
        + bytes(8)
        + varint(96 << 3 | 5)
        + bytes(4)
    )
    decoded = protobuf.decode(request("v1", "ConfigMap", raw + field(4, 1)))
    assert decoded == {"apiVersion": "v1", "kind": "ConfigMap", "immutable": True}


def _refusal(body: bytes) -> ApiError:
    with pytest.raises(ApiError) as caught:
        protobuf.decode(body)
    return caught.value


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            b"{}",
            (
                "provided data does not appear to be a protobuf message, "
                "expected prefix [107 56 115 0]"
            ),
        ),
        (b"k8s\0", "Object 'Kind' is missing"),
        (request("", "Pod", b""), "Object 'apiVersion' is missing"),
        (request("v1", "Pod", b"")[:-9] + b"\x7f", "unexpected EOF"),
    ],
)
def test_a_body_that_is_no_object_is_unrecognized(body: bytes, message: str) -> None:  # 2.18
    refusal = _refusal(body)
    assert (refusal.code, refusal.reason) == (400, "BadRequest")
    assert refusal.message == f"the object provided is unrecognized: {message}"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (field(1, b"")[:1], "unexpected EOF"),
        (varint(1 << 3 | 2) + varint(9) + b"short", "unexpected EOF"),
        (varint(1 << 3 | 3), "proto: illegal wireType 3"),
        (field(1, 7), "proto: wrong wireType for field metadata"),
        (field(1, field(1, b"\xff")), "proto: invalid UTF-8"),
        (b"\xff" * 11, "proto: integer overflow"),
    ],
)
def test_a_malformed_message_says_why(raw: bytes, why: str) -> None:  # 2.18
    refusal = _refusal(request("v1", "Pod", raw))
    assert (refusal.code, refusal.reason) == (400, "BadRequest")
    assert refusal.message == f'Pod in version "v1" cannot be handled as a Pod: {why}'


def test_a_kind_that_nobody_knows_is_named() -> None:  # 2.18
    refusal = _refusal(request("example.com/v1", "Foo", b""))
    assert refusal.message == 'no kind "Foo" is registered for version "example.com/v1"'


def test_a_body_has_a_limit() -> None:  # 2.12
    body = request("v1", "ConfigMap", bytes(decoding.BODY_BYTES_MAX))
    assert _refusal(body).code == 413


def _outcome(body: bytes) -> Any:
    """The object, or the code of the refusal."""
    try:
        return protobuf.decode(body)
    except ApiError as refusal:
        return refusal.code


@given(st.binary(max_size=200), st.sampled_from(["Pod", "ConfigMap", "Event", "Service"]))
def test_no_bytes_lead_to_anything_but_an_object_or_a_refusal(raw: bytes, kind: str) -> None:
    outcome = _outcome(request("v1", kind, raw))
    assert outcome == 400 or outcome["kind"] == kind


@given(st.data())
def test_a_damaged_body_of_kubectl_never_crashes(data: st.DataObject) -> None:
    command = data.draw(st.sampled_from(sorted(BODIES)))
    body = bytearray(base64.b64decode(BODIES[command]["protobuf"]))
    position = data.draw(st.integers(0, len(body) - 1))
    body[position] = data.draw(st.integers(0, 255))
    outcome = _outcome(bytes(body[: data.draw(st.integers(position, len(body)))]))
    assert outcome == 400 or json.loads(json.dumps(outcome)) == outcome
