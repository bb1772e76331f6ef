"""An etcd-compatible key-value store replicated by Raft.

Layers, lowest first: errors, pb, seams; commands, raft; mvcc, lease, storage; rpc_errors, apply;
server, client; testing and the command lines. `.importlinter` holds them to it.
"""
