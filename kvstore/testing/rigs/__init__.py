"""Rigs: real faults for real processes. Networks, disks and clocks that can be made to fail.

Each needs root and a few programs of a plain Linux; `requirements.missing` says what lacks. Nothing
here knows what runs on it: a rig takes names, folders and process ids, and undoes on exit whatever
it did, also after an exception.
"""
