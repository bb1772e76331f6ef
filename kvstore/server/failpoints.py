"""Failpoints: named places at which a member ends, stops, waits or fails; none unless armed.

    KVSTORE_FAILPOINT="wal synced:3=kill; snapshot rename=stop"

The process ends by SIGKILL when it passes "wal synced" for the third time, and gets SIGSTOP before
its first snapshot is renamed. Actions, each done once:

    kill           SIGKILL
    stop           SIGSTOP; somebody's SIGCONT lets it go on
    wait SECONDS   the thread that passes stands still; at most points it is the member's loop
    error          what a failing disk would do (EIO); at points of files only

Without the variable nothing is wrapped and nothing is checked (`failpoint_seams` wraps). Here is
what is armed, and what happens when a point is passed.
"""

import errno
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from kvstore.errors import ConfigError
from kvstore.server.points import ALL_POINTS, NODE_POINTS

logger = logging.getLogger(__name__)

VARIABLE = "KVSTORE_FAILPOINT"

_WAIT_SECONDS_MAX = 3_600.0
_COUNT_MAX = 1_000_000_000
_FAILPOINTS_MAX = 100
_FORM = re.compile(
    r"(?P<point>[a-z_ ]+?)(:(?P<count>\d+))? *= *(?P<action>[a-z]+)( +(?P<wait>\S+))?"
)


class Action(StrEnum):
    """What happens at a point."""

    KILL = "kill"
    STOP = "stop"
    WAIT = "wait"
    ERROR = "error"


class Failpoint(msgspec.Struct):
    """One point that is armed. `count`: how often it is still to be passed, this time included."""

    point: str
    action: Action
    count: int = 1
    wait_seconds: float = 0.0


class Failpoints:
    """Those that are armed in this process. Passed in several threads."""

    def __init__(self, armed: Sequence[Failpoint]) -> None:
        self._armed = list(armed)
        self._lock = threading.Lock()

    def pass_point(self, point: str) -> None:
        """The process is about to pass a point. Raises OSError where a disk is to fail."""
        for failpoint in self._due(point):
            logger.warning("failpoint %s: %s", point, failpoint.action)
            match failpoint.action:
                case Action.KILL:
                    os.kill(os.getpid(), signal.SIGKILL)
                case Action.STOP:
                    os.kill(os.getpid(), signal.SIGSTOP)
                case Action.WAIT:
                    time.sleep(failpoint.wait_seconds)
                case Action.ERROR:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))

    def _due(self, point: str) -> list[Failpoint]:
        with self._lock:
            due = []
            for failpoint in self._armed:
                if failpoint.point == point:
                    failpoint.count -= 1
                    if failpoint.count == 0:
                        due.append(failpoint)
            return due


def load(environment: Mapping[str, str]) -> Failpoints | None:
    """What the environment arms; None when it names nothing. Raises ConfigError."""
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    parts = text.split(";")
    if len(parts) > _FAILPOINTS_MAX:
        raise ConfigError(f"{VARIABLE} names {len(parts)} failpoints, at most {_FAILPOINTS_MAX}")
    return Failpoints([_parse(part.strip()) for part in parts])


def _parse(text: str) -> Failpoint:
    found = _FORM.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"{VARIABLE}: {text!r} is no failpoint; write POINT=ACTION or POINT:COUNT=ACTION, as"
            f' in "wal synced:3=kill", and separate several by semicolons'
        )
    point = found["point"].strip()
    if point not in (*ALL_POINTS, *NODE_POINTS):
        names = ", ".join((*ALL_POINTS, *NODE_POINTS))
        raise ConfigError(f"{VARIABLE}: there is no point {point!r}; the points are {names}")
    count = int(found["count"] or 1)
    if not 1 <= count <= _COUNT_MAX:
        raise ConfigError(f"{VARIABLE}: {text!r} must count from 1 to {_COUNT_MAX}")
    action = _action(text, found["action"], point)
    return Failpoint(point, action, count, _wait_seconds(text, action, found["wait"]))


def _action(text: str, word: str, point: str) -> Action:
    if word not in set(Action):
        raise ConfigError(f"{VARIABLE}: {text!r}: the actions are {', '.join(Action)}")
    action = Action(word)
    if action is Action.ERROR and (point in NODE_POINTS or point.startswith("frames")):
        raise ConfigError(f"{VARIABLE}: {text!r}: only a point of a file can fail with an error")
    return action


def _wait_seconds(text: str, action: Action, word: str | None) -> float:
    if (word is None) is (action is Action.WAIT):
        raise ConfigError(f"{VARIABLE}: {text!r}: seconds belong to wait, and only there")
    try:
        seconds = float(word or 0)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _WAIT_SECONDS_MAX:
        raise ConfigError(f"{VARIABLE}: {text!r}: wait 0 to {_WAIT_SECONDS_MAX:g} seconds")
    return seconds
