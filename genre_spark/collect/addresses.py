"""Addresses that a link must not lead to: a list of links may point into our own network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

__all__ = ["AddressRules", "CheckedResolver", "InternalAddressError"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class InternalAddressError(Exception):
    """A link leads to an address that is not on the public internet."""


class AddressRules:
    """Which addresses may be asked: those of the public internet, and named networks."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = tuple(ipaddress.ip_network(network) for network in allowed)

    def permits(self, text: str) -> bool:
        """Tell whether an address (`203.0.113.5`, `fe80::1%eth0`) may be asked."""
        address = ipaddress.ip_address(text.partition("%")[0])
        return all(self._permits(each) for each in (address, *_embedded(address)))

    def _permits(self, address: Address) -> bool:
        if any(address in network for network in self._allowed):
            return True
        if isinstance(address, ipaddress.IPv6Address) and (
            address.ipv4_mapped is not None or address in _NAT64
        ):
            return True  # judged by the address inside it
        return address.is_global and not (
            address.is_multicast or address.is_reserved or address.is_unspecified
        )

    def check_host(self, host: str) -> None:
        """Check a link's host where it is an address itself; names are checked when they resolve.

        Raises:
            InternalAddressError: it is internal.
        """
        try:
            permitted = self.permits(host)
        except ValueError:
            return
        if not permitted:
            raise InternalAddressError(f"{host} is an internal address")


def _embedded(address: Address) -> list[Address]:
    """Return the IPv4 addresses that an IPv6 address stands for: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        inside.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in inside if each is not None]


class CheckedResolver(AbstractResolver):
    """Resolves a name to the permitted ones of its addresses; the connection goes to exactly these.

    A name that is checked first and resolved again later could lead elsewhere (DNS rebinding).
    """

    def __init__(self, rules: AddressRules, resolver: AbstractResolver | None = None) -> None:
        self._rules = rules
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the permitted addresses of a host.

        Raises:
            InternalAddressError: it has addresses, and none is permitted.
            OSError: it cannot be resolved.
        """
        found = await self._resolver.resolve(host, port, family)
        permitted = [each for each in found if self._rules.permits(each["host"])]
        if found and not permitted:
            raise InternalAddressError(f"{host} resolves to {found[0]['host']}, which is internal")
        return permitted

    async def close(self) -> None:
        """Release what the resolver holds."""
        await self._resolver.close()
