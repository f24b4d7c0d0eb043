"""Tests keap-core-v2-sdk, Keap's client, with a personal access token, and keap-python with OAuth.

The first obeys Retry-After, which Keap does not send and Sluice does, for all methods but POST and PATCH.
"""

import unittest

from keap import Keap
from keap.REST.BaseService import BaseService
from keap_core_v2_client import ApiClient, Configuration, ContactApi
from keap_core_v2_client.exceptions import ApiException
from keap_core_v2_client.models import CreateUpdateContactRequest
from sluice import KEY, SLUICE, on_the_wire


def contacts(connection):
    configuration = Configuration(host=f"{SLUICE}/v/{connection}/crm", access_token=KEY)
    return ContactApi(ApiClient(configuration))


class WithAKey(unittest.TestCase):
    def test_reads_and_writes(self):
        keap = contacts("keap")
        self.assertEqual(keap.list_contacts().contacts[0].given_name, "Mock")
        made = keap.create_contact(CreateUpdateContactRequest(given_name="Ada"))
        self.assertEqual(made.given_name, "Ada")

    def test_comes_back_when_told_with_a_read_that_sluice_refuses(self):
        keap = contacts("keap-tight")
        on_the_wire()
        for _ in range(3):
            keap.list_contacts()
        self.assertEqual(on_the_wire(), ["200", "200", "429 rate", "200"])

    def test_hands_its_caller_keaps_error_for_a_write(self):
        keap = contacts("keap-tight-too")
        with self.assertRaises(ApiException) as refused:
            for _ in range(3):
                keap.create_contact(CreateUpdateContactRequest(given_name="Ada"))
        self.assertEqual(refused.exception.status, 429)
        self.assertIn("Request Throttled", refused.exception.body)


class WithOAuth(unittest.TestCase):
    """keap-python does not look at the status: on a 429 its caller gets Keap's words in place of the result."""

    def client(self, connection):
        keap = Keap({"CLIENT_ID": "any", "CLIENT_SECRET": KEY, "STORAGE_CLASS": "keap.storages.InMemoryStorage"})
        keap.access_token_url = f"{SLUICE}/v/{connection}/token"
        BaseService.base_api_url = f"{SLUICE}/v/{connection}/crm/rest/v1"
        return keap

    def test_buys_a_token_with_the_key_renews_it_reads_and_writes(self):
        keap = self.client("keap-oauth")
        keap.request_access_token("code")
        self.assertEqual(keap.token.access_token, KEY)
        keap.refresh_access_token()
        self.assertEqual(keap.token.access_token, KEY)
        self.assertEqual(keap.REST_V1.ContactService.list()["contacts"][0]["given_name"], "Mock")
        self.assertEqual(keap.REST_V1.ContactService.create(given_name="Ada")["given_name"], "Ada")

    def test_hands_its_caller_keaps_words_when_sluice_refuses(self):
        keap = self.client("keap-oauth-tight")
        keap.request_access_token("code")
        answers = [keap.REST_V1.ContactService.list() for _ in range(3)]
        self.assertEqual(answers[2]["status"], "Request Throttled")


if __name__ == "__main__":
    unittest.main()
