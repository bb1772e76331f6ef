"""Questions that are passed on: whose answers are believed, and who is asked next."""

import random

import pytest

from controlplane.network.dns.forwarder import Forwarder, NoAnswerError, is_answer
from controlplane.network.dns.messages import A, Query, name_of
from tests.controlplane.network.conftest import free_place
from tests.controlplane.network.dns.conftest import Upstream, as_asked

ASKED = as_asked(Query(id=0x1234, name=name_of("example.com"), type=A))
ANSWER = ASKED[:2] + b"\x81\x80" + ASKED[4:]


def test_answer_has_the_id_and_the_question_that_were_asked() -> None:
    """RFC 5452, 9: who guesses has to guess all of it."""
    assert is_answer(ANSWER, ASKED)
    assert is_answer(ANSWER.replace(b"example", b"eXample"), ASKED)
    assert is_answer(ANSWER[:4] + b"\0\0" + ANSWER[6:12], ASKED)  # a refusal without the question
    assert not is_answer(ASKED, ASKED)  # a question
    assert not is_answer(b"\x12\x35" + ANSWER[2:], ASKED)
    assert not is_answer(ANSWER.replace(b"example", b"exbmple"), ASKED)
    assert not is_answer(ANSWER[:-3] + b"\x1c\0\1", ASKED)  # another type
    assert not is_answer(ANSWER[:11], ASKED)


async def test_next_resolver_is_asked_when_one_is_silent_or_gone(upstream: Upstream) -> None:
    """Gone: the kernel tells at once. All have the same port, as resolvers do."""
    address, port = upstream.place.address, upstream.place.port
    gone = free_place("UDP").address
    for by_tcp in (False, True):
        found = Forwarder([gone, address], random.Random(6), port=port)
        answer = await found.ask(ASKED, by_tcp=by_tcp)
        assert answer[:2] == ASKED[:2]
        assert is_answer(answer, ASKED)


async def test_id_that_is_asked_with_is_another_than_the_clients(upstream: Upstream) -> None:
    found = Forwarder([upstream.place.address], random.Random(6), port=upstream.place.port)
    for _ in range(20):
        await found.ask(ASKED, by_tcp=False)
    assert len({asked[:2] for asked, _ in upstream.asked}) > 15


async def test_nobody_answers(upstream: Upstream) -> None:
    place = upstream.place
    upstream.is_silent = True
    found = Forwarder([place.address], random.Random(6), port=place.port, try_seconds=0.05)
    with pytest.raises(NoAnswerError, match=place.address):
        await found.ask(ASKED, by_tcp=False)
