"""Tests google-analytics-data, Google's client, over its REST transport, and ga4mp for the Measurement Protocol."""

import unittest
import urllib.error

from ga4mp import GtagMP
from google.analytics.data_v1beta import BetaAnalyticsDataClient
from google.analytics.data_v1beta.types import Metric, RunReportRequest
from google.api_core.exceptions import TooManyRequests
from google.api_core.retry import Retry
from google.oauth2.credentials import Credentials
from sluice import KEY, SLUICE, on_the_wire


def reports(connection):
    return BetaAnalyticsDataClient(
        credentials=Credentials(token=KEY),
        transport="rest",
        client_options={"api_endpoint": f"{SLUICE}/v/{connection}"},
    )


def events(connection):
    protocol = GtagMP(api_secret=KEY, measurement_id="G-1", client_id="1.2")
    protocol._base_domain = f"{SLUICE}/v/{connection}/mp/collect"
    protocol._validation_domain = f"{SLUICE}/v/{connection}/debug/mp/collect"
    return protocol


REPORT = RunReportRequest(property="properties/1", metrics=[Metric(name="activeUsers")], return_property_quota=True)


class Data(unittest.TestCase):
    def test_reads_a_report(self):
        report = reports("ga4-data").run_report(REPORT)
        self.assertGreater(report.property_quota.tokens_per_day.remaining, 0)

    def test_goes_on_with_googles_retry_when_sluice_refuses(self):
        analytics = reports("ga4-data-tight-too")
        on_the_wire()
        for _ in range(3):
            analytics.run_report(REPORT, retry=Retry())
        answers = on_the_wire()
        self.assertEqual(answers[:3], ["200", "200", "429 rate"])
        self.assertEqual(answers[-1], "200")

    def test_hands_its_caller_the_quota_error_else(self):
        analytics = reports("ga4-data-spent-too")
        analytics.run_report(REPORT)
        with self.assertRaisesRegex(TooManyRequests, "Exhausted property tokens per day"):
            analytics.run_report(REPORT)


class MeasurementProtocol(unittest.TestCase):
    """ga4mp does not retry, and Google documents no error for throttling: the caller sees an HTTP error."""

    def login(self, protocol):
        event = protocol.create_new_event("login")
        event.set_event_param("method", "password")
        return event

    def test_writes_with_the_key_as_api_secret(self):
        protocol = events("ga4-mp")
        on_the_wire()
        protocol.send([self.login(protocol)])
        # Google answers 204 here also to a wrong secret, so the next call is a validation.
        protocol.send([self.login(protocol)], validation_hit=True)
        self.assertEqual(on_the_wire(), ["204", "200"])

    def test_hands_its_caller_the_refusal(self):
        protocol = events("ga4-mp-tight")
        event = self.login(protocol)
        with self.assertRaises(urllib.error.HTTPError) as refused:
            for _ in range(3):
                protocol.send([event])
        self.assertEqual(refused.exception.code, 429)
        self.assertGreater(int(refused.exception.headers["Retry-After"]), 0)
        refused.exception.close()


if __name__ == "__main__":
    unittest.main()
