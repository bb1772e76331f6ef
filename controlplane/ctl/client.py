"""Requests of cpctl to an API server, over aiohttp."""

import asyncio
import http
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from controlplane.ctl.errors import CtlError, StatusError
from controlplane.ctl.kubeconfig import Access
from controlplane.ctl.resources import Resources

JSON = "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
_DISCOVERY = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
)
_PAGE_OBJECTS = 500
_REQUEST_SECONDS_MAX = 70.0  # a server gives up after 60
_LINE_BYTES_MAX = 16 * 1024 * 1024  # an event of a watch; objects are of 3 MiB at most

Query = Mapping[str, str]


class ApiClient:
    """A context manager. `warn` is told each warning of the server.

    Every call raises StatusError for what the server refuses, CtlError where it is not reached.
    """

    def __init__(self, access: Access, warn: Callable[[str], None]) -> None:
        self.access = access
        self._warn = warn
        headers = {"User-Agent": "cpctl"}
        if access.token:
            headers["Authorization"] = f"Bearer {access.token}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(ssl=access.tls or True),
            timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS_MAX),
            read_bufsize=_LINE_BYTES_MAX,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def get(self, path: str, query: Query | None = None, *, accept: str = JSON) -> Any:
        """The answer's JSON."""
        return await self._request("GET", path, query, accept=accept)

    async def send(
        self,
        method: str,
        path: str,
        body: object,
        query: Query | None = None,
        *,
        content_type: str = JSON,
    ) -> Any:
        """Write something; the answer's JSON."""
        return await self._request(
            method, path, query, body=orjson.dumps(body), content_type=content_type
        )

    async def pages(self, path: str, query: Query, *, accept: str = JSON) -> AsyncIterator[Any]:
        """A list, part by part."""
        token = ""
        while True:
            asked = {**query, "limit": str(_PAGE_OBJECTS)} | ({"continue": token} if token else {})
            page = await self.get(path, asked, accept=accept)
            yield page
            token = page["metadata"].get("continue") or ""
            if not token:
                return

    async def watch(self, path: str, query: Query, *, accept: str = JSON) -> AsyncIterator[Any]:
        """Events until the server ends the watch."""
        try:
            async with self._session.get(
                self.access.server + path,
                params={**query, "watch": "true"},
                headers={"Accept": accept},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_REQUEST_SECONDS_MAX),
            ) as response:
                await self._checked(response)
                async for line in response.content:
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        raise StatusError(event["object"])
                    yield event
        except aiohttp.ClientError as error:
            raise self._unreachable(error) from None

    async def stream(self, path: str, query: Query) -> AsyncIterator[bytes]:
        """What is no object, as it comes, until its end."""
        bound = aiohttp.ClientTimeout(total=None, sock_connect=_REQUEST_SECONDS_MAX)
        try:
            async with self._session.get(
                self.access.server + path, params=query, timeout=bound
            ) as response:
                await self._checked(response)
                async for part in response.content.iter_any():
                    yield part
        except aiohttp.ClientError as error:
            raise self._unreachable(error) from None

    async def resources(self) -> Resources:
        """What the server has."""
        core, groups = await asyncio.gather(
            self.get("/api", accept=_DISCOVERY), self.get("/apis", accept=_DISCOVERY)
        )
        return Resources((core, groups))

    async def _request(
        self,
        method: str,
        path: str,
        query: Query | None,
        *,
        accept: str = JSON,
        body: bytes | None = None,
        content_type: str = JSON,
    ) -> Any:
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            async with self._session.request(
                method, self.access.server + path, params=query, data=body, headers=headers
            ) as response:
                await self._checked(response)
                return orjson.loads(await response.read())
        except TimeoutError:
            raise CtlError(
                "Unable to connect to the server: it does not answer; what became of the request"
                " is not known"
            ) from None
        except aiohttp.ClientError as error:
            raise self._unreachable(error) from None

    async def _checked(self, response: aiohttp.ClientResponse) -> None:
        for warning in response.headers.getall("Warning", ()):
            self._warn(warning.partition('"')[2].rstrip('"').replace('\\"', '"'))
        if response.status < http.HTTPStatus.BAD_REQUEST:
            return
        body = await response.read()
        try:
            status = orjson.loads(body)
        except orjson.JSONDecodeError:
            status = None
        if not isinstance(status, dict) or status.get("kind") != "Status":
            reason = http.HTTPStatus(response.status).phrase.title().replace(" ", "")
            status = {"reason": reason, "message": body[:1000].decode(errors="replace")}
        raise StatusError(status)

    def _unreachable(self, error: aiohttp.ClientError) -> CtlError:
        address = self.access.server.partition("://")[2]
        os_error = getattr(error, "os_error", None)
        if isinstance(os_error, ConnectionRefusedError):
            return CtlError(
                f"The connection to the server {address} was refused - did you specify the right"
                " host or port?"
            )
        return CtlError(f"Unable to connect to the server: {error}")
