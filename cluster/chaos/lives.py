"""What a user does with one object, from its creation on. PURE: by dice."""

import random
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from cluster.chaos import manifests

Verb = Literal[
    "create", "scale", "update", "roll back", "pause", "resume", "suspend", "unsuspend",
    "parallelism", "settle", "rest", "delete", "expose", "hide", "retype",
]  # fmt: skip
_REPLICAS_MAX = 5
_DELETED_JOBS = 0.15
_SETTLED, _SERVED = 0.5, 0.7
_PROPAGATIONS = ("Background", "Foreground")


class Step(msgspec.Struct, frozen=True):
    """obj: what is created; value: replicas, a version, seconds; word: a policy, a type."""

    do: Verb
    value: float = 0
    obj: dict[str, Any] | None = None
    word: str = ""


def deployment(name: str, dice: random.Random) -> tuple[Step, ...]:
    """Three to six changes, often before the one before is through."""
    replicas = dice.randint(1, _REPLICAS_MAX)
    steps = [Step("create", obj=manifests.deployment(name, replicas, dice))]
    is_served = dice.random() < _SERVED
    if is_served:
        kind = dice.choice(("ClusterIP", "NodePort"))
        steps.append(Step("expose", obj=manifests.service(name, kind)))
    for version in range(dice.randint(3, 6)):
        steps += _change(version + 1, dice, is_served=is_served)
        steps += _pace(dice)
    if is_served:
        steps.append(Step("hide"))
    return (*steps, Step("delete", word=dice.choice(_PROPAGATIONS)))


def _change(version: int, dice: random.Random, *, is_served: bool) -> list[Step]:
    scale = Step("scale", dice.randint(0, _REPLICAS_MAX))
    update = Step("update", version)
    choices = [
        [scale],
        [update],
        [update, scale],
        [Step("roll back")],
        [Step("pause"), update, scale, *_pace(dice), Step("resume")],
    ]
    if is_served:
        choices.append([Step("retype", word=dice.choice(("ClusterIP", "NodePort")))])
    return dice.choice(choices)


def _pace(dice: random.Random) -> list[Step]:
    if dice.random() < _SETTLED:
        return [Step("settle")]
    return [Step("rest", dice.uniform(0, 2))]


def job(name: str, dice: random.Random) -> tuple[Step, ...]:
    """One of each kind of Job; most stay when they are over, to be counted."""
    spec, between = dice.choice(tuple(_jobs(dice)))
    steps = [Step("create", obj=manifests.job(name, dice, **spec)), *between]
    if dice.random() < _DELETED_JOBS:
        rest = Step("rest", dice.uniform(0, 4))
        return (*steps, rest, Step("delete", word=dice.choice(_PROPAGATIONS)))
    return (*steps, Step("settle"))


def _jobs(dice: random.Random) -> Iterator[tuple[dict[str, Any], list[Step]]]:
    """Specifications, with what is done to them while they run."""
    count, at_once = dice.randint(1, 4), dice.randint(1, 3)
    many = {"completions": count, "parallelism": at_once}
    indexed = {**many, "completionMode": "Indexed"}
    rest = Step("rest", dice.uniform(0, 2))
    suspended = [Step("suspend"), rest, Step("unsuspend")]
    yield many, []
    yield indexed, []
    yield {**indexed, "backoffLimitPerIndex": 5}, []
    yield {**many, "fails": True, "backoffLimit": dice.randint(0, 2)}, []
    yield {**many, "ttlSecondsAfterFinished": dice.randint(0, 3)}, []
    yield {**many, "suspend": True}, [rest, Step("unsuspend")]
    yield {**many, "completions": count + 2}, [rest, *suspended]
    yield {**indexed, "completions": count + 2}, [rest, *suspended]
    yield {**many, "completions": count + 2}, [rest, Step("parallelism", dice.randint(1, 4))]
