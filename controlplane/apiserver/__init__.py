"""The API server: Kubernetes' REST API over the store.

Handlers take an `Incoming` and return an `Answer` or a `Streaming`; only `http`, `connections` and
`delivery` know that there is a web framework.
"""
