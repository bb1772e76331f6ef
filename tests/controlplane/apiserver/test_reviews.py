"""Questions that are posted: who is this, and may it do that (kube-behaviour 11.2, 11.3)."""

from typing import Any

import pytest

from controlplane.api.errors import ApiError
from controlplane.apiserver.reviews import Reviews
from controlplane.apiserver.users import User
from tests.controlplane.apiserver.asked import ALICE, MASTER, body_of, posted, resource
from tests.controlplane.apiserver.policies import Kept, bound, cluster_role, rule
from tests.controlplane.apiserver.test_authentication import TOKENS, authenticator
from tests.controlplane.test_tokens import issued

AUTHZ, AUTHN = "authorization.k8s.io", "authentication.k8s.io"
SELF = resource("selfsubjectaccessreviews", AUTHZ)
SUBJECT = resource("subjectaccessreviews", AUTHZ)
LOCAL = resource("localsubjectaccessreviews", AUTHZ)
RULES = resource("selfsubjectrulesreviews", AUTHZ)
TOKEN = resource("tokenreviews", AUTHN)
WHO = resource("selfsubjectreviews", AUTHN)
READ = {"verb": "get", "resource": "pods", "namespace": "shop"}


def reviews() -> Reviews:
    own = cluster_role("own", rule("get list", "pods"))
    paths = cluster_role("paths", {"verbs": ["get"], "nonResourceURLs": ["/metrics"]})
    kept = Kept(own, paths, bound("own", "alice", "shop"), bound("paths", "alice"))
    return Reviews(authenticator(), kept.authorizer)


async def status(asked: Any) -> Any:
    return body_of(await asked)["status"]


async def test_may_i() -> None:
    async def allowed(attributes: object, user: User = ALICE) -> bool:
        spec = {"resourceAttributes": attributes}
        found = await status(reviews().self_subject_access(posted(SELF, spec, user)))
        return bool(found["allowed"])

    assert await allowed(READ)
    assert not await allowed({**READ, "namespace": "bank"})
    assert not await allowed({**READ, "verb": "delete"})
    assert not await allowed({**READ, "subresource": "log"})
    assert not await allowed({"verb": "get", "resource": "pods"})  # in all namespaces
    assert await allowed({"verb": "*", "group": "*", "resource": "*"}, MASTER)


async def test_the_answer_is_created_and_holds_the_question() -> None:
    spec = {"resourceAttributes": READ}
    answer = await reviews().self_subject_access(posted(SELF, spec))
    assert getattr(answer, "code", 0) == 201
    found = body_of(answer)
    assert (found["kind"], found["apiVersion"]) == ("SelfSubjectAccessReview", f"{AUTHZ}/v1")
    assert found["spec"] == spec


async def test_may_i_see_a_path() -> None:
    async def allowed(path: str) -> bool:
        spec = {"nonResourceAttributes": {"verb": "get", "path": path}}
        found = await status(reviews().self_subject_access(posted(SELF, spec)))
        return bool(found["allowed"])

    assert await allowed("/metrics")
    assert not await allowed("/logs")


PATH = {"verb": "get", "path": "/"}


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        (
            {},
            (
                'spec.resourceAttributes: Invalid value: "null": exactly one of'
                " nonResourceAttributes or resourceAttributes must be specified"
            ),
        ),
        (
            {"resourceAttributes": READ, "nonResourceAttributes": PATH},
            (
                'spec.nonResourceAttributes: Invalid value: {"path":"/","verb":"get"}: cannot be'
                " specified in combination with resourceAttributes"
            ),
        ),
    ],
)
async def test_a_question_is_about_a_resource_or_a_path(spec: object, cause: str) -> None:
    with pytest.raises(ApiError) as caught:
        await reviews().self_subject_access(posted(SELF, spec))
    assert (caught.value.code, told(caught.value)) == (422, [cause])


def told(error: ApiError) -> list[str]:
    return [f"{cause.field}: {cause.message}" for cause in error.causes]


async def test_may_this_one() -> None:
    found = await status(
        reviews().subject_access(posted(SUBJECT, {"user": "alice", "resourceAttributes": READ}))
    )
    assert found["allowed"]
    found = await status(
        reviews().subject_access(posted(SUBJECT, {"groups": ["x"], "resourceAttributes": READ}))
    )
    assert not found["allowed"]
    with pytest.raises(ApiError, match="at least one of user or group must be specified"):
        await reviews().subject_access(posted(SUBJECT, {"resourceAttributes": READ}))


async def test_a_local_question_is_about_its_namespace() -> None:
    asked = {"user": "alice", "resourceAttributes": READ}
    found = await status(reviews().local_subject_access(posted(LOCAL, asked, namespace="shop")))
    assert found["allowed"]
    with pytest.raises(ApiError) as caught:
        await reviews().local_subject_access(posted(LOCAL, asked, namespace="bank"))
    assert told(caught.value) == [
        'spec.resourceAttributes.namespace: Invalid value: "shop": must match metadata.namespace'
    ]


async def test_a_local_question_is_about_no_path() -> None:
    asked: dict[str, object] = {"nonResourceAttributes": {}}
    with pytest.raises(ApiError) as caught:
        await reviews().local_subject_access(posted(LOCAL, asked, namespace="bank"))
    assert told(caught.value) == [
        'spec.user: Invalid value: "": at least one of user or group must be specified',
        "spec.nonResourceAttributes: Invalid value: {}: disallowed on this kind of request",
    ]


async def test_what_may_i() -> None:
    found = await status(reviews().self_subject_rules(posted(RULES, {"namespace": "shop"})))
    assert found["resourceRules"] == [
        {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}
    ]
    assert found["nonResourceRules"] == [{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}]
    assert found["incomplete"] is False
    other = await status(reviews().self_subject_rules(posted(RULES, {"namespace": "bank"})))
    assert other["resourceRules"] == []
    with pytest.raises(ApiError, match="no namespace on request"):
        await reviews().self_subject_rules(posted(RULES, {}))


async def test_masters_may_everything() -> None:
    spec = {"namespace": "shop"}
    found = await status(reviews().self_subject_rules(posted(RULES, spec, MASTER)))
    assert {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]} in found["resourceRules"]
    assert {"verbs": ["*"], "nonResourceURLs": ["*"]} in found["nonResourceRules"]


async def test_who_am_i() -> None:
    found = await status(reviews().self_subject(posted(WHO, {})))
    assert found == {"userInfo": {"username": "alice", "groups": list(ALICE.groups)}}


async def token_status(**spec: object) -> Any:
    return await status(reviews().token(posted(TOKEN, spec)))


async def test_whose_token_is_this() -> None:
    found = await token_status(token=issued(TOKENS))
    assert found["authenticated"] is True
    assert found["user"]["username"] == "system:serviceaccount:shop:robot"
    assert found["user"]["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:shop",
        "system:authenticated",
    ]
    assert found["audiences"] == ["api"]


async def test_a_token_is_for_those_of_the_audiences_that_it_names() -> None:
    token = issued(TOKENS, audiences=("vault",))
    found = await token_status(token=token, audiences=["bank", "vault"])
    assert found["audiences"] == ["vault"]
    assert "authenticated" not in await token_status(token=token, audiences=["bank"])
    assert "authenticated" not in await token_status(token=token)


async def test_a_token_that_proves_nothing_is_told_so() -> None:
    found = await token_status(token="x")
    assert found == {"user": {}, "error": "invalid bearer token"}
    with pytest.raises(ApiError, match="token is required"):
        await token_status(token="")
