"""Tests mailchimp-marketing, Mailchimp's client.

It does not retry, so the caller sees the 429 with Mailchimp's problem document.
"""

import unittest

from mailchimp_marketing import Client
from mailchimp_marketing.api_client import ApiClientError
from sluice import KEY, SLUICE, on_the_wire


def client(connection):
    mailchimp = Client({"api_key": KEY, "server": ""})
    mailchimp.api_client.host = f"{SLUICE}/v/{connection}/3.0"
    return mailchimp


class Mailchimp(unittest.TestCase):
    def test_reads_and_writes(self):
        mailchimp = client("mailchimp")
        self.assertEqual(mailchimp.ping.get()["health_status"], "Everything's Chimpy!")
        member = mailchimp.lists.set_list_member(
            "mock", "0" * 32, {"email_address": "ada@example.com", "status_if_new": "subscribed"}
        )
        self.assertEqual(member["email_address"], "ada@example.com")

    def test_hands_its_caller_the_throttling_error(self):
        mailchimp = client("mailchimp-tight-too")
        on_the_wire()
        for _ in range(2):
            mailchimp.ping.get()
        with self.assertRaises(ApiClientError) as refused:
            mailchimp.ping.get()
        self.assertEqual(on_the_wire(), ["200", "200", "429 rate"])
        self.assertEqual(refused.exception.status_code, 429)
        self.assertIn("Too Many Requests", refused.exception.text)


if __name__ == "__main__":
    unittest.main()
