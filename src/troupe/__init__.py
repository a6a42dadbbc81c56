"""Troupe: an open, self-hosted platform for character chat."""

__version__ = "0.1.0"
