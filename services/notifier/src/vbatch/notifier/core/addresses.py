"""Which addresses may be connected to: only those of the open Internet, unless the operator allows others.

A user chooses a webhook's URL, and this machine can reach addresses that the user cannot.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

OWN_PORTS = frozenset({*range(4080, 4088), *range(4220, 4229), 4322, 4328, 4332, 4115, 4118})
"""The ports of this server's own programs, which never receive webhooks."""
NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
TEREDO_AND_6TO4 = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))
SHARED = IPv4Network("100.64.0.0/10")
"""The addresses behind the NAT of a provider (RFC 6598)."""
TEXT_CHARS_MAX = 64


def is_allowed(address: str, port: int, *, may_be_private: bool) -> bool:
    """Whether a connection to this literal address may be made."""
    try:
        found = ip_address(address.partition("%")[0][:TEXT_CHARS_MAX])
    except ValueError:
        return False
    if may_be_private:
        return not (_meant(found).is_loopback and port in OWN_PORTS)
    return is_public(found)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and any(address in network for network in (*NAT64, *TEREDO_AND_6TO4)):
        return False  # they lead to an IPv4 address that was not checked
    meant = _meant(address)
    if isinstance(meant, IPv4Address) and meant in SHARED:
        return False
    return meant.is_global and not (meant.is_multicast or meant.is_reserved or meant.is_unspecified)


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address inside an IPv4-mapped address; any other address unchanged."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
