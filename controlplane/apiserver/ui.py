"""The page that shows the cluster live, and what it asks that is no resource: the store's members.

`/ui` is a page without secrets, for everybody; all that it shows it asks for as its user may.
"""

import asyncio
from collections.abc import Sequence
from importlib import resources
from typing import Any

import orjson

from controlplane.api import errors
from controlplane.apiserver.incoming import Answer
from kvstore.client import Client
from kvstore.errors import KvError

STATUS_SECONDS_MAX = 2.0
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
)
_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "ui.js": "text/javascript; charset=utf-8",
    "ui.css": "text/css; charset=utf-8",
}


class Ui:
    """client, endpoints  of the store"""

    def __init__(self, client: Client, endpoints: Sequence[str]) -> None:
        self._client = client
        self._endpoints = tuple(endpoints)
        folder = resources.files("controlplane.apiserver") / "page"
        self._files = {name: (folder / name).read_bytes() for name in _TYPES}

    async def answer(self, rest: Sequence[str]) -> Answer:
        """The page, a part of it, or what it asks; `rest` of the path. Raises ApiError 404."""
        name = "/".join(rest) or "index.html"
        if name == "store":
            return await self._store()
        body = self._files.get(name)
        if body is None:
            raise errors.no_such_path()
        return Answer(body=body, headers=_SECURITY, content_type=_TYPES[name])

    async def _store(self) -> Answer:
        """What each member says of itself."""
        members = await asyncio.gather(*map(self._member, self._endpoints))
        return Answer(body=orjson.dumps({"members": members}), headers=_SECURITY)

    async def _member(self, endpoint: str) -> dict[str, Any]:
        try:
            status = await self._client.maintenance.status(
                endpoint, timeout_seconds=STATUS_SECONDS_MAX
            )
        except (KvError, TimeoutError) as error:
            return {"endpoint": endpoint, "error": str(error) or "it does not answer"}
        return {
            "endpoint": endpoint,
            "id": f"{status.header.member_id:x}",
            "isLeader": status.leader == status.header.member_id,
            "isLearner": status.is_learner,
            "term": status.raft_term,
            "applied": status.raft_applied_index,
            "version": status.version,
            "bytes": status.db_size,
        }
