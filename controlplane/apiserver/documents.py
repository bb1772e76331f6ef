"""What is no resource: discovery, OpenAPI, version, health, metrics, the issuer's keys.

Source: Kubernetes' API concepts; kubectl-needs.md, section 1; kube-behaviour 1.1, 1.3 and 2.22.
Documents made of the registry are kept until it changes.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

import orjson

from controlplane.api import discovery, errors, openapi, openapi_v2
from controlplane.api.registry import Registry
from controlplane.apiserver.incoming import Answer, Incoming
from controlplane.apiserver.metrics import Metrics
from controlplane.apiserver.ui import Ui
from controlplane.apiserver.users import User
from controlplane.tokens import Tokens

VERSION = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.0+keelson",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "cpython",
    "platform": "linux/amd64",
}
_AGGREGATED = "g=apidiscovery.k8s.io"
_NOT_THIS_METHOD = "the server does not allow this method on the requested resource"
_ROOTS = frozenset(
    ("version", "healthz", "livez", "readyz", "metrics", "api", "apis", "openapi", "ui")
)
_PATHS = ("/healthz", "/livez", "/metrics", "/openapi/v3", "/readyz", "/ui", "/version")

Check = Callable[[], Awaitable[str]]
"""Why something is not well; empty: it is."""


class Documents:
    """checks: name -> check, for /readyz; the process itself is all that /livez asks."""

    def __init__(
        self,
        registry: Registry,
        tokens: Tokens,
        metrics: Metrics,
        checks: Mapping[str, Check],
        ui: Ui,
    ) -> None:
        self._registry = registry
        self._tokens = tokens
        self._metrics = metrics
        self._checks = checks
        self._ui = ui
        self._kept: dict[str, tuple[bytes, str]] = {}
        self._generation = -1

    async def answer(self, incoming: Incoming, user: User) -> Answer:
        """Raises ApiError 404 and 405."""
        parts = [part for part in incoming.path.split("/") if part]
        if incoming.method not in ("GET", "HEAD"):
            raise _refused(parts)
        match parts:
            case ["version"]:
                return Answer(body=orjson.dumps(VERSION))
            case ["healthz" | "livez" | "readyz" as kind, *rest]:
                return await self._health(incoming, kind, rest)
            case ["metrics"]:
                return Answer(body=self._metrics.text(), content_type="text/plain; version=0.0.4")
            case ["api" | "apis" as root, *rest]:
                return self._discovery(incoming, root, rest)
            case ["openapi", *rest]:
                return self._openapi(incoming, rest)
            case [".well-known" | "openid", *_]:
                return self._of_issuer(parts)
            case ["ui", *rest]:
                return await self._ui.answer(rest)
            case []:
                return Answer(body=orjson.dumps({"paths": self._paths()}))
            case _:
                raise errors.no_such_path()

    def _openapi(self, incoming: Incoming, parts: Sequence[str]) -> Answer:
        match parts:
            case ["v2"]:
                body = openapi_v2.document(self._registry, openapi.VERSION)
                return Answer(body=body, content_type=openapi_v2.MEDIA_TYPE)
            case ["v3"]:
                return self._document(incoming, "openapi", lambda: openapi.index(self._registry))
            case ["v3", "api", version]:
                return self._openapi_of(incoming, "", version)
            case ["v3", "apis", group, version]:
                return self._openapi_of(incoming, group, version)
            case _:
                raise errors.no_such_path()

    # ---------------------------------------------------------------- discovery

    def _discovery(self, incoming: Incoming, root: str, rest: Sequence[str]) -> Answer:
        registry, is_core = self._registry, root == "api"
        form = _aggregated_form(incoming.header("accept"))
        if not rest and form:
            return self._document(
                incoming,
                f"{root}/{form}",
                lambda: discovery.api_group_discovery_list(registry, core=is_core, version=form),
                content_type=f"application/json;{_AGGREGATED};v={form};as=APIGroupDiscoveryList",
            )
        match (is_core, rest):
            case (True, []):
                return self._document(incoming, root, discovery.api_versions)
            case (True, [version]):
                return self._resources(incoming, "", version)
            case (False, []):
                return self._document(incoming, root, lambda: discovery.api_group_list(registry))
            case (False, [group]):
                if not group or group not in registry.groups():
                    raise errors.no_such_path()
                return self._document(
                    incoming, f"apis/{group}", lambda: discovery.api_group(registry, group)
                )
            case (False, [group, version]):
                return self._resources(incoming, group, version)
            case _:
                raise errors.no_such_path()

    def _resources(self, incoming: Incoming, group: str, version: str) -> Answer:
        if version not in self._registry.versions(group):
            raise errors.no_such_path()
        return self._document(
            incoming,
            f"resources/{group}/{version}",
            lambda: discovery.api_resource_list(self._registry, group, version),
        )

    def _openapi_of(self, incoming: Incoming, group: str, version: str) -> Answer:
        if version not in self._registry.versions(group):
            raise errors.no_such_path()
        return self._document(
            incoming,
            f"openapi/{group}/{version}",
            lambda: openapi.document(self._registry, group, version),
        )

    def _document(
        self,
        incoming: Incoming,
        name: str,
        make: Callable[[], Mapping[str, Any] | None],
        *,
        content_type: str = "application/json",
    ) -> Answer:
        """One made of the registry, and whether its client has it already."""
        if self._generation != self._registry.generation:
            self._kept.clear()
            self._generation = self._registry.generation
        if name not in self._kept:
            made = make()
            if made is None:
                raise errors.no_such_path()
            body = orjson.dumps(made)
            self._kept[name] = (body, f'"{hashlib.sha256(body).hexdigest().upper()}"')
        body, tag = self._kept[name]
        headers = (("ETag", tag), ("Vary", "Accept"))
        if incoming.header("if-none-match") == tag:
            return Answer(code=304, headers=headers, content_type=content_type)
        return Answer(body=body, headers=headers, content_type=content_type)

    # ------------------------------------------------------------------- health

    async def _health(self, incoming: Incoming, kind: str, rest: Sequence[str]) -> Answer:
        checks = {} if kind == "livez" else dict(self._checks)
        excluded = set(incoming.query.texts("exclude"))
        if rest:
            if len(rest) > 1 or (rest[0] not in checks and rest[0] != "ping"):
                raise errors.no_such_path()
            checks = {name: check for name, check in checks.items() if name == rest[0]}
        lines, is_well = ["[+]ping ok"], True
        for name, check in checks.items():
            if name in excluded:
                lines.append(f"[+]{name} excluded: ok")
                continue
            why = await check()
            is_well = is_well and not why
            lines.append(f"[-]{name} failed: {why}" if why else f"[+]{name} ok")
        lines.append(f"{kind} check {'passed' if is_well else 'failed'}")
        is_told = incoming.query.flag("verbose") or not is_well
        text = "\n".join(lines) + "\n" if is_told else "ok"
        return Answer(code=200 if is_well else 500, body=text.encode(), content_type="text/plain")

    # ------------------------------------------------------------------- others

    def _of_issuer(self, parts: Sequence[str]) -> Answer:
        match parts:
            case [".well-known", "openid-configuration"]:
                return Answer(body=orjson.dumps(self._issuer()))
            case ["openid", "v1", "jwks"]:
                keys = {"keys": [key.jwk for key in self._tokens.keys]}
                return Answer(body=orjson.dumps(keys), content_type="application/jwk-set+json")
            case _:
                raise errors.no_such_path()

    def _issuer(self) -> dict[str, Any]:
        issuer = self._tokens.issuer
        return {
            "issuer": issuer,
            "jwks_uri": f"{issuer.rstrip('/')}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted(
                {key.algorithm for key in self._tokens.keys}
            ),
        }

    def _paths(self) -> list[str]:
        found = ["/api", "/api/v1", "/apis"]
        for group in self._registry.groups():
            if group:
                versions = self._registry.versions(group)
                found += [f"/apis/{group}", *(f"/apis/{group}/{one}" for one in versions)]
        return [*found, *_PATHS]


def _refused(parts: Sequence[str]) -> errors.ApiError:
    """Of another method than what documents are read by."""
    if parts and parts[0] not in _ROOTS:
        return errors.no_such_path()
    return errors.ApiError(405, "MethodNotAllowed", _NOT_THIS_METHOD)


def _aggregated_form(accept: str) -> Literal["v2", "v2beta1"] | None:
    """The first form that is accepted, if it is aggregated."""
    for part in accept.split(","):
        if _AGGREGATED in part:
            words = {word.strip() for word in part.split(";")}
            if "v=v2" in words:
                return "v2"
            if "v=v2beta1" in words:
                return "v2beta1"
        elif part.split(";", 1)[0].strip() == "application/json":
            return None
    return None
