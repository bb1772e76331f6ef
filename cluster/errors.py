"""Why a command cannot do what it says; a person reads the message."""


class LaunchError(Exception):
    """The cluster cannot be started as asked; the message says what to do."""


class HeldError(LaunchError):
    """A launcher holds the data folder."""


class NotRunningError(Exception):
    """No cluster runs in the data folder."""
