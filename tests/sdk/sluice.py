"""What the tests beside this file share: the URL of Sluice, the key, and a record of the answers."""

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


def _recorded(connection, *args):
    answer = _getresponse(connection, *args)
    reason = answer.headers.get("Sluice-Reason")
    _answers.append(f"{answer.status} {reason}" if reason else f"{answer.status}")
    return answer


http.client.HTTPConnection.getresponse = _recorded


def on_the_wire():
    """Returns the answers to clients of this process since the last call of this function, as `200` or `429 rate`."""
    answers = _answers.copy()
    _answers.clear()
    return answers
