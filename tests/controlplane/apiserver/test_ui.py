"""The page, and what it asks of the store; tests/e2e/ui shows it to a browser."""

import orjson
import pytest

from controlplane.api.errors import ApiError
from controlplane.apiserver.ui import Ui
from controlplane.objects import ObjectStore
from kvstore.testing.processes import ClusterProcesses

DEAD = "127.0.0.1:1"


async def test_each_member_tells_of_itself(store: ObjectStore, member: ClusterProcesses) -> None:
    ui = Ui(store.client, [*member.endpoints, DEAD])
    alive, dead = orjson.loads((await ui.answer(["store"])).body)["members"]
    assert alive["isLeader"] is True
    assert alive["term"] >= 1
    assert alive["applied"] >= 1
    assert dead["endpoint"] == DEAD
    assert dead["error"]


async def test_the_page_runs_nothing_but_its_own_script(store: ObjectStore) -> None:
    ui = Ui(store.client, ())
    page = await ui.answer([])
    assert page.content_type.startswith("text/html")
    assert b"<script defer src" in page.body
    policy = dict(page.headers)["Content-Security-Policy"]
    assert {"default-src 'none'", "script-src 'self'"} <= set(policy.split("; "))
    for part in ("ui.js", "ui.css"):
        assert part.encode() in page.body
        assert (await ui.answer([part])).body
    with pytest.raises(ApiError, match="could not find"):
        await ui.answer(["..", "ui.py"])
