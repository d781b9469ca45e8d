"""An event that can be read but cannot be true."""


class ImpossibleEvent(Exception):
    """The text says what does not fit; the event becomes a dead letter and changes nothing."""
