"""What cpctl says when something cannot be done, in kubectl's words. PURE.

Source: kubectl's documented behaviour; kubectl-needs.md, section 1, "Errors".
"""

from collections.abc import Mapping, Sequence
from typing import Any


class CtlError(Exception):
    """A command that cannot be done; the message is all that its user is told."""


class StatusError(Exception):
    """The server's refusal: a `Status` object."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        super().__init__(str(status.get("message", "")))
        self.status = status

    @property
    def reason(self) -> str:
        """Kubernetes' word for it, such as NotFound."""
        return str(self.status.get("reason") or "")


def message_of(error: StatusError, *, doing: str = "") -> str:
    """What kubectl prints of it.

    doing: what was tried with which file, such as `error when creating "a.yaml"`; empty: nothing
    """
    reason, message = error.reason, str(error.status.get("message") or "unknown")
    if reason == "Unauthorized":
        return f"error: You must be logged in to the server ({message})"
    if reason == "Invalid":
        return _invalid(error.status)
    if reason == "Conflict" and message.startswith("Apply failed"):
        return f"error: {message}\nWith --force-conflicts these fields become yours."
    told = f"{doing}: {message}" if doing else message
    return f"Error from server ({reason}): {told}" if reason else f"Error from server: {told}"


def _invalid(status: Mapping[str, Any]) -> str:
    details: Mapping[str, Any] = status.get("details") or {}
    whom = "The request is invalid"
    if details.get("kind") or details.get("name"):
        whom = f'The {details.get("kind", "")} "{details.get("name", "")}" is invalid'
    causes = list(dict.fromkeys(_told(details.get("causes") or ())))
    if not causes:
        return f"{whom}: {status.get('message', '')}" if "kind" not in details else whom
    if len(causes) == 1:
        return f"{whom}: {causes[0]}"
    return "\n".join([f"{whom}: ", *(f"* {cause}" for cause in causes)])


def _told(causes: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{cause['field']}: {cause['message']}" if cause.get("field") else str(cause["message"])
        for cause in causes
    ]
