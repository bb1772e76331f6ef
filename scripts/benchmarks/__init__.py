"""Benchmarks: the load generator with its own client, and the comparison with real etcd."""
