"""Makes the frozen structs of Kubernetes' types."""
