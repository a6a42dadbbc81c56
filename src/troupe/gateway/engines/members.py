"""A replica of the engine as an operator names it: an address, a weight, whether it is leaving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from troupe.gateway.errors import ProviderUnavailable
from troupe.gateway.rendezvous import MAX_WEIGHT

MAX_MEMBERS = 256
MAX_URL = 512  # characters


@dataclass(frozen=True, slots=True)
class Member:
    """One replica. `draining`: it gets no new answers, and finishes those it has begun."""

    url: str
    weight: float = 1.0
    draining: bool = False

    def __post_init__(self) -> None:
        """Raises `ProviderUnavailable` if this can be no replica."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.netloc or len(self.url) > MAX_URL:
            raise ProviderUnavailable(f"{self.url[:MAX_URL]!r} is no http or https address")
        if not 0.0 < self.weight <= MAX_WEIGHT:
            raise ProviderUnavailable(
                f"{self.url}: the weight is {self.weight}, and must be above 0, {MAX_WEIGHT:g} at "
                "most"
            )

    @property
    def name(self) -> str:
        """What people and metrics call it: host and port."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


def parse(addresses: Sequence[str]) -> list[Member]:
    """Members from `http://host:port` or `http://host:port;weight=2`, in the order given.

    Raises `ProviderUnavailable` for an address that is none, is named twice, or one too many.
    """
    members = [_parse(address) for address in addresses]
    if len(members) > MAX_MEMBERS:
        raise ProviderUnavailable(f"{len(members)} engines are named; {MAX_MEMBERS} is the most")
    for at, member in enumerate(members):
        if any(member.url == other.url for other in members[:at]):
            raise ProviderUnavailable(f"the engine {member.url} is named twice")
    return members


def _parse(address: str) -> Member:
    url, *options = (part.strip() for part in address.split(";"))
    weight = 1.0
    for option in options:
        name, _, value = option.partition("=")
        try:
            if name.strip() != "weight":
                raise ValueError
            weight = float(value)
        except ValueError as error:
            raise ProviderUnavailable(
                f"{address!r}: {option!r} is no option of an engine's address; there is `weight=N`"
            ) from error
    return Member(url.rstrip("/"), weight)
