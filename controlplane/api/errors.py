"""Errors of the API: each is a Kubernetes `Status` with its code, reason, message and causes.

Source: Kubernetes API conventions ("Response Status Kind"), apimachinery's documented reasons.
"""

from collections.abc import Sequence

import msgspec

CAUSES_MAX = 250
"""So many causes are enough to see what is wrong; a body may have a fault in every byte."""

CAUSE_CHARACTERS_MAX = 2_048
"""Of a cause's message, and of its field: each repeats what a client has sent, twice."""


class Cause(msgspec.Struct, frozen=True):
    """One thing that is wrong. `field` is a path such as `spec.containers[0].name`."""

    reason: str
    message: str
    field: str = ""

    def __post_init__(self) -> None:
        for name in ("message", "field"):
            text: str = getattr(self, name)
            if len(text) > CAUSE_CHARACTERS_MAX:
                msgspec.structs.force_setattr(self, name, cut(text, CAUSE_CHARACTERS_MAX))


def cut(text: str, characters_max: int) -> str:
    """A text for people; what is too long to be read ends in `...`."""
    return text if len(text) <= characters_max else text[: characters_max - 3] + "..."


class ApiError(Exception):
    """Why a request is refused; `status` is what its client gets.

    code, reason, message   as Kubernetes documents them
    name, group, kind       whom it is about; `kind` is the resource's plural but for 422
    causes                  all that is wrong, not the first only
    retry_after_seconds     when it makes sense to try again; 0: nobody knows
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        name: str = "",
        group: str = "",
        kind: str = "",
        uid: str = "",
        causes: Sequence[Cause] = (),
        retry_after_seconds: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.name = name
        self.group = group
        self.kind = kind
        self.uid = uid
        self.causes = tuple(causes)
        self.retry_after_seconds = retry_after_seconds

    @property
    def status(self) -> dict[str, object]:
        """The `Status` object."""
        words = {"name": self.name, "group": self.group, "kind": self.kind, "uid": self.uid}
        details: dict[str, object] = {word: value for word, value in words.items() if value}
        if self.causes:
            details["causes"] = [_cause(cause) for cause in self.causes]
        if self.retry_after_seconds:
            details["retryAfterSeconds"] = self.retry_after_seconds
        status: dict[str, object] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if details:
            status["details"] = details
        return status


class UnreadableError(ApiError):
    """500: what is stored is no object, or cannot be decrypted. It tells nothing of the content.

    why  the cause
    key  where it is stored; empty: whoever raised it does not know
    """

    def __init__(self, why: str, key: str = "") -> None:
        place = f" at {key}" if key else ""
        message = f"Internal error occurred: what is stored{place} cannot be read: {why}"
        super().__init__(500, "InternalError", message)
        self.why = why
        self.key = key

    def at(self, key: bytes) -> "UnreadableError":
        """The same, of an object at a key."""
        return UnreadableError(self.why, key.decode(errors="replace"))


def _cause(cause: Cause) -> dict[str, str]:
    told = {"reason": cause.reason, "message": cause.message}
    return told | {"field": cause.field} if cause.field else told


def qualified(plural: str, group: str) -> str:
    """A resource as messages spell it: `pods`, `deployments.apps`."""
    return f"{plural}.{group}" if group else plural


def bad_request(message: str) -> ApiError:
    """400: nothing of it can be understood."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """401: who asks is not known."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(plural: str, group: str, name: str, why: str) -> ApiError:
    """403: `pods "x" is forbidden: why`."""
    whom = f'{qualified(plural, group)} "{name}"' if name else qualified(plural, group)
    return ApiError(
        403, "Forbidden", f"{whom} is forbidden: {why}", name=name, group=group, kind=plural
    )


def not_found(plural: str, group: str, name: str) -> ApiError:
    """404: `pods "x" not found`."""
    message = f'{qualified(plural, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, name=name, group=group, kind=plural)


def no_such_path() -> ApiError:
    """404 of a path that no resource has."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed(plural: str, group: str, verb: str) -> ApiError:
    """405."""
    message = f'{verb} is not supported on resources of kind "{qualified(plural, group)}"'
    return ApiError(405, "MethodNotAllowed", message, group=group, kind=plural)


def already_exists(plural: str, group: str, name: str) -> ApiError:
    """409: `pods "x" already exists`."""
    message = f'{qualified(plural, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, name=name, group=group, kind=plural)


MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def conflict(plural: str, group: str, name: str, why: str = MODIFIED) -> ApiError:
    """409: somebody else was faster, or a precondition does not hold."""
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, name=name, group=group, kind=plural)


def expired(message: str) -> ApiError:
    """410: what is asked for is compacted; list again."""
    return ApiError(410, "Expired", message)


def too_large(message: str) -> ApiError:
    """413."""
    return ApiError(413, "RequestEntityTooLarge", message)


def unsupported_media_type(message: str) -> ApiError:
    """415."""
    return ApiError(415, "UnsupportedMediaType", message)


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422: `Pod "x" is invalid: spec.y: Required value`, CAUSES_MAX causes at once."""
    causes = causes[:CAUSES_MAX]
    told = [f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in causes]
    what = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    whom = f"{kind}.{group}" if group else kind
    return ApiError(
        422,
        "Invalid",
        f'{whom} "{name}" is invalid: {what}',
        name=name,
        group=group,
        kind=kind,
        causes=causes,
    )


def too_many_requests(message: str, *, retry_after_seconds: int = 1) -> ApiError:
    """429."""
    return ApiError(429, "TooManyRequests", message, retry_after_seconds=retry_after_seconds)


def internal(message: str) -> ApiError:
    """500: our own fault."""
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")


def service_unavailable(message: str) -> ApiError:
    """503: the store does not answer."""
    return ApiError(503, "ServiceUnavailable", message, retry_after_seconds=1)


def timeout(message: str, *, retry_after_seconds: int = 1) -> ApiError:
    """504."""
    return ApiError(504, "Timeout", message, retry_after_seconds=retry_after_seconds)


def too_new(requested: int, current: int) -> ApiError:
    """504: the revision is still to come; with the cause by which clients know it (2.2)."""
    told = "Too large resource version"
    return ApiError(
        504,
        "Timeout",
        f"{told}: {requested}, current: {current}",
        causes=(Cause("ResourceVersionTooLarge", told),),
        retry_after_seconds=1,
    )
