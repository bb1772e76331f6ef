"""Brings a cluster up and down on one machine, breaks it on purpose and shows it heal."""
