// Tests what the page shows of a connection's last hour.

import assert from "node:assert/strict";
import { test } from "node:test";
import { hourLine, hourOf } from "../../www/model/last-hour.js";

test("the last hour has its worst endpoints first and says how many it leaves out", () => {
  const by_endpoint = Array.from({ length: 20 }, (_, index) => ({ method: "GET", path: `/p/${index}`, calls: 100, throttled: index }));
  const { endpoints, more } = hourOf({ last_hour: { by_endpoint, retries_histogram: [] } });
  assert.deepEqual([endpoints.length, endpoints[0].cells, more], [12, ["GET /p/19", "100", "19 (19 %)"], "8 endpoints more with fewer"]);
  const { retries } = hourOf({ last_hour: { by_endpoint: [], retries_histogram: [{ attempts: 2, calls: 4 }, { attempts: 1, calls: 90 }] } });
  assert.deepEqual(retries.map((row) => row.cells), [["1 attempt", "90"], ["2 attempts", "4"]]);
  assert.deepEqual(hourOf({}), { endpoints: [], more: "", retries: [] });
  assert.equal(hourLine({ last_hour: { calls: 1, throttled: 0, throttled_ratio: 0, refused: 2 } }), "Last hour: 1 call · 0 throttled by the vendor · 2 refused by Sluice");
});
