"""The listeners of a machine: what the table says is opened, changed and closed.

A place that cannot be opened keeps nobody from theirs: it is told, and tried again ever later.
"""

import errno
import logging
from collections.abc import Callable
from weakref import WeakValueDictionary

from controlplane.network.balancer import Affinity, Balancer
from controlplane.network.plan import Backend, Place, Port
from controlplane.network.sockets import Seams, retry_seconds, why
from controlplane.network.table import Difference
from controlplane.network.tcp import TcpListener
from controlplane.network.udp import UdpListener
from kvstore.seams import Random

logger = logging.getLogger(__name__)

Listener = TcpListener | UdpListener
OnFailure = Callable[[Place, Backend, str], None]
"""Told once of a place that cannot be opened, and why."""


class _Missing:
    """A place that could not be opened. `tries`: how often so far."""

    __slots__ = ("backend", "tries")

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.tries = 0


class Userspace:
    """All listeners. `close` ends them."""

    def __init__(self, seams: Seams, dice: Random, on_failure: OnFailure) -> None:
        self._seams = seams
        self._dice = dice
        self._on_failure = on_failure
        self._listeners: dict[Place, Listener] = {}
        self._missing: dict[Place, _Missing] = {}
        self._affinities: WeakValueDictionary[Port, Affinity] = WeakValueDictionary()

    def apply(self, difference: Difference) -> None:
        """Make it so: at its return new connections go by it."""
        for place in difference.closed:
            self._missing.pop(place, None)
            listener = self._listeners.pop(place, None)
            if listener is not None:
                self._close(place, listener)
        for place, backend in difference.changed.items():
            listener = self._listeners.get(place)
            if listener is not None:
                listener.balancer = self._balancer(backend)
            elif place in self._missing:
                self._missing[place].backend = backend
        for place, backend in difference.opened.items():
            missing = self._missing[place] = _Missing(backend)
            self._try(place, missing)

    def close(self) -> None:
        """Listen on nothing any more; TCP connections stay."""
        self._missing.clear()
        for place, listener in self._listeners.items():
            self._close(place, listener)
        self._listeners.clear()

    def open_places(self) -> frozenset[Place]:
        """What is listened on now."""
        return frozenset(self._listeners)

    def _try(self, place: Place, missing: _Missing) -> None:
        """Open a place, unless it is no longer missing, or missing for another reason."""
        if self._missing.get(place) is not missing:
            return
        try:
            self._listeners[place] = self._open(place, missing.backend)
        except OSError as error:
            if missing.tries == 0:
                self._on_failure(place, missing.backend, why(place, error))
            wait = retry_seconds(missing.tries)
            missing.tries += 1
            self._seams.clock.call_later(wait, lambda: self._try(place, missing))
            return
        del self._missing[place]
        if missing.tries:
            logger.info("%s is open at last", place)

    def _open(self, place: Place, backend: Backend) -> Listener:
        if not self._seams.descriptors.take(1):
            raise OSError(errno.EMFILE, "too many files are open")
        make = TcpListener if place.protocol == "TCP" else UdpListener
        try:
            made: Listener = make(place, self._balancer(backend), self._seams)
        except BaseException:
            self._seams.descriptors.give(1)
            raise
        self._seams.places.add(place)
        return made

    def _close(self, place: Place, listener: Listener) -> None:
        self._seams.places.discard(place)
        listener.close()
        self._seams.descriptors.give(1)

    def _balancer(self, backend: Backend) -> Balancer:
        affinity = self._affinities.get(backend.port)
        if affinity is None:
            affinity = self._affinities[backend.port] = Affinity()
        return Balancer(backend, affinity, self._dice)
