"""Troupe's own engine in several replicas: who they are, which has a conversation, and what happens
to an answer when one dies."""

from .members import Member
from .provider import EnginesProvider
from .registry import LocalRegistry, Registry

__all__ = ["EnginesProvider", "LocalRegistry", "Member", "Registry"]
