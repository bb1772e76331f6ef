"""The stored form of objects."""

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api import stored
from controlplane.api.errors import ApiError, UnreadableError
from controlplane.api.resource import Object, Strategy
from tests.controlplane.kinds import WIDGETS

TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ['"metadata":{', "metadata", "apiVersion", "\\", '"', "resourceVersion"]
)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)
OBJECTS = st.builds(
    lambda metadata, rest, first: {**(rest if first else {}), "metadata": metadata, **rest},
    st.dictionaries(TEXT, TREES, max_size=4).map(lambda m: {**m, "name": "a"}),
    st.dictionaries(TEXT.filter(lambda text: text != "metadata"), TREES, max_size=4),
    st.booleans(),
)


@given(obj=OBJECTS, revision=st.integers(1, 2**63 - 1))
def test_spliced_bytes_are_the_object_with_its_version(obj: Object, revision: int) -> None:
    raw = stored.encode(WIDGETS, obj)
    expected = {
        **obj,
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {**obj["metadata"], "resourceVersion": str(revision)},
    }
    assert orjson.loads(stored.splice(raw, revision)) == expected
    assert stored.decode(WIDGETS, raw, revision) == expected
    assert stored.loads(WIDGETS, stored.splice(raw, revision)) == expected
    assert stored.encode(WIDGETS, expected) == stored.encode(
        WIDGETS, stored.decode(WIDGETS, raw, 7)
    ), "what is read can be written again"


def test_metadata_may_be_empty() -> None:
    raw = stored.encode(WIDGETS, {"metadata": {}})
    assert orjson.loads(stored.splice(raw, 7))["metadata"] == {"resourceVersion": "7"}


@given(st.binary(max_size=40).filter(lambda raw: b'"metadata":{' not in raw))
def test_bytes_that_are_no_object_are_told(raw: bytes) -> None:
    with pytest.raises(UnreadableError) as caught:
        stored.splice(raw, 1)
    assert (caught.value.code, caught.value.reason) == (500, "InternalError")
    with pytest.raises(UnreadableError):
        stored.decode(WIDGETS, raw, 1)


@pytest.mark.parametrize(
    "raw", [b"[]", b'"metadata"', b"3", b"null", b"{}", b'{"metadata":[]}', b'{"metadata":{}', b""]
)
def test_json_without_metadata_is_no_object(raw: bytes) -> None:
    with pytest.raises(UnreadableError, match="it is no object"):
        stored.loads(WIDGETS, raw)
    with pytest.raises(UnreadableError, match="it is no object"):
        stored.decode(WIDGETS, raw, 1)


def test_what_cannot_be_served_in_another_version_is_told_without_its_content() -> None:
    def from_storage(obj: Object) -> Object:
        return {**obj, "spec": {"size": int(obj["spec"]["size"])}}

    served = msgspec.structs.replace(WIDGETS, strategy=Strategy(from_storage=from_storage))
    specs: list[object] = [[], {}, {"size": "hidden"}, {"size": None}]
    for spec in specs:
        raw = stored.encode(WIDGETS, {"metadata": {"name": "a"}, "spec": spec})
        with pytest.raises(UnreadableError) as caught:
            stored.loads(served, raw)
        assert "hidden" not in caught.value.message


def test_unreadable_object_is_named_by_its_key() -> None:
    told = UnreadableError("it is no object").at(b"/registry/core/secrets/n/\xff")
    assert told.key == "/registry/core/secrets/n/\ufffd"
    assert told.message == (
        "Internal error occurred: what is stored at /registry/core/secrets/n/\ufffd "
        "cannot be read: it is no object"
    )


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, "\ud800", {1}])
def test_what_json_cannot_say_is_a_bad_request(value: object) -> None:
    with pytest.raises(ApiError) as caught:
        stored.encode(WIDGETS, {"metadata": {"name": "a"}, "spec": value})
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": None}, {}, False),
        ({"a": 0}, {"a": False}, False),
    ],
)
def test_sameness_is_json_s(one: Object, other: Object, is_same: bool) -> None:
    def of(spec: Object, version: str) -> Object:
        return {"metadata": {"name": "a", "resourceVersion": version}, "spec": spec}

    assert stored.is_same(of(one, "1"), of(other, "2")) is is_same


@pytest.mark.parametrize(("namespace", "name"), [("n", "\ud800"), ("\udfff", "a"), ("", "a")])
def test_impossible_name_is_a_bad_request(namespace: str, name: str) -> None:
    with pytest.raises(ApiError) as caught:
        stored.key_of(WIDGETS, namespace, name)
    assert caught.value.code == 400


@pytest.mark.parametrize("storage_version", ["v1", "v2"])
def test_bytes_kept_in_another_version_are_served_in_the_one_asked_for(
    storage_version: str,
) -> None:
    kept_as = msgspec.structs.replace(WIDGETS, version="v2", storage_version="v2")
    asked = msgspec.structs.replace(WIDGETS, storage_version=storage_version)
    raw = stored.splice(stored.encode(kept_as, {"metadata": {"name": "a"}}), 7)
    assert orjson.loads(stored.served(asked, raw))["apiVersion"] == "example.com/v1"
    assert stored.served(kept_as, raw) is raw


def test_a_version_that_begins_like_another_is_not_taken_for_it() -> None:
    kept_as = msgspec.structs.replace(WIDGETS, version="v1beta1", storage_version="v1beta1")
    raw = stored.splice(stored.encode(kept_as, {"metadata": {"name": "a"}}), 7)
    assert orjson.loads(stored.served(WIDGETS, raw))["apiVersion"] == "example.com/v1"


def test_what_has_a_way_back_from_the_store_goes_it() -> None:
    strategy = Strategy(from_storage=lambda obj: {**obj, "is": "back"})
    asked = msgspec.structs.replace(WIDGETS, strategy=strategy)
    raw = stored.splice(stored.encode(WIDGETS, {"metadata": {"name": "a"}}), 7)
    assert orjson.loads(stored.served(asked, raw))["is"] == "back"


@given(obj=OBJECTS, revision=st.integers(1, 2**63 - 1))
def test_metadata_alone_is_that_of_the_object(obj: Object, revision: int) -> None:
    """PartialObjectMetadata of Kubernetes' API concepts."""
    raw = stored.splice(stored.encode(WIDGETS, obj), revision)
    assert orjson.loads(stored.partial(raw)) == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {**obj["metadata"], "resourceVersion": str(revision)},
    }


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b'{"kind":"Pod"}', b"\xff", b'{"metadata":7}', b'{"metadata":{"a":}}']
)
def test_what_is_no_object_has_no_metadata(raw: bytes) -> None:
    with pytest.raises(UnreadableError):
        stored.partial(raw)
