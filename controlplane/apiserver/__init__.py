"""The API server: Kubernetes' REST API over the store.

Handlers take an `Incoming` and return an `Answer` or a `Streaming`; only `http` knows that there
is a web framework.
"""
