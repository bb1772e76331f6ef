"""What a client accepts, in its order of preference. PURE.

Source: RFC 9110, 12.5.1; kube-behaviour 1.1, 1.2 and 2.21. JSON is always answered, YAML on
request; protobuf is read and never written, so whoever accepts nothing else is told 406.
"""

import functools
from collections.abc import Mapping, Sequence

import msgspec

from controlplane.api.errors import ApiError

JSON, YAML = "application/json", "application/yaml"
MEDIA_TYPES = (JSON, YAML)
_ACCEPT_CHARACTERS_MAX = 8_000


class Clause(msgspec.Struct, frozen=True):
    """One media type, perhaps with wildcards, and its parameters but for the weight."""

    media_type: str
    parameters: Mapping[str, str]
    weight: float

    def is_for(self, media_type: str) -> bool:
        """Whether it accepts a media type."""
        return self.media_type in (media_type, "application/*", "*/*")


def clauses(accept: str) -> Sequence[Clause]:
    """The best first; those that are equally good in the order in which they stand."""
    return _clauses(accept[:_ACCEPT_CHARACTERS_MAX])


@functools.lru_cache(maxsize=100)  # there are few clients, which say the same in each request
def _clauses(accept: str) -> tuple[Clause, ...]:
    if not accept.strip():
        return (Clause("*/*", {}, 1.0),)
    found = [_clause(part) for part in accept.split(",")]
    return tuple(sorted((one for one in found if one.weight > 0), key=lambda one: -one.weight))


def not_acceptable(media_types: tuple[str, ...]) -> ApiError:
    """406."""
    known = ", ".join(media_types)
    message = f"only the following media types are accepted: {known}"
    return ApiError(406, "NotAcceptable", message)


def _clause(text: str) -> Clause:
    media_type, *rest = (part.strip() for part in text.split(";"))
    parameters: dict[str, str] = {}
    for part in rest:
        name, _, value = part.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    return Clause(media_type.lower(), parameters, _weight(parameters.pop("q", "1")))


def _weight(text: str) -> float:
    """Between 0 and 1; what is none is as good as not said."""
    try:
        weight = float(text)
    except ValueError:
        return 1.0
    return weight if 0 <= weight <= 1 else 1.0
