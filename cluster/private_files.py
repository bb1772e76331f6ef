"""Files that only their owner may read."""

import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Whole or not at all, and never readable for others, not for a moment."""
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    partial.replace(path)
