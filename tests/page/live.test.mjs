// Tests the page against a running Sluice, which these variables describe:
//   SLUICE_URL         where it answers
//   SLUICE_KEY         a key that may see the status
//   SLUICE_APP_KEY     a key that may make calls (else SLUICE_KEY is tried)
//   SLUICE_CONNECTION  where to make them (else the first connection), and SLUICE_PATH, the vendor's path (else /)
//   SLUICE_VENDOR      the mock vendor behind that connection, which has its own count
//   SLUICE_RESTART     a shell command that kills the instance, starts it again at the same address, and ends once it answers

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { launch } from "./browser.mjs";

const { SLUICE_URL, SLUICE_KEY, SLUICE_APP_KEY, SLUICE_CONNECTION, SLUICE_PATH, SLUICE_VENDOR, SLUICE_RESTART } = process.env;
const absent = !SLUICE_URL || !SLUICE_KEY;
if (absent) console.log("live.test.mjs is skipped: SLUICE_URL and SLUICE_KEY do not name a running instance");

describe("the status page of a running Sluice", { skip: absent && "SLUICE_URL and SLUICE_KEY are not set", timeout: 120_000 }, () => {
  let browser, page;

  before(async () => {
    browser = await launch();
    page = await browser.newPage();
    await page.goto(`${SLUICE_URL}/#key=${SLUICE_KEY}`);
    await until(async () => (await phase()) === "Live", "live", 10_000);
  });
  after(() => browser?.close());

  const phase = () => page.locator("#phase").textContent();

  async function status() {
    const answer = await fetch(`${SLUICE_URL}/status.json`, { headers: { "Sluice-Key": SLUICE_KEY } });
    assert.equal(answer.status, 200);
    return answer.json();
  }

  // Returns what the page's bars show of every limit, by connection.
  const drawn = () =>
    page.locator(".card").evaluateAll((cards) =>
      Object.fromEntries(
        cards.map((card) => [
          card.querySelector("h2").textContent,
          [...card.querySelectorAll("[role=meter]")].map((meter) => [Number(meter.ariaValueNow), Number(meter.ariaValueMax)]),
        ]),
      ),
    );
  const figures = ({ connections }) =>
    Object.fromEntries(Object.entries(connections).map(([name, one]) => [name, one.limits.map((row) => [Math.min(row.used, row.limit), Math.max(row.limit, 1)])]));
  const same = (a, b) => JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());

  async function until(condition, what, within) {
    const end = performance.now() + within;
    while (!(await condition())) {
      if (performance.now() > end) assert.fail(`not within ${within} ms: ${what}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  test("shows the figures of /status.json", async () => {
    await until(async () => same(await drawn(), figures(await status())), "agreement", 5_000);
  });

  test("follows a burst within a second", async () => {
    const connection = SLUICE_CONNECTION ?? Object.keys((await status()).connections)[0];
    assert.ok(connection, "the tenant has no connection: set SLUICE_CONNECTION");
    const total = (all) => all[connection].reduce((sum, [used]) => sum + used, 0);
    const base = total(figures(await status()));
    const call = () => fetch(`${SLUICE_URL}/v/${connection}${SLUICE_PATH ?? "/"}`, { headers: { "Sluice-Key": SLUICE_APP_KEY ?? SLUICE_KEY, Prefer: "wait=0" } });
    const burst = Promise.all(Array.from({ length: 20 }, async () => (await call()).arrayBuffer()));
    let counted = base;
    await until(async () => (counted = total(figures(await status()))) > base, "the burst is counted", 5_000);
    await until(async () => total(await drawn()) >= counted, `the page shows ${counted} in use at ${connection}`, 1_000);
    await burst;
    await until(async () => same(await drawn(), figures(await status())), "agreement after the burst", 5_000);
  });

  // Returns today's calls by app, as a connection's card shows them.
  const shares = (name) =>
    page.locator(".card", { has: page.locator("h2", { hasText: new RegExp(`^${name}$`) }) }).locator(".shares li").evaluateAll((all) =>
      all.map((row) => [row.querySelector(".name").textContent, Number(row.querySelector(".number").textContent.replaceAll(",", ""))]));
  const sum = (rows) => rows.reduce((total, [, count]) => total + count, 0);

  test("shows as many calls of today as the vendor has counted", { skip: !SLUICE_VENDOR && "SLUICE_VENDOR is not set" }, async () => {
    const connection = SLUICE_CONNECTION ?? Object.keys((await status()).connections)[0];
    const { calls } = await (await fetch(`${SLUICE_VENDOR}/__control/log?after=0`)).json();
    assert.ok(calls.length > 0, "the burst reached the vendor");
    // The page loads its reports again only after a while, so it is reloaded.
    await page.reload();
    await until(async () => sum(await shares(connection)) > 0, "the report", 10_000);
    assert.equal(sum(await shares(connection)), calls.length);
    const { last_hour: hour } = (await status()).connections[connection];
    assert.equal(hour.calls, calls.length);
  });

  test("shows a dead letter, and deletes it for an operator", { skip: !SLUICE_VENDOR && "SLUICE_VENDOR is not set" }, async (t) => {
    const connection = SLUICE_CONNECTION ?? Object.keys((await status()).connections)[0];
    const dead = async () => (await status()).connections[connection].jobs?.dead;
    if ((await dead()) === undefined) return t.skip("this Sluice keeps no jobs");
    const headers = { "Sluice-Key": SLUICE_APP_KEY, Prefer: "respond-async" };
    const kept = await fetch(`${SLUICE_URL}/v/${connection}/status/400`, { method: "POST", headers });
    assert.equal(kept.status, 202);
    const letters = page.locator(".jobs", { has: page.locator("caption", { hasText: "Dead letters" }) }).locator("tbody tr");
    await until(async () => (await letters.count()) === 1, "the dead letter", 20_000);
    assert.match(await letters.first().textContent(), /POST \/status\/400.*status 400/);
    const remove = letters.first().getByRole("button", { name: "Delete" });
    await remove.click();
    await remove.click();
    await until(async () => (await letters.count()) === 0 && (await dead()) === 0, "no dead letter", 10_000);
  });

  test("weighs at most 150 kB over the wire, asks no other origin, and breaks no policy of its own", async () => {
    const fresh = await browser.newPage();
    const [faults, targets] = [[], []];
    fresh.on("console", (message) => message.type() === "error" && faults.push(message.text()));
    fresh.on("request", (request) => targets.push(new URL(request.url()).origin));
    await fresh.goto(`${SLUICE_URL}/#key=${SLUICE_KEY}`);
    await fresh.waitForSelector(".chart canvas");
    const weight = await fresh.evaluate(() => [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")].reduce((total, { transferSize }) => total + transferSize, 0));
    await fresh.close();
    assert.ok(weight > 30_000 && weight <= 150_000, `${weight} bytes`);
    assert.deepEqual([...new Set(targets)], [new URL(SLUICE_URL).origin]);
    assert.deepEqual(faults, []);
  });

  test("survives a restart", { skip: !SLUICE_RESTART && "SLUICE_RESTART is not set" }, async () => {
    const phases = [];
    const watching = setInterval(async () => phases.push(await phase().catch(() => "")), 50);
    await promisify(execFile)("/bin/sh", ["-c", SLUICE_RESTART]);
    clearInterval(watching);
    await until(async () => (await phase()) === "Live", "live again", 10_000);
    assert.ok(phases.includes("Stale"), `seen meanwhile: ${[...new Set(phases)].join(", ")}`);
    await until(async () => same(await drawn(), figures(await status())), "agreement after the restart", 5_000);
  });
});
