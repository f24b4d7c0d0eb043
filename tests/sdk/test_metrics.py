"""Tests /metrics with prometheus-client, Prometheus' parser: what it reads is what the vendor saw."""

import collections
import json
import os
import time
import unittest
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families
from sluice import KEY, SLUICE

VENDOR = os.environ["SLUICE_GENERIC"]


def get(url, key=None):
    request = urllib.request.Request(url, headers={"Sluice-Key": key} if key else {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def families():
    status, headers, text = get(f"{SLUICE}/metrics", KEY)
    assert status == 200, text
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(family, **wanted):
    """Returns the samples with these labels: the values of the other labels, in order of name, and the sample's value."""
    return {
        tuple(value for name, value in sorted(sample.labels.items()) if name not in wanted): sample.value
        for sample in family.samples
        if all(sample.labels[name] == value for name, value in wanted.items())
    }


class Metrics(unittest.TestCase):
    def test_counters_equal_the_vendors_log(self):
        for path in ["echo", "echo", "status/404", "status/500", "status/404", "contacts/17"]:
            get(f"{SLUICE}/v/generic/{path}", KEY)
        for _ in range(4):
            get(f"{SLUICE}/v/generic-tight/echo", KEY)
        settled = time.monotonic() + 20
        while any(samples(families()["sluice_in_flight_calls"], connection=name)[()] for name in ("generic", "generic-tight")):
            assert time.monotonic() < settled, "not settled within 20 s"
        _, _, log = get(f"{VENDOR}/__control/log")
        calls = json.loads(log)["calls"]
        read = families()
        through = [samples(read["sluice_vendor_calls"], connection=name)[("sdk",)] for name in ("generic", "generic-tight")]
        self.assertEqual(sum(through), len(calls))
        codes = collections.Counter((str(call["status"]),) for call in calls if call["status"] >= 400)
        self.assertEqual(samples(read["sluice_vendor_errors"], connection="generic"), dict(codes))
        self.assertEqual(samples(read["sluice_refused"], connection="generic-tight")[("rate",)], 2)
        self.assertEqual(samples(read["sluice_limit_calls"], connection="generic-tight", limit="rate"), {("rolling_window",): 2})

    def test_every_family_has_its_type_and_help(self):
        read = families()
        self.assertEqual({family.type for family in read.values()}, {"counter", "gauge", "summary"})
        for family in read.values():
            self.assertTrue(family.documentation.endswith("."), family.name)
            names = {sample.name for sample in family.samples}
            suffixes = {"counter": ["_total"], "gauge": [""], "summary": ["_sum", "_count"]}[family.type]
            self.assertLessEqual(names, {family.name + suffix for suffix in suffixes})

    def test_needs_a_key(self):
        self.assertEqual(get(f"{SLUICE}/metrics")[0], 401)


if __name__ == "__main__":
    unittest.main()
