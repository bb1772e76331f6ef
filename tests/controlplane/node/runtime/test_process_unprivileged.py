"""The same suites as a user without rights: isolation is that of user namespaces, or none.

Runs them in a mount namespace of its own, in which that user can reach the Python that runs us.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SUITES = ("test_process_runtime.py", "test_process_isolation.py", "test_process_faults.py")
# Folders on the way that only root may pass are covered by ones that everybody may, which hold
# nothing but the way.
_SHOW = """
home=$1
if [ -n "$home" ]; then
    mkdir "$2/python"
    mount --bind "$1" "$2/python"
    mount -t tmpfs -o mode=755 none "/$(echo "$home" | cut -d/ -f2)"
    mkdir -p "$home"
    mount --bind "$2/python" "$home"
fi
shift 2
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
"""


def _is_open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))


@pytest.mark.skipif(os.geteuid() != 0, reason="the suites run as this user already")
@pytest.mark.parametrize("suite", _SUITES)
def test_a_user_without_rights(suite: str, tmp_path: Path) -> None:
    for tool in ("unshare", "setpriv"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (Debian: util-linux)")
    root = Path(__file__).parents[4]
    home = Path(sys.base_prefix).resolve()
    if not _is_open_to_all(root):
        pytest.skip(f"{root} is open to root only")
    temporary = tmp_path / "t"
    temporary.mkdir()
    temporary.chmod(0o777)
    for parent in tmp_path.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    shown = "" if _is_open_to_all(home) else str(home)
    ran = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-ec", _SHOW, "sh", shown, str(tmp_path)),
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
            *("--basetemp", str(temporary / "base"), str(Path(__file__).with_name(suite))),
        ],
        cwd=root,
        env=dict(os.environ) | {"TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
