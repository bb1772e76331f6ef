"""Which lines of a container's log are wanted, and why they cannot be had. PURE.

Source: Kubernetes' API reference, PodLogOptions, and its validation; kube-behaviour 10.7.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from controlplane.api import errors
from controlplane.api.causes import forbidden, invalid, not_supported
from controlplane.api.errors import ApiError, Cause
from controlplane.api.types.core_v1 import ContainerState, ContainerStatus, Pod

STREAMS = ("All", "Stderr", "Stdout")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_TOO_SMALL = "must be greater than or equal to 0"
_NOT_POSITIVE = "must be greater than 0"
_FLAGS = frozenset(("", "1", "t", "true", "0", "f", "false"))


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """tail_lines, limit_bytes  None: all
    since_seconds             before now; None: from the beginning
    since_time                RFC 3339; empty: from the beginning
    """

    container: str = ""
    follows: bool = False
    is_previous: bool = False
    has_timestamps: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since_seconds: int | None = None
    since_time: str = ""
    stream: str = "All"

    def since(self, now: float) -> float:
        """Seconds since 1970 of the earliest line that is wanted."""
        if self.since_seconds is not None:
            return now - self.since_seconds
        return moment(self.since_time) if self.since_time else 0.0

    @property
    def query(self) -> list[tuple[str, str]]:
        """The same as parameters."""
        numbers = {
            "tailLines": self.tail_lines,
            "limitBytes": self.limit_bytes,
            "sinceSeconds": self.since_seconds,
        }
        flags = {
            "follow": self.follows,
            "previous": self.is_previous,
            "timestamps": self.has_timestamps,
        }
        found = [(name, "true") for name, is_set in flags.items() if is_set]
        found += [(name, str(number)) for name, number in numbers.items() if number is not None]
        if self.since_time:
            found.append(("sinceTime", self.since_time))
        if self.stream != "All":
            found.append(("stream", self.stream))
        return found


def log_options(text: Callable[[str], str], has: Callable[[str], bool]) -> LogOptions:
    """Out of the parameters of a request. Raises ApiError 400 and 422.

    text  the value of a parameter; empty: it has none, or is not there, as `has` says
    """

    def flag(name: str) -> bool:
        value = text(name).lower()
        if value not in _FLAGS:
            raise errors.bad_request(f'invalid value "{value[:40]}" of {name}: true or false')
        return has(name) and value not in ("0", "f", "false")

    def number(name: str) -> int | None:
        value = text(name)
        if value and not _NUMBER.fullmatch(value):
            raise errors.bad_request(f'invalid value "{value[:40]}" of {name}: a number, please')
        return int(value) if value else None

    options = LogOptions(
        container=text("container"),
        follows=flag("follow"),
        is_previous=flag("previous"),
        has_timestamps=flag("timestamps"),
        tail_lines=number("tailLines"),
        limit_bytes=number("limitBytes"),
        since_seconds=number("sinceSeconds"),
        since_time=text("sinceTime"),
        stream=text("stream") or "All",
    )
    causes = list(_faults(options))
    if causes:
        raise errors.invalid("PodLogOptions", "", "", causes)
    return options


def _faults(options: LogOptions) -> Iterable[Cause]:
    if options.tail_lines is not None and options.tail_lines < 0:
        yield invalid("tailLines", options.tail_lines, _TOO_SMALL)
    if options.limit_bytes is not None and options.limit_bytes < 1:
        yield invalid("limitBytes", options.limit_bytes, _NOT_POSITIVE)
    if options.since_seconds is not None and options.since_time:
        yield forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified")
    elif options.since_seconds is not None and options.since_seconds < 1:
        yield invalid("sinceSeconds", options.since_seconds, _NOT_POSITIVE)
    elif options.since_time:
        try:
            moment(options.since_time)
        except ValueError:
            yield invalid("sinceTime", options.since_time, "must be a time of RFC 3339")
    if options.stream not in STREAMS:
        yield not_supported("stream", options.stream, frozenset(STREAMS))
    elif options.stream != "All" and options.tail_lines is not None:
        yield forbidden("", "`tailLines` and specific `stream` are mutually exclusive for now")


def moment(text: str) -> float:
    """Seconds since 1970 of a time of RFC 3339, of which a runtime may tell nine decimals. Raises
    ValueError.
    """
    whole, dot, rest = text.partition(".")
    if dot:
        digits = re.match(r"[0-9]+", rest)
        if digits is None:
            raise ValueError(text)
        text = f"{whole}.{digits[0][:6]:0<6}{rest[digits.end() :]}"
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(text)
    return found.timestamp()


def chosen_container(pod: Pod, name: str) -> str:
    """The container that is meant. Raises ApiError 400."""
    spec, whom = pod.spec, pod.metadata.name
    first = [one.name for one in spec.init_containers]
    names = [one.name for one in spec.containers]
    if name:
        if name in names or name in first:
            return name
        if name in (one.name for one in spec.ephemeral_containers):
            return name
        raise errors.bad_request(f"container {name} is not valid for pod {whom}")
    if len(names) == 1:
        return names[0]
    told = f"a container name must be specified for pod {whom}"
    if names:
        told += f", choose one of: [{' '.join(names)}]"
    if names and first:
        told += f" or one of the init containers: [{' '.join(first)}]"
    raise errors.bad_request(told)


def status_of(pod: Pod, container: str) -> ContainerStatus | None:
    """What is known of a container; None: nothing yet."""
    status = pod.status
    every = (
        *status.container_statuses,
        *status.init_container_statuses,
        *status.ephemeral_container_statuses,
    )
    return next((one for one in every if one.name == container), None)


def previous_id(pod: Pod, container: str) -> str:
    """The runtime's id of the attempt that ended before the one that is now. Raises ApiError 400
    where there is none."""
    status = status_of(pod, container)
    ended = status.last_state.terminated if status is not None else None
    if ended is None or not ended.container_id:
        raise without_previous(pod, container)
    return bare_id(ended.container_id)


def without_previous(pod: Pod, container: str) -> ApiError:
    """There is no attempt before the one that is now, or none any more."""
    return errors.bad_request(
        f'previous terminated container "{container}" in pod "{pod.metadata.name}" not found'
    )


def bare_id(told: str) -> str:
    """An id without the runtime's name: `process://x` is `x`."""
    return told.partition("://")[2] or told


def without_log(pod: Pod, container: str) -> ApiError:
    """Why a container has no log yet, by what is told of it."""
    status = status_of(pod, container)
    whom = f'container "{container}" in pod "{pod.metadata.name}"'
    if status is None:
        return errors.bad_request(f"{whom} is not available")
    return errors.bad_request(f"{whom} {_why(status.state)}")


def _why(state: ContainerState) -> str:
    if state.terminated is not None:
        return "is terminated"
    reason = state.waiting.reason if state.waiting is not None else ""
    match reason:
        case "ErrImagePull":
            return "is waiting to start: image can't be pulled"
        case "ImagePullBackOff":
            return "is waiting to start: trying and failing to pull image"
        case "":
            return "is waiting to start - no logs yet"
        case _:
            return f"is waiting to start: {reason}"
