"""What can keep the embedded run from starting; every message tells the reader what to do."""


class EmbeddedRunError(Exception):
    """The run cannot go on. The message is one line for the person at the terminal."""


class RefusedStartError(EmbeddedRunError):
    """The surroundings do not allow a start: a taken port, a second instance, a missing setting."""
