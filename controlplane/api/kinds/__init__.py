"""Built-in kinds: `<name>.toml` is a kind, `<name>.py` its strategy where it needs one.

The format is told by `registry.load_kind`. Shared tables are in `shared/`.
"""
