"""Judges a cluster from outside: `ps`, `/proc` and `etcdctl`, and nothing of ours.

The judges are pure: they are given what there is, and name what cannot be.
"""
