"""The same tests as a user without rights: isolation is that of user namespaces, or none.

Runs some of them in a mount namespace of its own, in which that user can reach the Python that
runs us. Who has no root runs all of them as such a user anyway.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_SUITES = ("test_process_runtime.py", "test_process_isolation.py", "test_process_faults.py")
# Where rights make a difference.
_WORDS = (
    *("cri", "stop_kills", "terminal", "exec_tells", "new_agent", "logs_only", "usage", "memory"),
    *("bomb", "the_user", "sees_its_own", "shares", "written_or", "has_nothing", "lead_a_mount"),
    *("read_only_root", "harm", "capabilities", "cannot_be_read", "ipc_sysctls"),
    *("killed_shim", "without_an_agent", "hangs"),
)
# A folder on the way that only root may pass is covered by one that everybody may, with nothing
# in it but the way.
_SHOW = """
home=$1 aside=$2
shift 2
if [ -n "$home" ]; then
    mkdir "$aside/python"
    mount --bind "$home" "$aside/python"
    mount -t tmpfs -o mode=755 none "/$(echo "$home" | cut -d/ -f2)"
    mkdir -p "$home"
    mount --bind "$aside/python" "$home"
fi
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
"""


def _is_open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of everybody; pytest's own are of who started it."""
    with tempfile.TemporaryDirectory(prefix="unprivileged-") as made:
        Path(made).chmod(0o755)
        (Path(made) / "open").mkdir()
        (Path(made) / "open").chmod(0o777)
        yield Path(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="all tests run as such a user already")
def test_a_user_without_rights(folder: Path) -> None:
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("unshare or setpriv is not installed (Debian: util-linux)")
    root, home = _HERE.parents[3], Path(sys.base_prefix).resolve()
    if not _is_open_to_all(root):
        pytest.skip("this checkout is open to root only")
    ran = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-ec", _SHOW, "sh"),
            *("" if _is_open_to_all(home) else str(home), str(folder)),
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-k", " or ".join(_WORDS), "--basetemp", str(folder / "open" / "base")),
            *(str(_HERE / suite) for suite in _SUITES),
        ],
        cwd=root,
        env=dict(os.environ) | {"TMPDIR": str(folder / "open"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
