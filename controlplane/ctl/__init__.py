"""cpctl: a small kubectl, for machines that have none.

Words become options (`arguments`), options become requests (`reading`, `writing`, `deletion`), and
answers become lines (`output`, `description`, `errors`): those three are pure. Only `client` knows
how a server is reached.
"""
