"""Pings of one connection: the client's, judged by gRPC A8, and our own keep-alive (A9). Pure."""

from typing import Final

from kvstore.http2.limits import IDLE_PING_INTERVAL_SECONDS, PING_STRIKES_MAX, Limits
from kvstore.http2.protocol import ConnectionFaultError, ErrorCode

KEEPALIVE_PAYLOAD: Final = b"keelson\0"


class Pings:
    """When they came and went; times are the driver's."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._strikes = 0
        self._last = -float("inf")
        self._sent: float | None = None

    def welcome(self, now: float) -> None:
        """A ping after something of ours."""
        self._strikes = 0
        self._last = now

    def judge(self, now: float, *, has_calls: bool) -> None:
        """Any other: who pings too often is told to go."""
        interval = self._limits.ping_interval_min_seconds
        if not has_calls:
            interval = max(interval, IDLE_PING_INTERVAL_SECONDS)
        if now - self._last < interval:
            self._strikes += 1
        self._last = now
        if self._strikes > PING_STRIKES_MAX and self._limits.ping_interval_min_seconds:
            raise ConnectionFaultError(ErrorCode.ENHANCE_YOUR_CALM, "too_many_pings")

    def is_due(self, now: float, heard: float) -> bool:
        """Tell whether a ping of ours is due, the client having been heard last at `heard`.

        ConnectionFaultError when the last one had no answer.
        """
        if self._sent is not None and heard < self._sent:
            if now - self._sent >= self._limits.keepalive_timeout_seconds:
                raise ConnectionFaultError(ErrorCode.NO_ERROR, "no answer to a ping")
            return False
        interval = self._limits.keepalive_interval_seconds
        if interval and now - heard >= interval:
            self._sent = now
            return True
        return False
