"""Network addresses of cameras as they may be shown: without the password that many of them carry."""

import re

_CREDENTIALS = re.compile(r"://[^/?#]*@")


def masked(address: str) -> str:
    """The address with user and password replaced by `***`; any other text unchanged."""
    return _CREDENTIALS.sub("://***@", address)
