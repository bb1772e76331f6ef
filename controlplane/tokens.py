"""Tokens of service accounts: signed claims about an account, and the objects they are bound to.

Source: Kubernetes' documentation, "Managing Service Accounts" and TokenRequest; RFC 7519.
A token is ES256 by default; every key that is known verifies, the first signs.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

TTL_SECONDS_DEFAULT = 3_600
TTL_SECONDS_MIN = 600
TTL_SECONDS_MAX = 1 << 32
SECRET_ISSUER = "kubernetes/serviceaccount"
"""Who issues tokens that are kept in Secrets, and the domain of their claims."""
SKEW_SECONDS_MAX = 60  # what one server issues the others take, though their clocks are behind
_VERIFIED_COUNT_MAX = 4_096
# Moments are compared with the clock that `verify` is given, not with the machine's.
_OPTIONS: Any = {
    "require": ["iss", "sub"],
    **dict.fromkeys(("verify_aud", "verify_exp", "verify_nbf", "verify_iat"), False),
}
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified token says.

    expires_at  seconds since 1970; 0: never, as tokens that are kept in Secrets
    bound       (kind, name, uid) of the object whose end ends the token, of the Secret that keeps
                it without uid; None: it is bound to nothing
    """

    namespace: str
    name: str
    uid: str
    audiences: tuple[str, ...]
    begins_at: int = 0
    expires_at: int
    token_id: str
    bound: tuple[str, str, str] | None = None


class TokenError(Exception):
    """A token that proves nothing."""


class Key:
    """A key pair, or a public key that only verifies. Raises ValueError."""

    def __init__(self, pem: bytes) -> None:
        self.private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None
        try:
            private = serialization.load_pem_private_key(pem, None)
        except TypeError:
            raise ValueError("it is encrypted, and nobody is here to give its password") from None
        except ValueError:
            public: Any = serialization.load_pem_public_key(pem)
        else:
            if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
                raise ValueError("a key for tokens is RSA or ECDSA")
            self.private, public = private, private.public_key()
        self.algorithm = _algorithm_of(public)
        self.public = public
        der = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        digest = hashlib.sha256(der).digest()
        self.id = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    @property
    def jwk(self) -> dict[str, Any]:
        """For /openid/v1/jwks."""
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        found: dict[str, Any] = algorithm.to_jwk(self.public, as_dict=True)
        found.pop("key_ops", None)
        return found | {"use": "sig", "kid": self.id, "alg": self.algorithm}


def _algorithm_of(public: object) -> str:
    """RFC 7518, 3.1. Raises ValueError."""
    if isinstance(public, rsa.RSAPublicKey):
        return "RS256"
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
        return _CURVES[public.curve.name]
    raise ValueError("a key for tokens is RSA, or ECDSA on P-256, P-384 or P-521")


class Tokens:
    """Issues and verifies.

    issuer     URL that stands for this cluster
    audiences  whom a token is for if its request does not say; a token for one of them is for us
    """

    def __init__(self, keys: Sequence[Key], *, issuer: str, audiences: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self.issuer = issuer
        self.audiences = tuple(audiences)
        self._verified: dict[str, Claims] = {}

    def issue(
        self,
        account: Mapping[str, Any],
        *,
        audiences: Sequence[str],
        ttl_seconds: int,
        now: float,
        token_id: str,
        bound: Mapping[str, Any] | None = None,
    ) -> str:
        """A token for a ServiceAccount.

        bound: `{"kind", "name", "uid"}` of the Pod, Secret or Node that it ends with.
        """
        metadata = account["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        about: dict[str, Any] = {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": metadata["uid"]},
        }
        if bound is not None:
            kind = str(bound["kind"]).lower()
            about[kind] = {"name": bound["name"], "uid": bound["uid"]}
        return self._signed(
            {
                "iss": self.issuer,
                "sub": f"system:serviceaccount:{namespace}:{name}",
                "aud": list(audiences or self.audiences),
                "iat": int(now),
                "nbf": int(now),
                "exp": int(now) + ttl_seconds,
                "jti": token_id,
                "kubernetes.io": about,
            }
        )

    def issue_for_secret(self, account: Mapping[str, Any], secret_name: str) -> str:
        """A token that is good as long as account and Secret are there, and the Secret has it."""
        metadata = account["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        return self._signed(
            {
                "iss": SECRET_ISSUER,
                "sub": f"system:serviceaccount:{namespace}:{name}",
                f"{SECRET_ISSUER}/namespace": namespace,
                f"{SECRET_ISSUER}/secret.name": secret_name,
                f"{SECRET_ISSUER}/service-account.name": name,
                f"{SECRET_ISSUER}/service-account.uid": metadata["uid"],
            }
        )

    def verify(self, token: str, *, now: float, audiences: Sequence[str] = ()) -> Claims:
        """What a token says. Raises TokenError: it is none of ours, too old, or for others."""
        claims = self._verified.get(token)
        if claims is None:
            claims = self._decoded(token)
            while len(self._verified) >= _VERIFIED_COUNT_MAX:
                del self._verified[next(iter(self._verified))]
            self._verified[token] = claims
        if claims.expires_at and claims.expires_at <= now:
            del self._verified[token]
            raise TokenError("it has expired")
        if claims.begins_at > now + SKEW_SECONDS_MAX:
            raise TokenError("it is not valid yet")
        if not set(claims.audiences) & set(audiences or self.audiences):
            raise TokenError(f"it is for {', '.join(claims.audiences)}")
        return claims

    def _signed(self, payload: Mapping[str, Any]) -> str:
        key = self.keys[0]
        assert key.private is not None, "the first key signs"
        headers = {"kid": key.id}
        return jwt.encode(dict(payload), key.private, algorithm=key.algorithm, headers=headers)

    def _decoded(self, token: str) -> Claims:
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = next((one for one in self.keys if one.id == key_id), None)
            if key is None:
                raise TokenError("it is signed by nobody we know")
            found = jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                options=_OPTIONS,
            )
            if found["iss"] == SECRET_ISSUER:
                return _claims_of_secret(found, self.audiences)
            if found["iss"] != self.issuer:
                raise TokenError("it was issued by another cluster")
            return _claims(found)
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise TokenError(str(error)) from error


def _claims(found: Mapping[str, Any]) -> Claims:
    about = found["kubernetes.io"]
    account = about["serviceaccount"]
    audiences = found.get("aud", ())
    bound = None
    for kind in ("pod", "secret", "node"):
        if kind in about:
            bound = (kind, str(about[kind]["name"]), str(about[kind]["uid"]))
            break
    return Claims(
        namespace=str(about["namespace"]),
        name=str(account["name"]),
        uid=str(account["uid"]),
        audiences=(audiences,) if isinstance(audiences, str) else tuple(audiences),
        begins_at=int(found.get("nbf", 0)),
        expires_at=int(found["exp"]),
        token_id=str(found.get("jti", "")),
        bound=bound,
    )


def _claims_of_secret(found: Mapping[str, Any], audiences: tuple[str, ...]) -> Claims:
    """Such a token is for the API server, whatever its other audiences are called."""
    secret = str(found[f"{SECRET_ISSUER}/secret.name"])
    return Claims(
        namespace=str(found[f"{SECRET_ISSUER}/namespace"]),
        name=str(found[f"{SECRET_ISSUER}/service-account.name"]),
        uid=str(found[f"{SECRET_ISSUER}/service-account.uid"]),
        audiences=audiences,
        expires_at=0,
        token_id="",
        bound=("secret", secret, ""),
    )
