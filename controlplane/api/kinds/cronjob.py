"""CronJobs: a schedule, and the jobs that it starts. PURE.

Source: Kubernetes' API reference of CronJob; kube-behaviour 4.14.
"""

import re
from collections.abc import Iterator
from functools import cache
from zoneinfo import available_timezones

from controlplane.api import cells, cron
from controlplane.api.causes import invalid, required
from controlplane.api.cells import NONE, UNSET, at
from controlplane.api.checks import one_of
from controlplane.api.errors import Cause
from controlplane.api.jobs import validate_generated_selector, validate_job_spec
from controlplane.api.resource import Object, Strategy
from controlplane.api.templates import (
    default_template,
    prepare_create,
    prepare_update,
    validate_counts,
)

_CONCURRENCY = frozenset(("Allow", "Forbid", "Replace"))
_COUNTS = ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
_NAME_MAX = 52
"""A job's name is its own and eleven more characters, and is to be a label."""
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
_TEMPLATE = ("spec", "jobTemplate", "spec", "template")


def _default(cron_job: Object) -> Object:
    return default_template(cron_job, *_TEMPLATE)


def _validate(cron_job: Object) -> list[Cause]:
    spec: Object = cron_job.get("spec") or {}
    job: Object = (spec.get("jobTemplate") or {}).get("spec") or {}
    path = "spec.jobTemplate.spec"
    return [
        *_name(at(cron_job, "metadata", "name") or ""),
        *_schedule(spec),
        *_zone(spec.get("timeZone")),
        *one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), _CONCURRENCY),
        *validate_counts(spec, "spec", *_COUNTS),
        *validate_generated_selector(job, path),
        *validate_job_spec(job, path),
    ]


def _name(name: str) -> Iterator[Cause]:
    if len(name) > _NAME_MAX:
        yield invalid("metadata.name", name, f"must be no more than {_NAME_MAX} characters")


def _schedule(spec: Object) -> Iterator[Cause]:
    text: str = spec.get("schedule") or ""
    if not text:
        yield required("spec.schedule")
        return
    if "TZ" in text:
        why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        yield invalid("spec.schedule", text, why)
        return
    try:
        cron.parse(text)
    except ValueError as error:
        yield invalid("spec.schedule", text, str(error))


def _zone(zone: str | None) -> Iterator[Cause]:
    """Its form; whether there is such a zone is asked where it is new: zones may go away."""
    if zone is None:
        return
    if not zone:
        yield invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string")
    elif zone.lower() == "local":
        why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        yield invalid("spec.timeZone", zone, why)
    elif _ZONE.fullmatch(zone) is None:
        yield invalid("spec.timeZone", zone, f"unknown time zone {zone}")


def _validate_create(cron_job: Object) -> list[Cause]:
    zone = at(cron_job, "spec", "timeZone")
    known = _zones()
    # No zone at all: no database is installed, and nobody knows.
    if zone is None or zone in known or not known or any(_zone(zone)):
        return []
    return [invalid("spec.timeZone", zone, f"unknown time zone {zone}")]


def _validate_update(new: Object, old: Object) -> list[Cause]:
    is_kept = at(new, "spec", "timeZone") == at(old, "spec", "timeZone")
    return [] if is_kept else _validate_create(new)


@cache
def _zones() -> frozenset[str]:
    """Of the machine's database, read with the first question."""
    return frozenset(available_timezones())


def _suspend(cron_job: Object, now: float) -> str:
    suspend = at(cron_job, "spec", "suspend")
    return UNSET if suspend is None else str(bool(suspend))


def _active(cron_job: Object, now: float) -> int:
    return len(at(cron_job, "status", "active") or ())


def _last_schedule(cron_job: Object, now: float) -> str:
    return cells.since(at(cron_job, "status", "lastScheduleTime"), now, NONE)


def _selector(cron_job: Object, now: float) -> str:
    return cells.selector(at(cron_job, "spec", "jobTemplate", "spec", "selector"))


STRATEGY = Strategy(
    default=_default,
    prepare_create=prepare_create(*_TEMPLATE),
    prepare_update=prepare_update(*_TEMPLATE),
    validate=_validate,
    validate_create=_validate_create,
    validate_update=_validate_update,
    cells={
        **cells.workload(*_TEMPLATE, "spec"),
        "timezone": cells.text("spec", "timeZone", otherwise=NONE),
        "suspend": _suspend,
        "active": _active,
        "last_schedule": _last_schedule,
        "selector": _selector,
    },
)
