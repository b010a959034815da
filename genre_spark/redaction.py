"""The one place that keeps secrets out of everything that is printed, logged or stored.

A secret is a password or a key in a URL, a value under a name such as `fs.s3a.secret.key`, or an
environment variable with such a name. What has been seen once is masked wherever it turns up again,
for example in the message of another library's exception.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

__all__ = ["MASK", "RedactingFormatter", "redact", "redact_tree", "remember_secrets"]

MASK = "***"
_NAMES = re.compile(
    r"(?i)secret|passw|token(?!s)|credential|access[._-]?key|api[._-]?key|account[._-]?key|"
    r"private[._-]?key|\bsas\b"
)
# user:password@ or token@ of a URL; container@account of Azure's and user@host of HDFS's are none
_IN_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*)://([^/\s?#]*)@")
_IN_QUERY = re.compile(  # api_key=, X-Amz-Signature=, accessToken=; not viewStateShareKey=
    r"(?i)([?&;](?:(?:[\w-]*[_-])?(?:api)?(?:key|signature|credential)|\w*(?:token|secret|password)|"
    r"sig|sas)=)[^&\s\"'<>]+"
)
_NAMED_USERS = re.compile(r"(?i)abfss?|wasbs?|hdfs|viewfs")
_SHORTEST = 4  # characters; a shorter value would mask parts of other words
_SHORTEST_VARIABLE = 8
_seen: set[str] = set()


def remember_secrets(settings: Mapping[str, Any]) -> None:
    """Remember the secrets among settings and environment variables, to mask them from now on.

    Args:
        settings: nested settings; secrets are found by their names, and in URLs.
    """
    _collect(settings)
    for name, value in os.environ.items():
        if _NAMES.search(name) and len(value) >= _SHORTEST_VARIABLE:
            _remember(value)
        _collect(value)


def redact(text: str) -> str:
    """Return a text without the secrets that are known or stand in its URLs."""
    text = _IN_QUERY.sub(rf"\1{MASK}", _IN_URL.sub(_mask_user, text))
    for secret in sorted(_seen, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def redact_tree(value: Any) -> Any:
    """Return nested mappings and lists with every secret masked, those under telling names too."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {
            redact(key) if isinstance(key, str) else key: (
                MASK if _is_secret(key, inner) else redact_tree(inner)
            )
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)([redact_tree(inner) for inner in value])
    return value


class RedactingFormatter(logging.Formatter):
    """Formats records of any logger, with tracebacks, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return redact(super().format(record))


def _is_secret(name: object, value: object) -> bool:
    return isinstance(value, str) and bool(value) and bool(_NAMES.search(str(name)))


def _collect(value: Any) -> None:
    if isinstance(value, str):
        for scheme, user in _IN_URL.findall(value):
            _remember_user(scheme, user)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if _is_secret(name, inner) and len(inner) >= _SHORTEST:
                _remember(inner)
            _collect(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _collect(inner)


def _remember_user(scheme: str, user: str) -> None:
    name, colon, password = user.partition(":")
    if not colon and _NAMED_USERS.fullmatch(scheme):
        return
    secret = password if colon else name
    if len(secret) >= _SHORTEST:
        _remember(secret)
        _remember(unquote(secret))


def _remember(secret: str) -> None:
    """Remember a secret as it is, and as it looks in a URL and in JSON or a repr."""
    in_json = (json.dumps(secret, ensure_ascii=escape)[1:-1] for escape in (False, True))
    _seen.update((secret, quote(secret, safe=""), quote(secret), repr(secret)[1:-1], *in_json))


def _mask_user(match: re.Match[str]) -> str:
    scheme, user = match.groups()
    if ":" not in user and _NAMED_USERS.fullmatch(scheme):
        return match.group()
    return f"{scheme}://{MASK}@"
