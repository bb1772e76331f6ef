"""Controllers: each keeps one kind of thing as it should be. A module is a pure `plan`, a
`reconcile` that reads, plans and writes, and `controller`, which says for whom it is called.

They know the store through `ObjectStore` only, and each other not at all. One more is one more
module, and a line here.
"""

from collections.abc import Callable, Sequence

from controlplane.controller import Controller
from controlplane.controllers import (
    claim_protection,
    clusterrole_aggregation,
    custom_resource_cleanup,
    custom_resource_names,
    deployments,
    disruption_budgets,
    endpoint_slice_mirroring,
    endpoint_slices,
    endpoints,
    finished_jobs,
    garbage_collector,
    jobs,
    namespaces,
    node_addresses,
    node_lifecycle,
    replicasets,
    resource_quota,
    root_ca,
    service_accounts,
    stale_disruptions,
    taint_eviction,
    terminated_pods,
    token_secrets,
    volume_protection,
)
from controlplane.controllers.context import Context

CONTROLLERS: Sequence[Callable[[Context], Controller]] = (
    claim_protection.controller,
    clusterrole_aggregation.controller,
    custom_resource_cleanup.controller,
    custom_resource_names.controller,
    deployments.controller,
    disruption_budgets.controller,
    finished_jobs.controller,
    endpoint_slice_mirroring.controller,
    endpoint_slices.controller,
    endpoints.controller,
    garbage_collector.controller,
    jobs.controller,
    namespaces.controller,
    replicasets.controller,
    replicasets.replication_controller,
    resource_quota.controller,
    root_ca.controller,
    service_accounts.controller,
    stale_disruptions.controller,
    terminated_pods.controller,
    node_addresses.controller,
    node_lifecycle.controller,
    taint_eviction.controller,
    token_secrets.controller,
    volume_protection.controller,
)
"""All that `controlplane controllers` runs."""
