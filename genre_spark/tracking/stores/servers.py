"""A tracking server that may be down: how long it is waited for, and what is said meanwhile."""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException

from genre_spark.errors import InvalidConfigError, StageFailedError

__all__ = ["wait_for_server"]

logger = logging.getLogger("genre_spark")

_RETRIES, _REQUEST = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
_SAY_AFTER = 10.0  # seconds
_PAUSE = 1.0  # seconds between two tries
_LONGEST_TRY = 10  # seconds
_SERVER_ERROR = 500  # from here on a status may pass
_BACKOFF = 2.0  # of MLflow: it waits 2, 4, 8, ... seconds between its tries


def wait_for_server(uri: str, *, seconds: float, required: bool) -> bool:
    """Wait until a tracking server answers; MLflow's own requests wait no longer afterwards.

    Args:
        uri: address of the server, without credentials.
        seconds: longest wait.
        required: whether a server that does not answer is an error.

    Returns:
        False where it does not answer and is not required.

    Raises:
        InvalidConfigError: the server wants other credentials, or is none of MLflow's.
        StageFailedError: it does not answer, and is required.
    """
    _limit_retries(seconds)
    began, said = time.monotonic(), False
    while True:
        left = seconds - (time.monotonic() - began)
        problem = _ask(uri, longest=max(1, min(_LONGEST_TRY, math.ceil(left))))
        if problem is None:
            return True
        waited = time.monotonic() - began
        if waited + _PAUSE >= seconds:
            break
        if waited >= _SAY_AFTER and not said:
            said = True
            logger.info(
                "  waiting for MLflow at %s (%s); giving up after %.0f s (mlflow.timeout)",
                uri,
                problem,
                seconds,
            )
        time.sleep(_PAUSE)
    if required:
        raise StageFailedError(
            f"mlflow.tracking_uri: {uri} did not answer within {seconds:.0f} s ({problem}), "
            "expected an MLflow server; with mlflow.required=false stages go on without it"
        )
    logger.warning(
        "  MLflow at %s did not answer within %.0f s (%s): runs are kept in the work folder until "
        "`genre-spark sync` sends them",
        uri,
        seconds,
        problem,
    )
    return False


def _ask(uri: str, *, longest: int) -> str | None:
    """Return None where the server answers, else why it does not."""
    with _environment({_RETRIES: "0", _REQUEST: str(longest)}):
        try:
            MlflowClient(uri).search_experiments(max_results=1)
        except MlflowException as error:
            status = _status(error)
            if status in (401, 403):
                raise InvalidConfigError(
                    f"mlflow.tracking_uri: {uri} answered {status}, expected a user and password "
                    "that it knows (MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD)"
                ) from None
            if status is not None and status < _SERVER_ERROR:
                raise InvalidConfigError(
                    f"mlflow.tracking_uri: {uri} answered {status}, expected an MLflow server"
                ) from None
            return _cause(str(error)) if status is None else f"it answered {status}"
    return None


def _status(error: MlflowException) -> int | None:
    """Return the HTTP status that a server answered with, or None where it did not answer."""
    if isinstance(error, RestException):
        return int(error.get_http_status_code())
    found = re.search(r"failed with error code (\d{3})", str(error))
    return int(found.group(1)) if found else None


def _cause(text: str) -> str:
    """Return the reason in MLflow's long sentence about a request that failed."""
    known = {
        "Connection refused": "connection refused",
        "Name or service not known": "no such host",
        "Temporary failure in name resolution": "no such host",
        "timed out": "no answer",
        "timeout": "no answer",
    }
    return next(
        (words for part, words in known.items() if part in text), text.splitlines()[0][:200]
    )


def _limit_retries(seconds: float) -> None:
    """Let MLflow's own requests give up after about so many seconds, unless the user decided."""
    tries = max(1, math.floor(math.log2(seconds / _BACKOFF + 1)))
    os.environ.setdefault(_RETRIES, str(tries))
    os.environ.setdefault(_REQUEST, str(max(10, math.ceil(seconds))))


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
