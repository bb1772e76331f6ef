"""A request as the handlers see it, and what its path asks for. PURE.

Source: Kubernetes' API concepts ("API terminology", "Resource URIs"): verbs come from the method,
the path and `watch`.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from urllib.parse import parse_qsl, unquote

import msgspec

from controlplane.api import decoding, errors
from controlplane.api.decoding import Decoded

BODY_BYTES_MAX = 3 * 1024 * 1024
APPLY_PATCH = "application/apply-patch+yaml"
_PARAMETERS_MAX = 1_000
_FLAG_VALUES_FALSE = frozenset(("false", "0"))
_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch"}
_LISTS = {"get": "list", "delete": "deletecollection"}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a path of a resource asks for; attributes of authorisation."""

    verb: str
    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""  # behind a sub-resource: `proxy/…`

    @property
    def resource(self) -> str:
        """As rules of RBAC spell it: `pods`, `pods/log`."""
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural


class Query:
    """The parameters behind the `?`. Raises ApiError 400 where there are too many."""

    def __init__(self, text: str) -> None:
        self.raw = text
        self._values: dict[str, list[str]] = {}
        try:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_PARAMETERS_MAX)
        except ValueError:
            raise errors.bad_request(f"at most {_PARAMETERS_MAX} parameters, please") from None
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def text(self, name: str) -> str:
        """The first value; empty if there is none."""
        return self._values.get(name, ("",))[0]

    def texts(self, name: str) -> Sequence[str]:
        """All values."""
        return self._values.get(name, ())

    def flag(self, name: str) -> bool:
        """True if it is there and not `false` or `0`."""
        values = self._values.get(name)
        return values is not None and values[0].lower() not in _FLAG_VALUES_FALSE

    def number(self, name: str) -> int:
        """0 if it is not there. Raises ApiError 400."""
        text = self.text(name)
        if not text:
            return 0
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise errors.bad_request(f'invalid value "{text[:40]}" of {name}: a number, please')
        return int(text)


Receive = Callable[[Callable[[int], None]], Awaitable[bytes]]
"""Reads a body; the function that it is given is told the size of each part, and may refuse it."""


class Incoming(msgspec.Struct, kw_only=True):
    """One request.

    headers      names in lower case
    body         empty until it is received: only for whoever may make the request
    receive      None: there is no body to come
    sent         its body, once somebody has read it
    certificate  subject of the verified client certificate, as pairs (attribute, value)
    """

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    body: bytes = b""
    receive: Receive | None = None
    sent: Decoded | None = None
    certificate: Sequence[tuple[str, str]] = ()
    remote: str = ""

    def header(self, name: str) -> str:
        """Empty if it is not there."""
        return self.headers.get(name, "")

    @property
    def media_type(self) -> str:
        """Of its body; empty: it does not say."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def is_of_object(self) -> bool:
        """Whether its body is an object: patches are any JSON, but for those that are applied."""
        return self.method != "PATCH" or self.media_type == APPLY_PATCH

    def decoded(self) -> Decoded:
        """Its body as an object, which is read once. Raises ApiError 400, 413 and 415."""
        if self.sent is None:
            if self.method == "PATCH":
                self.sent = decoding.decode_applied(self.body)
            else:
                self.sent = decoding.decode(self.body, self.media_type)
        return self.sent


def target_of(method: str, path: str, query: Query) -> Target | None:
    """What a path under /api or /apis asks for; None: it is no resource's path."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    match parts:
        case ["api", version, first, *rest]:
            return _target(method, query, "", version, [first, *rest])
        case ["apis", group, version, first, *rest]:
            return _target(method, query, group, version, [first, *rest])
        case _:
            return None


def _target(
    method: str, query: Query, group: str, version: str, parts: Sequence[str]
) -> Target | None:
    namespace = ""
    # A namespace's own sub-resources stand where the resources in it do.
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize"):
        namespace, parts = parts[1], parts[2:]
        if not namespace:  # it would be all of them
            return None
    plural, name, subresource, rest = parts[0], "", "", ""
    if len(parts) > 1:
        name = parts[1]
    if len(parts) > 2:
        subresource, rest = parts[2], "/".join(parts[3:])
    if not plural or (len(parts) > 1 and not name):
        return None
    if "/" in name or "/" in namespace:  # percent-encoded: it would be another object's key
        return None
    if plural == "namespaces" and not group:
        namespace = name
    return Target(
        verb=_verb(method, query, has_name=bool(name)),
        group=group,
        version=version,
        plural=plural,
        namespace=namespace,
        name=name,
        subresource=subresource,
        rest=rest,
    )


def _verb(method: str, query: Query, *, has_name: bool) -> str:
    verb = "delete" if method == "DELETE" else _VERBS.get(method, "")
    if method == "GET" and query.flag("watch"):
        return "watch"
    return verb if has_name else _LISTS.get(verb, verb)


class Answer(msgspec.Struct, kw_only=True):
    """A whole answer.

    rest  what follows the body, made as its client takes it; None: nothing
    """

    code: int = 200
    body: bytes = b""
    rest: Iterator[bytes] | None = None
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_error(cls, error: errors.ApiError) -> "Answer":
        """The `Status` of an error."""
        headers: tuple[tuple[str, str], ...] = ()
        if error.retry_after_seconds:
            headers = (("Retry-After", str(error.retry_after_seconds)),)
        if error.code == 401:
            headers = (("WWW-Authenticate", 'Bearer realm="kubernetes"'),)
        return cls(code=error.code, body=msgspec.json.encode(error.status), headers=headers)
