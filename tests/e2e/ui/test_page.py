"""The page in a real browser, through `kubectl proxy` as README says."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.e2e.processes import ApiServerProcess
from tests.e2e.ui.browser import Browser, missing

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"not installed: {missing()}"),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
    pytest.mark.parametrize("store", ["keelson"], indirect=True),
]
PNG = b"\x89PNG\r\n\x1a\n"
HOSTILE = "<img src=x onerror=alert(1)>"


@contextmanager
def proxy(api_server: ApiServerProcess, folder: Path) -> Iterator[str]:
    """`kubectl proxy`; its URL."""
    config = folder / "kubeconfig"
    config.write_text(yaml.safe_dump(api_server.kubeconfig("default")))
    command = ["kubectl", f"--kubeconfig={config}", "proxy", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://{process.stdout.readline().rpartition(' ')[2].strip()}"
        finally:
            process.kill()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path) as running:
        yield running


@pytest.fixture
def cluster(api_server: ApiServerProcess) -> ApiServerProcess:
    """With a node, two pods, of which one waits, and an event."""
    api_server.create("/api/v1/nodes", {"metadata": {"name": "ui-node"}})
    for name, spec in (("placed", {"nodeName": "ui-node"}), ("waiting", {})):
        container = {"name": "a", "image": "local/http"}
        api_server.create(
            "/api/v1/namespaces/default/pods",
            {"metadata": {"name": f"ui-{name}"}, "spec": {"containers": [container], **spec}},
        )
    about = {"kind": "Pod", "name": "ui-placed", "namespace": "default"}
    for reason, kind in (("Greeted", "Normal"), ("Odd", "of no kind")):
        api_server.create(
            "/api/v1/namespaces/default/events",
            {
                "metadata": {"name": f"ui-event-{reason.lower()}"},
                "involvedObject": about,
                "reason": reason,
                "message": HOSTILE,
                "type": kind,
            },
        )
    return api_server


def test_it_shows_the_cluster_and_follows_it(
    cluster: ApiServerProcess, browser: Browser, tmp_path: Path
) -> None:
    with proxy(cluster, tmp_path) as url:
        browser.open(f"{url}/ui")
        shown = browser.until(lambda html: "ui-node" in html and "Greeted" in html)
        assert "of no kind" in shown
        assert re.search(r"\d+ of \d+ nodes ready", shown)
        assert "leader" in shown
        assert 'title="default/ui-placed: Pending, ready 0/1"' in shown
        assert 'title="default/ui-waiting: Pending, ready 0/1"' in shown
        assert "no node yet" in shown
        assert HOSTILE not in shown, "what users write is text, never markup"
        assert "&lt;img src=x onerror=alert(1)&gt;" in shown
        assert not browser.is_shown("login")
        assert browser.picture().startswith(PNG)
        cluster.delete("/api/v1/namespaces/default/pods/ui-waiting")
        browser.until(lambda html: "default/ui-waiting" not in html)


def test_who_shows_nothing_is_asked_who_he_is(cluster: ApiServerProcess, browser: Browser) -> None:
    browser.open(f"{cluster.url}/ui")
    shown = browser.until(lambda html: "who are you?" in html)
    assert "ui-node" not in shown
    assert browser.is_shown("login")
