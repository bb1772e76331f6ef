"""Asking members for an introduction: the calling side of a member that has no id yet."""

import asyncio

from kvstore.seams import Clock, Random
from kvstore.server.config import Settings
from kvstore.server.peer_calling import Calling, call, words
from kvstore.server.peer_connection import Limits, Local
from kvstore.server.peer_frames import SNAPSHOT_FRAME_BYTES_MAX, Purpose, Welcome
from kvstore.server.peer_journal import Journal
from kvstore.server.tls import load_peers_for

# Whoever starts a new cluster asks members that do not run yet: they must not hold it up.
_SECONDS_MAX = 1.0


class _IntroductionCalling(Calling):
    """Takes one frame."""

    def __init__(self, local: Local) -> None:
        super().__init__(local, 0, Purpose.INTRODUCTION)
        self.reader.frame_bytes_max = SNAPSHOT_FRAME_BYTES_MAX
        self.introduction: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def refusal_of(self, _welcome: Welcome) -> str:
        """Whoever it is, we want to know."""
        return ""

    def answer_received(self, payload: bytes) -> None:
        """The introduction."""
        if not self.introduction.done():
            self.introduction.set_result(payload)

    def closed(self) -> None:
        """Nothing more will come."""
        super().closed()
        if not self.introduction.done():
            self.introduction.set_exception(ConnectionError(self.reason))
            self.introduction.exception()  # seen: perhaps nobody waits for it


class TcpIntroducer:
    """Introducer on the peer port."""

    def __init__(self, settings: Settings, clock: Clock, random: Random) -> None:
        """Raises ConfigError when the certificates of the settings cannot be read."""
        urls = [url for of_member in settings.initial_cluster.values() for url in of_member]
        self._clock = clock
        self._local = Local(
            cluster_id=0,
            member_id=0,
            tls=load_peers_for(settings.peer_tls, urls),
            clock=clock,
            random=random,
            journal=Journal(clock),
            limits=Limits(connect_seconds=_SECONDS_MAX),
            idle_timeout_seconds=_SECONDS_MAX,
            connections=set(),
        )

    async def ask(self, url: str) -> bytes:
        """The introduction by the member at a peer URL. Raises ConnectionError."""
        try:
            called = await call(self._local, url, lambda: _IntroductionCalling(self._local))
            assert isinstance(called, _IntroductionCalling)
            try:
                async with asyncio.timeout(_SECONDS_MAX):
                    return await called.introduction
            finally:
                called.abort("done")
        except OSError as error:
            raise ConnectionError(words(error)) from None

    async def pause(self, seconds: float) -> None:
        """Wait."""
        await self._clock.sleep(seconds)
