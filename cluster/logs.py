"""The logs of processes that run for months: each keeps what is newest, within a bound."""

import shutil
from pathlib import Path

BYTES_MAX = 16 * 1024 * 1024


def trim(path: Path, bytes_max: int = BYTES_MAX) -> None:
    """Put aside a log that is too large, in place of what was put aside before.

    Whoever writes it has opened it to append and goes on, so it is copied and emptied; a line that
    is written between the two is lost. Raises OSError.
    """
    if not path.exists() or path.stat().st_size <= bytes_max:
        return
    aside = path.with_name(f"{path.name}.old")
    try:
        shutil.copyfile(path, aside)
    except OSError:
        # On a full disk it is better to lose what is old than to stop all that runs.
        aside.unlink(missing_ok=True)
    with path.open("r+b") as log:
        log.truncate()
