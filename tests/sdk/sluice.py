"""What the tests beside this file share: where Sluice is, the key, and what came over the wire."""

import http.client
import os
import sys

try:
    SLUICE = os.environ["SLUICE_URL"]
    KEY = os.environ["SLUICE_KEY"]
    HOSTS = os.environ["SLUICE_HOSTS"]
except KeyError as missing:
    sys.exit(f"{missing} is not set: run npm test -- sdk")

_answers = []
_getresponse = http.client.HTTPConnection.getresponse


def _noted(connection, *args):
    answer = _getresponse(connection, *args)
    reason = answer.headers.get("Sluice-Reason")
    _answers.append(f"{answer.status} {reason}" if reason else f"{answer.status}")
    return answer


http.client.HTTPConnection.getresponse = _noted


def on_the_wire():
    """Every answer that a client of this process was given since the last time, as `200` or `429 rate`."""
    answers = _answers.copy()
    _answers.clear()
    return answers
