"""The names of a cluster, and what is answered about them. PURE.

Sources: "Kubernetes DNS-Based Service Discovery" (version 1.1.0), RFC 1034 (section 4.3.2), RFC
2308 (denials carry the SOA); kube-behaviour 5.5.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from controlplane.indexer import Key
from controlplane.network.dns.messages import (
    AAAA,
    ANY,
    CNAME,
    NOERROR,
    NXDOMAIN,
    SOA,
    SRV,
    TXT,
    A,
    Answer,
    Name,
    Record,
    Soa,
    Srv,
    address_data,
    lowered,
    name_of,
)
from controlplane.network.dns.records import ENDPOINT_TTL, of_dashed

DENIAL_TTL = 5
"""Seconds that a denial may be believed: what is not there may come at any time."""
ALIASES_MAX = 8
"""That are followed one after the other: a longer chain is an error of whoever made it."""
SCHEMA_VERSION = b"1.1.0"
_REVERSE = ((b"in-addr", b"arpa"), (b"ip6", b"arpa"))


class Zone:
    """All records, by name. The records of a service are replaced together."""

    def __init__(self, domain: str) -> None:
        """Raises BadMessageError where a domain is no name."""
        self.name = lowered(name_of(domain))
        self._records: dict[Name, dict[Key, list[Record]]] = {}
        self._names: dict[Key, set[Name]] = {}
        self._below: Counter[Name] = Counter()
        """How many names are at or below a name: what has some exists, though it has no record."""
        for name in (self.name, (b"svc", *self.name), (b"pod", *self.name)):
            self._count(name, 1)

    def put(self, key: Key, name: Name, records: Iterable[Record]) -> None:
        """A service as it is from now on.

        name  its own, which is there even when nothing is known of it
        """
        self.remove(key)
        names = {lowered(name)}
        for record in records:
            owner = lowered(record.name)
            names.add(owner)
            self._records.setdefault(owner, {}).setdefault(key, []).append(record)
        for each in names:
            self._count(each, 1)
        self._names[key] = names

    def remove(self, key: Key) -> None:
        """A service is gone, if it was there."""
        for name in self._names.pop(key, ()):
            found = self._records.get(name, {})
            found.pop(key, None)
            if not found:
                self._records.pop(name, None)
            self._count(name, -1)

    def find(self, name: Name, kind: int) -> Answer | None:
        """What a name is answered; None: others know about it.

        A CNAME that leads out of the zone is all of its answer: the rest others know.
        """
        wanted = lowered(name)
        is_ours = self.holds(wanted)
        if not is_ours and not any(wanted[-2:] == reverse for reverse in _REVERSE):
            return None
        found = self._found(wanted)
        if not is_ours and not found:
            return None  # an address that no service has
        if not found and not self._below[wanted]:
            return self._denial(NXDOMAIN)
        answers = [one for one in found if kind in (one.type, ANY)]
        if not answers and (alias := next((one for one in found if one.type == CNAME), None)):
            return self._aliased(alias, kind)
        if not answers:
            return self._denial(NOERROR)
        # The name is repeated as it was asked, whatever its case.
        answers = [one._replace(name=name) for one in answers]
        return Answer(answers=answers, additional=self._additional(answers))

    def _found(self, name: Name) -> list[Record]:
        held = [one for records in self._records.get(name, {}).values() for one in records]
        return held or self._computed(name)

    def _computed(self, name: Name) -> list[Record]:
        """Records that no service is the reason of."""
        labels = name[: len(name) - len(self.name)]
        match labels:
            case (b"dns-version",):
                return [Record(name, TXT, DENIAL_TTL, _text(SCHEMA_VERSION))]
            case (label, _, b"pod"):
                # As CoreDNS does by default, whether or not there is such a pod.
                address = of_dashed(label.decode("ascii", "replace"))
                if address is not None:
                    kind, data = address_data(address)
                    return [Record(name, kind, ENDPOINT_TTL, data)]
            case ():
                return [self._soa()]
        return []

    def _aliased(self, alias: Record, kind: int) -> Answer:
        """An alias, and all that it leads to which is ours; aliases in a circle lead nowhere."""
        chain, known = [alias], {lowered(alias.name)}
        while True:
            target = lowered(_target(chain[-1]))
            found = self._found(target)
            led = [one for one in found if one.type == kind]
            further = next((one for one in found if one.type == CNAME), None)
            if led or further is None or target in known or len(chain) == ALIASES_MAX:
                break
            chain.append(further)
            known.add(target)
        is_absent = self.holds(target) and not found and not self._below[target]
        return Answer(rcode=NXDOMAIN if is_absent else NOERROR, answers=[*chain, *led])

    def _additional(self, answers: Sequence[Record]) -> list[Record]:
        """The addresses of targets: who asks for a target asks for them next."""
        found: dict[Record, None] = {}
        for one in answers:
            if one.type == SRV and isinstance(one.data, Srv):
                led = self._found(lowered(one.data.target))
                found |= {each: None for each in led if each.type in (A, AAAA)}
        return list(found)

    def _denial(self, rcode: int) -> Answer:
        return Answer(rcode=rcode, authority=[self._soa()])

    def _soa(self) -> Record:
        primary = (b"ns", b"dns", *self.name)
        contact = (b"hostmaster", *self.name)
        numbers = Soa(primary, contact, 1, 7200, 1800, 86_400, DENIAL_TTL)
        return Record(self.name, SOA, DENIAL_TTL, numbers)

    def holds(self, name: Name) -> bool:
        """Whether a name, in lower case, is one of the zone."""
        return name[-len(self.name) :] == self.name

    def _count(self, name: Name, step: int) -> None:
        """A name, and all above it."""
        for position in range(len(name)):
            above = name[position:]
            self._below[above] += step
            if not self._below[above]:
                del self._below[above]


def _text(text: bytes) -> bytes:
    return bytes((len(text),)) + text


def leads_out(answer: Answer, zone: Zone) -> Name | None:
    """The name at which an answer ends that others have to be asked about; None: it is whole."""
    if not answer.answers or answer.answers[-1].type != CNAME:
        return None
    target = _target(answer.answers[-1])
    return None if zone.holds(lowered(target)) else target


def _target(alias: Record) -> Name:
    assert not isinstance(alias.data, bytes | Srv | Soa), "the data of an alias are a name"
    return alias.data
