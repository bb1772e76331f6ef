"""A Kubernetes-like control plane: processes that reconcile desired state kept in the store."""
