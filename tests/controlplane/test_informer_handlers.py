"""What an informer tells, and whom."""

import msgspec

from controlplane.api.resource import Object
from controlplane.api.types.core_v1 import Pod
from controlplane.indexer import Key
from controlplane.informer import Informer
from controlplane.objects import Change

Told = tuple[str, int | None, int | None]


def _raw(**sizes: int) -> dict[Key, bytes]:
    return {Key("n", name): b"%d" % size for name, size in sizes.items()}


def test_list_that_comes_again_tells_the_difference_only() -> None:
    """What was deleted while nobody watched is told as deleted."""
    informer: Informer[int] = Informer(int)
    told: list[Told] = []
    informer.replace(_raw(gone=1, changed=2, same=3), 10)
    informer.add_handler(lambda key, old, new: told.append((key.name, old, new)))
    told.clear()
    informer.replace(_raw(changed=5, same=3, new=4), 20)
    assert told == [("gone", 1, None), ("changed", 2, 5), ("new", None, 4)]
    assert informer.indexer.sorted_keys() == sorted(_raw(changed=5, same=3, new=4))


def test_list_that_comes_again_takes_nothing_away_that_cannot_be_read() -> None:
    informer: Informer[int] = Informer(int)
    informer.replace(_raw(gone=1, hidden=2), 10)
    told: list[Told] = []
    informer.add_handler(lambda key, old, new: told.append((key.name, old, new)))
    told.clear()
    informer.replace({}, 20, {Key("n", "hidden"), Key("n", "never known")})
    assert told == [("gone", 1, None)]
    assert informer.indexer.sorted_keys() == [Key("n", "hidden")]


def test_handler_that_fails_keeps_nothing_from_the_others() -> None:
    informer: Informer[int] = Informer(int)
    told: list[Told] = []

    def fail(key: Key, old: int | None, new: int | None) -> None:
        raise ZeroDivisionError

    informer.replace(_raw(before=1), 10)
    informer.add_handler(fail)
    informer.add_handler(lambda key, old, new: told.append((key.name, old, new)))
    informer.replace(_raw(before=1, a=1, b=2), 11)
    assert told == [("before", None, 1), ("a", None, 1), ("b", None, 2)]


def test_handler_that_is_removed_hears_nothing_more() -> None:
    """Also one that has itself removed; nobody else misses anything."""
    informer: Informer[int] = Informer(int)
    told: list[Told] = []

    def once(key: Key, old: int | None, new: int | None) -> None:
        told.append(("once", old, new))
        informer.remove_handler(once)

    informer.add_handler(once)
    informer.add_handler(lambda key, old, new: told.append((key.name, old, new)))
    informer.replace(_raw(a=1, b=2), 10)
    assert told == [("once", None, 1), ("a", None, 1), ("b", None, 2)]


def test_an_object_is_made_a_struct_once_a_version() -> None:
    informer: Informer[Object] = Informer(msgspec.json.decode)
    key = Key("shop", "a")
    assert informer.record(Pod, key) is None
    raw = b'{"metadata":{"name":"a"},"spec":{"nodeName":"%b","unknown":1,"tolerations":null}}'
    informer.replace({key: raw % b"n1"}, 1)
    first = informer.record(Pod, key)
    assert first is not None
    assert (first.spec.node_name, first.spec.tolerations) == ("n1", ())
    assert informer.record(Pod, key) is first
    change = Change("PUT", key=b"", revision=2, raw=raw % b"n2", previous=None)
    informer.apply([(key, change)], 2)
    second = informer.record(Pod, key)
    assert second is not None
    assert second.spec.node_name == "n2"
    informer.replace({}, 3)
    assert informer.record(Pod, key) is None
