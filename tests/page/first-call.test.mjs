// Tests the examples of a first call.

import assert from "node:assert/strict";
import { test } from "node:test";
import { firstCall } from "../../www/model/first-call.js";

test("the guide names the connection, and never the key that looks at the page", () => {
  const { base, examples } = firstCall("https://sluice.example.com", "crm-eu", "hubspot");
  assert.equal(base, "https://sluice.example.com/v/crm-eu");
  assert.deepEqual(examples.map((example) => example.title), ["curl", "JavaScript", "SDK: @hubspot/api-client"]);
  for (const { code } of examples) assert.match(code, /https:\/\/sluice\.example\.com\/v\/crm-eu/);
  for (const vendor of ["marketo", "salesforce", "mailchimp", "aprimo", "ga4-mp", "ga4-data", "keap", "keap-oauth", "generic", "constructor"]) {
    for (const { code } of firstCall("http://h", "c", vendor).examples) {
      assert.match(code, /slk_…/);
      assert.doesNotMatch(code, /undefined|function/);
    }
  }
});
