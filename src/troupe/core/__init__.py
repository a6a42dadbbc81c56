"""Accounts, characters, personas, cards, admin: the Django side of the platform."""
