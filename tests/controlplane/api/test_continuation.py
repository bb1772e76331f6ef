"""Continue tokens: kube-behaviour.md 2.8."""

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controlplane.api import continuation
from controlplane.api.continuation import INCONSISTENT, Continuation
from controlplane.api.errors import ApiError

STARTS = st.text(st.characters(codec="utf-8"), min_size=1)


@given(revision=st.integers(1, 2**63 - 1) | st.just(INCONSISTENT), start=STARTS)
def test_token_says_what_was_put_in(revision: int, start: str) -> None:
    token = continuation.encode(Continuation(revision, start))
    assert continuation.decode(token) == Continuation(revision, start)
    assert token.isascii()
    assert not set(token) & set("=&+/ "), "it goes into a URL"


@given(st.text())
@example("bm90IGpzb24")
@example(base64.b64encode(b'{"v":"meta.k8s.io/v1","rv":9,"start":"\\ud800"}').decode())
@example(base64.b64encode(b'{"v":"meta.k8s.io/v2","rv":9,"start":"a"}').decode())
@example(base64.b64encode(b'{"v":"meta.k8s.io/v1","rv":99999999999999999999,"start":"a"}').decode())
def test_what_we_did_not_make_is_a_bad_request(token: str) -> None:
    with pytest.raises(ApiError) as caught:
        continuation.decode(token)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    assert caught.value.message.startswith("continue key is not valid")


def test_expired_token_comes_with_one_to_go_on() -> None:
    error = continuation.expired(Continuation(7, "b"))
    assert (error.code, error.reason) == (410, "Expired")
    assert error.message.startswith("The provided continue parameter is too old")
    metadata = error.status["metadata"]
    assert isinstance(metadata, dict)
    assert continuation.decode(metadata["continue"]) == Continuation(INCONSISTENT, "b")
