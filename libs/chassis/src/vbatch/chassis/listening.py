"""What a service that listens may meet; apart from the servers, which are heavy to import."""


class PortTaken(Exception):
    """The port to listen on belongs to another process."""
