"""What a container left to say why it ended.

Source: Kubernetes' documentation, "Determine the Reason for Pod Failure" (bounds, fallback).
"""

from pathlib import Path

from controlplane.node.container_config import MESSAGE_PATH, MESSAGE_POLICY
from controlplane.node.runtime.interface import Container, Sandbox

BYTES_MAX = 4_096
LOG_BYTES_MAX = 2_048
LOG_LINES_MAX = 80
_READ_BYTES = 16 * 1024
"""Of a log: each line of it has some 45 bytes before its text."""


def message_of(container: Container, sandbox: Sandbox | None) -> str:
    """Of a container that has ended; empty: it left none."""
    notes = container.config.annotations
    found = _read(notes.get(MESSAGE_PATH, ""), BYTES_MAX, is_tail=False)
    if found or notes.get(MESSAGE_POLICY) != "FallbackToLogsOnError" or not container.exit_code:
        return found.decode(errors="replace")
    if sandbox is None:
        return ""
    path = Path(sandbox.config.log_folder) / container.config.log_path
    return text_of_log(_read(str(path), _READ_BYTES, is_tail=True).decode(errors="replace"))


def _read(path: str, count: int, *, is_tail: bool) -> bytes:
    """A pod may have put anything in its place: then it says nothing."""
    if not path:
        return b""
    place = Path(path)
    try:
        if place.is_symlink() or not place.is_file():
            return b""
        with place.open("rb") as file:
            if is_tail:
                file.seek(max(place.stat().st_size - count, 0))
            return file.read(count)
    except OSError:
        return b""


def text_of_log(log: str) -> str:
    """The last lines of a log in CRI's format, without what stands before their text. Pure."""
    lines = []
    for line in log.split("\n"):  # what else ends a line in Python is text of the container's
        parts = line.split(" ", 3)
        if len(parts) == 4 and parts[1] in ("stdout", "stderr") and parts[2] in ("P", "F"):
            lines.append(parts[3] + ("" if parts[2] == "P" else "\n"))
    text = "".join(lines[-LOG_LINES_MAX:])
    return text.encode()[-LOG_BYTES_MAX:].decode(errors="ignore")
