"""People who use the cluster: each wants one thing after the other, and tries until it is done.

In the end (`settle`) what everybody wants is sound: images that run, nothing paused or suspended,
every node in service.
"""

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Protocol, TypeVar

from controlplane.api.errors import ApiError
from controlplane.api.registry import Registry
from controlplane.api.resource import Object, Resource
from controlplane.simulation import templates
from controlplane.simulation.apiserver import ApiServer
from controlplane.simulation.ledger import is_going
from kvstore.seams import Clock

AGAIN_SECONDS = 0.7
PATIENCE_SECONDS = 20.0  # of an operator who drains a node
REPLICAS_MAX = 4
_PAUSE_SECONDS_MAX = 9.0
_BOUNDS: Sequence[tuple[int | str, int | str]] = (
    (1, 0),
    (2, 1),
    (0, 1),
    ("25%", "25%"),
    ("50%", 1),
)
"""maxSurge and maxUnavailable."""

T = TypeVar("T")


class Hands:
    """How users do things: again and again, whatever fails. `done`: what they did, counted."""

    def __init__(self, api: ApiServer, registry: Registry, clock: Clock, random: Random) -> None:
        self.api = api
        self.clock = clock
        self.random = random
        self.done: dict[str, int] = {}
        self._registry = registry

    def resource(self, group: str, plural: str) -> Resource:
        """A built-in one."""
        found = self._registry.storage(group, plural)
        assert found is not None, plural
        return found

    async def create(self, group: str, plural: str, obj: Object) -> None:
        """That it is there already is good: the answer was lost."""
        await self._insist(f"create {plural}", self.api.create, self.resource(group, plural), obj)

    async def update(
        self,
        group: str,
        plural: str,
        namespace: str,
        name: str,
        step: Callable[[Object], Object],
        what: str,
    ) -> None:
        """Of what is gone meanwhile: nothing."""
        resource = self.resource(group, plural)
        await self._insist(what, self.api.update, resource, namespace, name, step)

    async def set_spec(
        self, group: str, plural: str, namespace: str, name: str, what: str, **changed: Any
    ) -> None:
        """Some fields of a spec."""

        def step(old: Object) -> Object:
            return {**old, "spec": {**old["spec"], **changed}}

        await self.update(group, plural, namespace, name, step, what)

    async def delete(
        self, group: str, plural: str, namespace: str, name: str, policy: str = "Background"
    ) -> None:
        """That it is gone is good."""
        resource = self.resource(group, plural)
        what = f"delete {plural}"
        await self._insist(what, self.api.delete, resource, namespace, name, policy)

    async def pause(self, seconds_max: float = _PAUSE_SECONDS_MAX) -> None:
        """Until they want something else."""
        await self.clock.sleep(self.random.random() * seconds_max)

    async def _insist(self, what: str, act: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        while True:
            try:
                await act(*arguments)
            except ApiError as error:
                if error.code == 404 or error.reason == "AlreadyExists":
                    return
                if error.code not in (403, 409, 429, 500, 503, 504):
                    raise
            else:
                self.done[what] = self.done.get(what, 0) + 1
                return
            await self.clock.sleep(AGAIN_SECONDS * (1 + self.random.random()))


class User(Protocol):
    """One of them."""

    async def begin(self) -> None:
        """Make what is theirs."""

    async def act(self) -> None:
        """Want one thing more."""

    async def settle(self) -> None:
        """Want nothing more, and have everything sound."""


class Owner:
    """Of a Deployment with a Service and a budget."""

    def __init__(self, hands: Hands, namespace: str, name: str) -> None:
        self._hands = hands
        self._place = ("apps", "deployments", namespace, name)
        self._namespace = namespace
        self._name = name
        self._acts: dict[Callable[[], Awaitable[None]], int] = {
            self._scale: 5,
            self._roll_out: 6,
            self._break: 2,
            self._roll_back: 2,
            self._pause: 2,
            self._kill: 3,
            self._make_anew: 1,
            self._take_away_pods_owner: 1,
        }

    async def begin(self) -> None:
        """See `User`."""
        await self._make()
        hands, place = self._hands, (self._namespace, self._name)
        await hands.create("", "services", templates.service(*place))
        spec = hands.random.choice(({"minAvailable": 1}, {"maxUnavailable": 1}))
        await hands.create("policy", "poddisruptionbudgets", templates.budget(*place, spec))

    async def act(self) -> None:
        """See `User`."""
        (act,) = self._hands.random.choices(list(self._acts), list(self._acts.values()))
        await act()

    async def settle(self) -> None:
        """See `User`."""
        while not await self._stays_sound():
            await self._hands.pause()

    async def _stays_sound(self) -> bool:
        """Have it sound; False: what was there is only going yet, so that it must be made again."""
        await self._make()
        await self._hands.set_spec(*self._place, "resume", paused=False)
        found = await self._set_image(self._any(templates.GOOD_IMAGES), "settle")
        return found is not None and not is_going(found)

    def _any(self, found: Sequence[str]) -> str:
        return str(self._hands.random.choice(found))

    def _count(self) -> int:
        return self._hands.random.randrange(REPLICAS_MAX + 1)

    async def _make(self) -> None:
        surge, unavailable = self._hands.random.choice(_BOUNDS)
        rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
        strategy: dict[str, Any] = {"type": "RollingUpdate", "rollingUpdate": rolling}
        if self._hands.random.random() < 1 / 6:
            strategy = {"type": "Recreate"}
        made = templates.deployment(
            self._namespace,
            self._name,
            replicas=1 + self._hands.random.randrange(REPLICAS_MAX),
            image=self._any(templates.GOOD_IMAGES),
            strategy=strategy,
        )
        await self._hands.create("apps", "deployments", made)

    async def _scale(self) -> None:
        await self._hands.set_spec(*self._place, "scale", replicas=self._count())

    async def _roll_out(self) -> None:
        await self._set_image(self._any(templates.GOOD_IMAGES), "roll out")

    async def _break(self) -> None:
        await self._set_image(self._any(templates.BAD_IMAGES), "break")

    async def _roll_back(self) -> None:
        """As `kubectl rollout undo`: to the template of a ReplicaSet that is there."""
        sets = await self._listed("apps", "replicasets")
        if not sets:
            return
        chosen = self._hands.random.choice(sets)["spec"]["template"]
        labels = dict(chosen["metadata"]["labels"])
        labels.pop("pod-template-hash", None)
        template = {**chosen, "metadata": {**chosen["metadata"], "labels": labels}}
        await self._hands.set_spec(*self._place, "roll back", template=template)

    async def _pause(self) -> None:
        hands = self._hands
        await hands.set_spec(*self._place, "pause", paused=True)
        await self._roll_out()
        await hands.pause(4.0)
        await self._scale()
        await hands.pause(4.0)
        await hands.set_spec(*self._place, "resume", paused=False)

    async def _kill(self) -> None:
        pods = await self._listed("", "pods")
        if pods:
            name = str(self._hands.random.choice(pods)["metadata"]["name"])
            await self._hands.delete("", "pods", self._namespace, name)

    async def _make_anew(self) -> None:
        policy = self._any(("Background", "Foreground", "Orphan"))
        await self._hands.delete(*self._place, policy)
        await self._hands.pause(4.0)
        await self._make()

    async def _take_away_pods_owner(self) -> None:
        """A ReplicaSet goes; its Deployment makes another one."""
        sets = await self._listed("apps", "replicasets")
        if sets:
            name = str(self._hands.random.choice(sets)["metadata"]["name"])
            await self._hands.delete("apps", "replicasets", self._namespace, name)

    async def _set_image(self, image: str, what: str) -> Object | None:
        """The Deployment as it was; None: it is gone."""
        found: Object | None = None

        def step(old: Object) -> Object:
            nonlocal found
            found = old
            template = templates.template({"app": self._name}, image)
            return {**old, "spec": {**old["spec"], "template": template}}

        await self._hands.update(*self._place, step, what)
        return found

    async def _listed(self, group: str, plural: str) -> Sequence[Object]:
        """Objects of its own, as far as is known; none while the API server is away."""
        hands = self._hands
        try:
            found = await hands.api.list(hands.resource(group, plural), self._namespace)
        except ApiError:
            return ()
        return [
            one for one in found if (one["metadata"].get("labels") or {}).get("app") == self._name
        ]


class Scientist:
    """Of Jobs, one after the other, also under one name."""

    def __init__(self, hands: Hands, namespace: str, name: str, *, is_indexed: bool) -> None:
        self._hands = hands
        self._place = ("batch", "jobs", namespace, name)
        self._is_indexed = is_indexed

    async def begin(self) -> None:
        """See `User`."""
        _, _, namespace, name = self._place
        random = self._hands.random
        made = templates.job(
            namespace,
            name,
            completions=2 + random.randrange(4),
            parallelism=1 + random.randrange(3),
            is_indexed=self._is_indexed,
        )
        await self._hands.create("batch", "jobs", made)

    async def act(self) -> None:
        """See `User`."""
        hands, luck = self._hands, self._hands.random.random()
        if luck < 0.3:
            count = hands.random.randrange(4)
            await hands.set_spec(*self._place, "change parallelism", parallelism=count)
        elif luck < 0.5:
            await hands.set_spec(*self._place, "suspend", suspend=True)
            await hands.pause()
            await hands.set_spec(*self._place, "unsuspend", suspend=False)
        elif luck < 0.8:
            policy = str(hands.random.choice(("Background", "Foreground")))
            await hands.delete(*self._place, policy)
            await hands.pause(4.0)
            await self.begin()

    async def settle(self) -> None:
        """See `User`."""
        await self.begin()
        await self._hands.set_spec(*self._place, "unsuspend", suspend=False, parallelism=2)


class Tenant:
    """Makes a namespace full of things, and takes it away as a whole."""

    def __init__(self, hands: Hands, name: str) -> None:
        self._hands = hands
        self._name = name
        self._owner = Owner(hands, name, "web")
        self._scientist = Scientist(hands, name, "task", is_indexed=True)

    async def begin(self) -> None:
        """See `User`."""
        await self._hands.create("", "namespaces", {"metadata": {"name": self._name}})
        await self._owner.begin()
        await self._scientist.begin()

    async def act(self) -> None:
        """See `User`."""
        if self._hands.random.random() < 0.3:
            await self.settle()

    async def settle(self) -> None:
        """See `User`."""
        await self._hands.delete("", "namespaces", "", self._name)


class Operator:
    """Takes nodes out of service, and back."""

    def __init__(self, hands: Hands, nodes: Sequence[str], namespace: str) -> None:
        self._hands = hands
        self._nodes = nodes
        self._namespace = namespace

    async def begin(self) -> None:
        """See `User`."""

    async def act(self) -> None:
        """See `User`."""
        name, luck = str(self._hands.random.choice(self._nodes)), self._hands.random.random()
        if luck < 0.15:
            await self._hands.delete("", "nodes", "", name)
            return
        await self._cordon(name, is_cordoned=True)
        if luck < 0.8:
            await self._drain(name)
        await self._hands.pause()
        await self._cordon(name, is_cordoned=False)

    async def settle(self) -> None:
        """See `User`."""
        for name in self._nodes:
            await self._cordon(name, is_cordoned=False)

    async def _cordon(self, name: str, *, is_cordoned: bool) -> None:
        def step(old: Object) -> Object:
            spec = {**(old.get("spec") or {})}
            spec.pop("unschedulable", None)
            return {**old, "spec": {**spec, "unschedulable": True} if is_cordoned else spec}

        what = "cordon" if is_cordoned else "uncordon"
        await self._hands.update("", "nodes", "", name, step, what)

    async def _drain(self, name: str) -> None:
        """As kubectl: evict all, again where a budget refuses, until none is left or he tires."""
        hands, pods = self._hands, self._hands.resource("", "pods")
        deadline = hands.clock.now() + PATIENCE_SECONDS
        while hands.clock.now() < deadline:
            left = 0
            try:
                for pod in await hands.api.list(pods, self._namespace):
                    if pod["spec"].get("nodeName") == name:
                        left += 1
                        await self._evict(pods, str(pod["metadata"]["name"]))
            except ApiError as error:
                if error.code not in (404, 409, 500, 503, 504):
                    raise
                left += 1
            if not left:
                hands.done["drain"] = hands.done.get("drain", 0) + 1
                return
            await hands.clock.sleep(2.0)

    async def _evict(self, pods: Resource, name: str) -> None:
        try:
            await self._hands.api.evict(pods, self._namespace, name)
        except ApiError as error:
            if error.code != 429:
                raise
            self._hands.done["eviction refused"] = self._hands.done.get("eviction refused", 0) + 1
        else:
            self._hands.done["evict"] = self._hands.done.get("evict", 0) + 1
