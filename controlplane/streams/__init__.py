"""Protocols of streams between kubectl and a container: bytes in, frames out. PURE."""
