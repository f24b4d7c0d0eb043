"""Tests simple-salesforce. It takes a host and no path, always by https: `HOST_SUFFIX` gives each connection a host.

Its login works only with Salesforce's hosts, so the key is sent as the session id. A proxy takes the place of the
deployment's DNS and certificate (see tls.py). The library does not retry; its caller may give it a session of `requests`
that does.
"""

import unittest

import requests
import tls
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceGeneralError, SalesforceRefusedRequest
from sluice import HOSTS, KEY, on_the_wire
from urllib3.util import Retry


def client(connection, session=None):
    return Salesforce(instance=f"{connection}{HOSTS}", session_id=KEY, session=session)


class SalesforceClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(tls.front(HOSTS))

    def test_reads_writes_and_sees_the_usage(self):
        salesforce = client("salesforce")
        self.assertEqual(salesforce.query("SELECT Id, Name FROM Account")["records"][0]["Name"], "Mock")
        self.assertEqual(salesforce.api_usage["api-usage"].total, 1_000_000)
        self.assertTrue(salesforce.Account.create({"Name": "Ada"})["success"])
        self.assertEqual(salesforce.Account.update("001000000000001AAA", {"Name": "Ada"}), 204)

    def test_hands_its_caller_salesforces_error_when_sluice_refuses(self):
        salesforce = client("salesforce-tight")
        with self.assertRaises(SalesforceGeneralError) as refused:
            for _ in range(3):
                salesforce.Account.create({"Name": "Ada"})
        self.assertEqual(refused.exception.status, 503)
        self.assertEqual(refused.exception.content[0]["errorCode"], "SERVER_UNAVAILABLE")

    def test_goes_on_with_a_session_that_repeats(self):
        session = requests.Session()
        session.mount("https://", HTTPAdapter(max_retries=Retry(3, status_forcelist=[503])))
        salesforce = client("salesforce-tight-too", session)
        on_the_wire()
        for _ in range(3):
            salesforce.query("SELECT Id FROM Account")
        self.assertEqual(on_the_wire(), ["200", "200", "503 rate", "200"])

    def test_takes_the_spent_day_for_a_refused_request(self):
        salesforce = client("salesforce-spent-too")
        salesforce.query("SELECT Id FROM Account")
        with self.assertRaises(SalesforceRefusedRequest) as refused:
            salesforce.query("SELECT Id FROM Account")
        self.assertEqual(refused.exception.content[0]["errorCode"], "REQUEST_LIMIT_EXCEEDED")


if __name__ == "__main__":
    unittest.main()
