"""A client of a cluster that is being killed: what is asked again, and what is a fault."""

from collections.abc import Awaitable, Callable

import pytest

from cluster.chaos.patience import Patience
from controlplane.ctl.errors import CtlError, StatusError


def refusal(code: int, reason: str) -> StatusError:
    return StatusError({"code": code, "reason": reason, "message": "no"})


def answers(*told: Exception | str) -> Callable[[], Awaitable[str]]:
    rest = list(told)

    async def call() -> str:
        found = rest.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return call


@pytest.mark.looptime
async def test_what_may_help_is_asked_again_and_is_nobodys_fault() -> None:
    patience = Patience()
    away = [CtlError("refused"), refusal(503, "ServiceUnavailable"), refusal(409, "Conflict")]
    assert await patience.ask(answers(*away, "well")) == "well"
    assert not patience.odd


@pytest.mark.looptime
async def test_an_internal_error_is_asked_again_and_told() -> None:
    patience = Patience()
    assert await patience.ask(answers(refusal(500, "InternalError"), "well")) == "well"
    assert patience.odd == {"500 InternalError: no": 1}


@pytest.mark.looptime
async def test_a_create_whose_answer_was_lost_is_done() -> None:
    lost = answers(CtlError("cut"), refusal(409, "AlreadyExists"))
    assert await Patience().ask(lost, fine="AlreadyExists", otherwise="made") == "made"


async def test_what_will_stay_refused_is_raised() -> None:
    patience = Patience()
    with pytest.raises(StatusError):
        await patience.ask(answers(refusal(422, "Invalid")))
    assert patience.odd == {"422 Invalid: no": 1}


@pytest.mark.looptime
async def test_nobody_waits_for_ever() -> None:
    async def never() -> str:
        raise CtlError("refused")

    with pytest.raises(TimeoutError):
        await Patience().ask(never)
