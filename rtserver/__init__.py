"""rtserver: a standalone realtime server on Twisted."""

__version__ = "0.1.0"
