"""Jobs and CronJobs. Numbers are those of kube-behaviour."""

from typing import Any

import pytest

from controlplane.api.kinds import cronjob
from tests.controlplane.api.kinds.served import (
    POD_SPEC,
    columns,
    created,
    defaulted,
    faults,
    resource,
    row,
    update_faults,
    with_fields,
)

JOB_SPEC = {"template": {"spec": POD_SPEC | {"restartPolicy": "Never"}}}
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "a", "uid": "1-2"},
    "spec": JOB_SPEC,
}
CRON_JOB = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "a"},
    "spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": JOB_SPEC}},
}


def test_defaults_of_a_job() -> None:
    # 4.11
    spec = defaulted(JOB)["spec"]
    del spec["template"]
    assert spec == {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "suspend": False,
        "podReplacementPolicy": "TerminatingOrFailed",
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"spec__parallelism": 3}, {"parallelism": 3, "completions": None}),
        ({"spec__completions": 3}, {"parallelism": 1, "completions": 3}),
        ({"spec__backoffLimitPerIndex": 1}, {"backoffLimit": 2147483647}),
        ({"spec__podFailurePolicy": {"rules": []}}, {"podReplacementPolicy": "Failed"}),
    ],
)
def test_a_jobs_defaults_depend_on_each_other(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    # 4.11, 4.12, 4.13
    spec = defaulted(with_fields(JOB, **fields))["spec"]
    assert {field: spec.get(field) for field in expected} == expected


def test_a_job_has_the_labels_of_its_template() -> None:
    job = with_fields(JOB, spec__template__metadata__labels={"app": "x"})
    assert defaulted(job)["metadata"]["labels"] == {"app": "x"}
    own = with_fields(job, metadata__labels={"a": "b"})
    assert defaulted(own)["metadata"]["labels"] == {"a": "b"}


def test_the_server_makes_a_jobs_selector() -> None:
    # 4.11
    spec = created(JOB)["spec"]
    assert spec["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "1-2"}}
    assert spec["template"]["metadata"]["labels"] == {
        "batch.kubernetes.io/controller-uid": "1-2",
        "batch.kubernetes.io/job-name": "a",
        "controller-uid": "1-2",
        "job-name": "a",
    }
    assert faults(JOB) == []


def test_who_insists_on_a_selector_must_have_one_that_fits() -> None:
    # 4.11
    job = with_fields(JOB, spec__manualSelector=True)
    assert faults(job) == ["spec.selector: Required value"]
    job = with_fields(job, spec__selector={"matchLabels": {"a": "b"}})
    assert faults(job) == [
        (
            "spec.template.metadata.labels: Invalid value: map[string]string(nil): "
            "`selector` does not match template `labels`"
        )
    ]


RULE = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"spec__template__spec__restartPolicy": None},
            [
                (
                    "spec.template.spec.restartPolicy: Required value: "
                    'valid values: "OnFailure", "Never"'
                )
            ],
        ),
        (
            {"spec__template__spec__restartPolicy": "Always"},
            [
                (
                    "spec.template.spec.restartPolicy: Required value: "
                    'valid values: "OnFailure", "Never"'
                )
            ],
        ),
        (
            {"spec__parallelism": -1, "spec__backoffLimit": -2},
            [
                "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
                "spec.backoffLimit: Invalid value: -2: must be greater than or equal to 0",
            ],
        ),
        (
            {"spec__completionMode": "Indexed", "spec__parallelism": 2},
            ["spec.completions: Required value: when completion mode is Indexed"],
        ),
        (
            {
                "spec__completionMode": "Indexed",
                "spec__completions": 1,
                "spec__parallelism": 100_001,
            },
            [
                (
                    "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 "
                    "when completion mode is Indexed"
                )
            ],
        ),
        (
            {"spec__backoffLimitPerIndex": 1},
            ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
        ),
        (
            {
                "spec__podFailurePolicy": {"rules": [RULE]},
                "spec__template__spec__restartPolicy": "OnFailure",
            },
            [
                (
                    'spec.template.spec.restartPolicy: Invalid value: "OnFailure": '
                    'only "Never" is supported when podFailurePolicy is specified'
                )
            ],
        ),
        (
            {"spec__podFailurePolicy": {"rules": [RULE | {"action": "Panic"}]}},
            [
                (
                    "spec.podFailurePolicy.rules[0].action: "
                    'Unsupported value: "Panic": '
                    'supported values: "Count", "FailIndex", "FailJob", "Ignore"'
                )
            ],
        ),
        (
            {"spec__completionMode": "Some"},
            [
                (
                    'spec.completionMode: Unsupported value: "Some": '
                    'supported values: "Indexed", "NonIndexed"'
                )
            ],
        ),
    ],
)
def test_a_wrong_job(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 4.11 to 4.13
    assert faults(with_fields(JOB, **fields)) == expected


MADE = created(JOB)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"spec__parallelism": 3}, []),
        ({"spec__suspend": True}, []),
        (
            {"spec__completions": 3},
            ["spec.completions: Invalid value: 3: field is immutable"],
        ),
        (
            {"spec__completionMode": "Indexed"},
            ['spec.completionMode: Invalid value: "Indexed": field is immutable'],
        ),
    ],
)
def test_what_may_change_of_a_job(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19
    assert update_faults(with_fields(MADE, **fields), MADE) == expected


def test_a_jobs_template_is_settled() -> None:
    # 2.19
    new = with_fields(MADE, spec__template__spec__nodeSelector={"a": "b"})
    (fault,) = update_faults(new, MADE)
    assert fault.startswith("spec.template: Invalid value: {")
    assert fault.endswith("}: field is immutable")


def test_a_queue_may_place_a_job_that_has_not_started() -> None:
    # 4.13
    old = with_fields(JOB, spec__suspend=True)
    new = with_fields(created(old), spec__template__spec__nodeSelector={"a": "b"})
    assert update_faults(new, old) == []
    other = with_fields(created(old), spec__template__spec__containers__0__image="x")
    assert len(update_faults(other, old)) == 1


def test_an_indexed_job_may_grow() -> None:
    # 4.12
    old = with_fields(JOB, spec__completionMode="Indexed", spec__completions=2, spec__parallelism=2)
    new = with_fields(created(old), spec__completions=3, spec__parallelism=3)
    assert update_faults(new, old) == []


def test_kubectl_prints_these_columns() -> None:
    # 1.2
    wide = ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert columns(JOB) == (["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"], wide)
    assert columns(CRON_JOB) == (
        ["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "AGE"],
        wide,
    )


def conditions(*types: str) -> list[dict[str, str]]:
    return [{"type": one, "status": "True"} for one in types]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": {"startTime": "2023-11-14T22:12:20Z"}}, ("Running", "0/1", "60s")),
        (
            {
                "spec__completions": 3,
                "status": {
                    "startTime": "2023-11-14T22:00:00Z",
                    "completionTime": "2023-11-14T22:05:30Z",
                    "succeeded": 3,
                    "conditions": conditions("SuccessCriteriaMet", "Complete"),
                },
            },
            ("Complete", "3/3", "5m30s"),
        ),
        ({"status": {"conditions": conditions("Failed")}}, ("Failed", "0/1", "")),
        ({"status": {"conditions": conditions("Suspended")}}, ("Suspended", "0/1", "")),
        (
            {"spec__parallelism": 4, "status": {"succeeded": 1}},
            ("Running", "1/1 of 4", ""),
        ),
    ],
)
def test_a_jobs_row(fields: dict[str, Any], expected: tuple[str, ...]) -> None:
    # 1.2
    found = row(with_fields(created(with_fields(JOB, **fields)), **fields))
    assert (found["Status"], found["Completions"], found["Duration"]) == expected


def test_defaults_of_a_cron_job() -> None:
    # 4.14
    spec = defaulted(CRON_JOB)["spec"]
    job = spec.pop("jobTemplate")["spec"]
    assert spec == {
        "schedule": "*/5 * * * *",
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    }
    # Its jobs get a job's defaults when they are made.
    assert list(job) == ["template"]
    assert job["template"]["spec"]["terminationGracePeriodSeconds"] == 30
    assert job["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert faults(CRON_JOB) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"spec__schedule": ""}, ["spec.schedule: Required value"]),
        ({"spec__schedule": "@every 1h30m"}, []),
        (
            {"spec__schedule": "* * * *"},
            [
                (
                    'spec.schedule: Invalid value: "* * * *": '
                    "expected exactly 5 fields, found 4: [* * * *]"
                )
            ],
        ),
        (
            {"spec__schedule": "TZ=UTC 0 * * * *"},
            [
                (
                    'spec.schedule: Invalid value: "TZ=UTC 0 * * * *": '
                    "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
                )
            ],
        ),
        (
            {"spec__timeZone": "Local"},
            [
                (
                    'spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone '
                    "as defined in https://www.iana.org/time-zones"
                )
            ],
        ),
        ({"spec__timeZone": "Europe/Berlin"}, []),
        (
            {"spec__concurrencyPolicy": "Queue"},
            [
                (
                    'spec.concurrencyPolicy: Unsupported value: "Queue": '
                    'supported values: "Allow", "Forbid", "Replace"'
                )
            ],
        ),
        (
            {"metadata__name": "a" * 53},
            [(f'metadata.name: Invalid value: "{"a" * 53}": must be no more than 52 characters')],
        ),
        (
            {"spec__jobTemplate__spec__selector": {"matchLabels": {"a": "b"}}},
            [
                (
                    "spec.jobTemplate.spec.selector: Invalid value: "
                    '{"matchLabels":{"a":"b"}}: `selector` will be auto-generated'
                )
            ],
        ),
        (
            {"spec__jobTemplate__spec__template__spec__restartPolicy": "Always"},
            [
                (
                    "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: "
                    'valid values: "OnFailure", "Never"'
                )
            ],
        ),
    ],
)
def test_a_wrong_cron_job(fields: dict[str, Any], expected: list[str]) -> None:
    # 2.19, 4.14
    assert faults(with_fields(CRON_JOB, **fields)) == expected


def zone_faults(zone: str | None, old: str | None = None, *, is_new: bool = True) -> list[str]:
    strategy = resource(CRON_JOB).strategy
    assert strategy.validate_create is not None
    assert strategy.validate_update is not None
    told = created(with_fields(CRON_JOB, spec__timeZone=zone))
    was = created(with_fields(CRON_JOB, spec__timeZone=old))
    causes = strategy.validate_create(told) if is_new else strategy.validate_update(told, was)
    return [f"{cause.field}: {cause.message}" for cause in causes]


def test_a_time_zone_is_one_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # 4.14
    monkeypatch.setattr(cronjob, "_zones", lambda: {"Europe/Berlin"})
    wrong = ['spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base']
    assert zone_faults(None) == []
    assert zone_faults("Europe/Berlin") == []
    assert zone_faults("Mars/Base") == wrong
    assert zone_faults("Mars/Base", "Europe/Berlin", is_new=False) == wrong
    # Zones go away; whoever has one can still change all the rest.
    assert zone_faults("Mars/Base", "Mars/Base", is_new=False) == []
    # What is no zone by its form is told once.
    assert zone_faults("Local") == []


def test_a_time_zone_may_be_any_where_no_database_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 4.14
    monkeypatch.setattr(cronjob, "_zones", frozenset)
    assert zone_faults("Mars/Base") == []


def test_a_cron_jobs_row() -> None:
    # 1.2
    found = row(
        with_fields(
            defaulted(CRON_JOB),
            status={"active": [{"name": "x"}], "lastScheduleTime": "2023-11-14T22:10:20Z"},
        )
    )
    assert {key: found[key] for key in list(found)[1:6]} == {
        "Schedule": "*/5 * * * *",
        "Timezone": "<none>",
        "Suspend": "False",
        "Active": 1,
        "Last Schedule": "3m",
    }
    assert (found["Images"], found["Selector"]) == ("nginx:1.27", "<none>")
