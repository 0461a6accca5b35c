"""Keeps web pages of elsewhere out of a gateway that trusts its own machine.

A page may lead a browser to a name that resolves to 127.0.0.1 (then `Host` is that name), or make it send
a request across (then `Origin` is that page's).  A loopback name in both is somebody on this machine.
"""

import ipaddress
from urllib.parse import urlsplit

from cluster.core.errors import HearthError


class ForeignHost(HearthError):
    """The request came by way of a web page or a name that is not of this machine."""

    status = 403
    type = "invalid_request_error"
    code = "foreign_host"
    should_retry = False

    def __init__(self, header: str) -> None:
        super().__init__(header)
        self.header = header

    def __str__(self) -> str:
        return (
            f"The header {self.header} names another machine, and this gateway answers its own alone. "
            "Use http://127.0.0.1 or http://localhost."
        )


def check_local(host: str | None, origin: str | None) -> None:
    """Raises ForeignHost."""
    if host is not None and not _is_loopback(urlsplit(f"//{host}").hostname):
        raise ForeignHost("Host")
    if origin is not None and not _is_loopback(urlsplit(origin).hostname):
        raise ForeignHost("Origin")


def _is_loopback(name: str | None) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name or "").is_loopback
    except ValueError:
        return False
