"""Torture: real members, real faults, clients with recorded histories, and a verdict.

    python -m kvstore.testing torture --minutes 20
    python -m kvstore.testing torture --faults kill,pause --rounds 20

What belongs here: clients (`workload`), faults, the run that plays one on the other, and what is
said of it. How a machine is made to fail is the rigs' (`kvstore.testing.rigs`); what a history may
look like is the checkers'.
"""
