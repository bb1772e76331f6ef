"""Tokens of service accounts (kube-behaviour 11.2)."""

import base64
import hmac
import json
import time
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from controlplane.tokens import SKEW_SECONDS_MAX, Key, TokenError, Tokens
from tests.controlplane.apiserver.asked import NOW

ISSUER = "https://kubernetes.default.svc"
ACCOUNT = {"metadata": {"namespace": "shop", "name": "robot", "uid": "account-uid"}}


def private_pem(key: Any, password: bytes = b"") -> bytes:
    sealed: Any = serialization.NoEncryption()
    if password:
        sealed = serialization.BestAvailableEncryption(password)
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed
    )
    return pem


def public_pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


def pair(curve: str = "p256") -> Any:
    return _made(curve)


@cache
def _made(curve: str) -> Any:
    curves: dict[str, Any] = {
        "p256": ec.SECP256R1,
        "other": ec.SECP256R1,
        "p384": ec.SECP384R1,
        "p521": ec.SECP521R1,
        "p224": ec.SECP224R1,
    }
    if curve == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(curves[curve]())


def tokens(*curves: str, audiences: tuple[str, ...] = ("api",), issuer: str = ISSUER) -> Tokens:
    keys = [Key(private_pem(pair(curve))) for curve in curves or ("p256",)]
    return Tokens(keys, issuer=issuer, audiences=audiences)


def issued(by: Tokens, *, audiences: tuple[str, ...] = (), ttl: int = 600, **more: Any) -> str:
    return by.issue(ACCOUNT, audiences=audiences, ttl_seconds=ttl, now=NOW, token_id="id-1", **more)


# ------------------------------------------------------------------------ issued


@pytest.mark.parametrize("curve", ["p256", "p384", "p521", "rsa"])
def test_what_is_issued_is_verified(curve: str) -> None:
    ours = tokens(curve)
    claims = ours.verify(issued(ours), now=NOW + 1)
    assert (claims.namespace, claims.name, claims.uid) == ("shop", "robot", "account-uid")
    assert (claims.audiences, claims.expires_at, claims.bound) == (("api",), NOW + 600, None)


def test_a_token_says_what_kubernetes_says_in_it() -> None:
    bound = {"kind": "Pod", "name": "a", "uid": "pod-uid"}
    token = issued(tokens(), audiences=("vault",), bound=bound)
    found = jwt.decode(token, options={"verify_signature": False})
    assert found["iss"] == ISSUER
    assert found["sub"] == "system:serviceaccount:shop:robot"
    assert found["aud"] == ["vault"]
    assert (found["iat"], found["nbf"], found["exp"]) == (NOW, NOW, NOW + 600)
    assert found["kubernetes.io"] == {
        "namespace": "shop",
        "serviceaccount": {"name": "robot", "uid": "account-uid"},
        "pod": {"name": "a", "uid": "pod-uid"},
    }


@pytest.mark.parametrize("kind", ["Pod", "Secret", "Node"])
def test_what_a_token_is_bound_to_comes_back(kind: str) -> None:
    ours = tokens()
    token = issued(ours, bound={"kind": kind, "name": "x", "uid": "u"})
    assert ours.verify(token, now=NOW).bound == (kind.lower(), "x", "u")


# ------------------------------------------------------------------------ refused


def test_a_token_ends_with_its_time_also_one_that_was_verified_before() -> None:
    ours = tokens()
    token = issued(ours)
    ours.verify(token, now=NOW + 599)
    for _ in range(2):
        with pytest.raises(TokenError, match="expired"):
            ours.verify(token, now=NOW + 600)


def test_a_token_is_judged_by_the_given_clock_alone() -> None:
    """The machine's clock has no say: this one was issued a year from now."""
    ours = tokens()
    later = time.time() + 365 * 86_400
    token = ours.issue(ACCOUNT, audiences=(), ttl_seconds=600, now=later, token_id="x")
    assert ours.verify(token, now=later).name == "robot"
    with pytest.raises(TokenError, match="not valid yet"):
        ours.verify(token, now=later - SKEW_SECONDS_MAX - 2)
    # Another server's clock may be behind.
    assert ours.verify(token, now=later - SKEW_SECONDS_MAX + 1).name == "robot"


def test_a_token_for_others_is_none_for_us() -> None:
    ours = tokens()
    token = issued(ours, audiences=("vault", "bank"))
    with pytest.raises(TokenError, match="vault, bank"):
        ours.verify(token, now=NOW)
    assert ours.verify(token, now=NOW, audiences=("bank", "x")).audiences == ("vault", "bank")
    # … also after it was verified for somebody else.
    with pytest.raises(TokenError):
        ours.verify(token, now=NOW)


def test_a_token_of_another_key_or_issuer_is_none() -> None:
    ours = tokens()
    with pytest.raises(TokenError, match="nobody we know"):
        ours.verify(issued(tokens("other")), now=NOW)
    with pytest.raises(TokenError):
        ours.verify(issued(tokens(issuer="https://elsewhere")), now=NOW)


def test_older_keys_still_verify_and_the_first_one_signs() -> None:
    old, both = tokens("p256"), tokens("rsa", "p256")
    assert both.verify(issued(old), now=NOW).name == "robot"
    with pytest.raises(TokenError):
        old.verify(issued(both), now=NOW)


def test_a_public_key_verifies() -> None:
    verifier = Tokens([Key(public_pem(pair()))], issuer=ISSUER, audiences=("api",))
    assert verifier.verify(issued(tokens()), now=NOW).name == "robot"


def _forged(header: dict[str, Any], payload: dict[str, Any], secret: bytes = b"") -> str:
    def text(part: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")

    signed = text(header) + b"." + text(payload)
    made = hmac.digest(secret, signed, "sha256") if secret else b""
    return (signed + b"." + base64.urlsafe_b64encode(made).rstrip(b"=")).decode()


def _payload() -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(issued(tokens()), options={"verify_signature": False})
    return found


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256"])
def test_a_token_cannot_choose_how_it_is_verified(algorithm: str) -> None:
    """The public key is known to all: taken for an HMAC secret it would sign anything."""
    secret = b"" if algorithm.lower() == "none" else public_pem(pair())
    header = {"alg": algorithm, "kid": Key(public_pem(pair())).id, "typ": "JWT"}
    with pytest.raises(TokenError):
        tokens().verify(_forged(header, _payload(), secret), now=NOW)


def test_a_signature_of_one_key_under_the_name_of_another_is_none() -> None:
    header = {"kid": Key(public_pem(pair())).id}
    token = jwt.encode(_payload(), pair("other"), algorithm="ES256", headers=header)
    with pytest.raises(TokenError):
        tokens().verify(token, now=NOW)
    token = jwt.encode(_payload(), pair("rsa"), algorithm="RS256", headers=header)
    with pytest.raises(TokenError):
        tokens().verify(token, now=NOW)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"kubernetes.io": None},
        {"kubernetes.io": "text"},
        {"kubernetes.io": []},
        {"kubernetes.io": {"namespace": "shop"}},
        {"kubernetes.io": {"namespace": "shop", "serviceaccount": "robot"}},
        {"exp": None},
        {"exp": "soon"},
        {"aud": 5},
        {"aud": None},
        {"aud": []},
    ],
)
def test_a_well_signed_token_that_says_too_little_is_none(payload: dict[str, Any]) -> None:
    whole = {**_payload(), **payload} if payload else {}
    token = jwt.encode(
        whole, pair(), algorithm="ES256", headers={"kid": Key(public_pem(pair())).id}
    )
    with pytest.raises(TokenError):
        tokens().verify(token, now=NOW)


@given(st.text(max_size=60) | st.lists(st.text(max_size=9), max_size=4).map(".".join))
def test_garbage_is_no_token(text: str) -> None:
    with pytest.raises(TokenError):
        tokens().verify(text, now=NOW)


@given(st.integers(0, 10_000), st.characters(codec="ascii"))
def test_a_token_with_another_letter_is_none(position: int, letter: str) -> None:
    ours, token = tokens(), _fixed()
    position %= len(token)
    changed = token[:position] + letter + token[position + 1 :]
    # The last letter of a part holds some bits that mean nothing.
    if changed == token or position == len(token) - 1:
        return
    with pytest.raises(TokenError):
        ours.verify(changed, now=NOW)


@cache
def _fixed() -> str:
    return issued(tokens())


def test_a_token_that_is_nested_too_deep_is_none() -> None:
    """An 8 KiB header field that nobody signed must not become an error of the server."""
    head = base64.urlsafe_b64encode(b"[" * 5_000).decode()
    with pytest.raises(TokenError):
        tokens().verify(f"{head}.e30.AAAA", now=NOW)


def test_verified_tokens_are_remembered_up_to_a_bound() -> None:
    ours = tokens()
    for number in range(20):
        ours.verify(issued(ours, ttl=600 + number), now=NOW)
    assert ours.verify(issued(ours), now=NOW).name == "robot"
    with pytest.raises(TokenError):
        ours.verify(issued(ours)[:-10], now=NOW)


# -------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        private_pem(pair("p224")),
        public_pem(pair("p224")),
        private_pem(ed25519.Ed25519PrivateKey.generate()),
        public_pem(ed25519.Ed25519PrivateKey.generate()),
        private_pem(pair(), password=b"secret"),
    ],
    ids=["empty", "torn", "p224", "p224 public", "ed25519", "ed25519 public", "encrypted"],
)
def test_what_cannot_sign_tokens_is_refused_as_a_key(pem: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Key(pem)


def test_the_published_key_verifies_for_others() -> None:
    """/openid/v1/jwks; 2.22."""
    for curve in ("p256", "p384", "rsa"):
        key = Key(private_pem(pair(curve)))
        assert "d" not in key.jwk, "the private half stays here"
        known = jwt.PyJWK(key.jwk)
        token = issued(tokens(curve))
        found = jwt.decode(token, known, options={"verify_aud": False, "verify_exp": False})
        assert found["sub"] == "system:serviceaccount:shop:robot"
        assert jwt.get_unverified_header(token)["kid"] == key.jwk["kid"]
