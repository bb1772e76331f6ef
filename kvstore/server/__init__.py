"""Drivers of one member: node loop, peers, RPC front, services, configuration."""
