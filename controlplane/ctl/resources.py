"""Which resources a server has, and what people call them. PURE.

Source: Kubernetes' API concepts, "Aggregated discovery"; kubectl's conventions for resource names:
plural, singular, short name, `plural.group`, `plural.version.group`, or a category.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from controlplane.api.resource import Object
from controlplane.ctl.errors import CtlError


class ApiResource(msgspec.Struct, frozen=True):
    """One resource in one version."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    is_namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """As objects spell it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def title(self) -> str:
        """As results spell it: `configmap`, `deployment.apps`."""
        return f"{self.singular}.{self.group}" if self.group else self.singular

    def collection(self, namespace: str) -> str:
        """Path of all objects in a namespace; without one, of all namespaces. Raises CtlError."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if self.is_namespaced and namespace:
            root += f"/namespaces/{_segment(namespace)}"
        return f"{root}/{self.plural}"

    def object(self, namespace: str, name: str, subresource: str = "") -> str:
        """Path of one object. Raises CtlError."""
        path = f"{self.collection(namespace)}/{_segment(name)}"
        return f"{path}/{subresource}" if subresource else path


def _segment(name: str) -> str:
    """A name as a part of a path, which must never become another path.

    Without this, to delete the object `..` or one without a name would delete what it lies in.
    """
    if not name:
        raise CtlError("error: resource name may not be empty")
    if name in (".", "..") or "/" in name or "%" in name:
        raise CtlError(f'error: invalid resource name "{name}"')
    return quote(name, safe="")


class Resources:
    """All that a server told of itself, preferred groups and versions first."""

    def __init__(self, documents: Iterable[Mapping[str, Any]]) -> None:
        self._all = [one for document in documents for one in _read(document)]

    def of_object(self, found: Object, source: str) -> ApiResource:
        """Which an object says that it is of. source: the file where it stands. Raises CtlError."""
        api_version, kind, metadata = found["apiVersion"], found["kind"], found["metadata"]
        for one in self._all:
            if one.kind == kind and one.api_version == api_version:
                return one
        raise CtlError(
            f'error: resource mapping not found for name: "{metadata.get("name") or ""}" namespace:'
            f' "{metadata.get("namespace") or ""}" from "{source}": no matches for kind "{kind}"'
            f' in version "{api_version}"\nensure CRDs are installed first'
        )

    def called(self, words: str) -> list[ApiResource]:
        """Those of `pods`, `po,svc` or `all`. Raises CtlError where there is none."""
        found: list[ApiResource] = []
        for word in words.split(","):
            found += [one for one in self._called(word) if one not in found]
        return found

    def _called(self, word: str) -> Sequence[ApiResource]:
        name, _, rest = word.lower().partition(".")
        for one in self._all:
            names = (one.plural, one.singular, *one.short_names)
            if name in names and (not rest or rest in _qualifiers(one)):
                return [one]
        # Each once, in the version that stands first.
        category = {
            (one.group, one.plural): one for one in reversed(self._all) if word in one.categories
        }
        if category:
            return list(reversed(category.values()))
        raise CtlError(f'error: the server doesn\'t have a resource type "{word}"')


def _qualifiers(one: ApiResource) -> tuple[str, ...]:
    return (one.group, f"{one.version}.{one.group}" if one.group else one.version)


def _read(document: Mapping[str, Any]) -> Iterator[ApiResource]:
    for group in document.get("items") or ():
        name = str(group["metadata"].get("name") or "")
        for version in group.get("versions") or ():
            for told in version.get("resources") or ():
                yield ApiResource(
                    group=name,
                    version=str(version["version"]),
                    plural=str(told["resource"]),
                    singular=str(told.get("singularResource") or told["resource"]),
                    kind=str(told["responseKind"]["kind"]),
                    is_namespaced=told.get("scope") == "Namespaced",
                    short_names=tuple(told.get("shortNames") or ()),
                    categories=tuple(told.get("categories") or ()),
                    verbs=tuple(told.get("verbs") or ()),
                )
