"""`cluster chaos`: everything of a running cluster is killed at random while its users go on.

What is to be killed when, and what users do, is decided by pure modules from one seed; what comes
of it is judged by `scripts/audit`, which shares nothing with us.
"""
