// The page in a real browser, against a Sluice of the test's own: every state it can be in, under the strictest policy.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { launch } from "./browser.mjs";
import { busy, connection, failing, hostile, idle, limit, status } from "./documents.mjs";
import { Fake, KEY } from "./fake.mjs";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const NARROW = { width: 360, height: 740 };

describe("the status page", { timeout: 300_000 }, () => {
  let browser, context, fake, page, noise;

  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());

  beforeEach(async () => {
    fake = await new Fake().start();
    fake.status = busy(Date.now());
    await fresh();
  });
  afterEach(async () => {
    await context.close();
    await fake.stop();
    // A browser reports a refused request or socket as an error of its own: those are the test's doing.
    assert.deepEqual(noise.filter((text) => !/Failed to load resource|WebSocket connection to/.test(text)), []);
  });

  async function fresh(options = {}) {
    await context?.close();
    noise = [];
    context = await browser.newContext({ viewport: { width: 1280, height: 800 }, timezoneId: "Europe/Berlin", reducedMotion: "reduce", ...options });
    page = await context.newPage();
    page.on("console", (message) => message.type() === "error" && noise.push(message.text()));
    page.on("pageerror", (error) => noise.push(String(error)));
  }

  async function open({ key = KEY, phase = "Live" } = {}) {
    await page.goto(key ? `${fake.url}/#key=${key}` : fake.url);
    if (phase) await until(phaseIs(phase), `phase ${phase}`);
  }

  const text = (selector) => page.locator(selector).first().textContent();
  const shown = (selector) => page.locator(selector).first().isVisible();
  const phaseIs = (word) => async () => (await text("#phase")) === word;
  const card = (name) => page.locator(".card", { has: page.locator("h2", { hasText: new RegExp(`^${name}$`) }) });
  const figure = (name, key) => card(name).locator(`.figure.${key} .value`).textContent();

  async function until(condition, what, within = 5_000) {
    const end = performance.now() + within;
    while (!(await condition())) {
      if (performance.now() > end) assert.fail(`not within ${within} ms: ${what}; error line: ${await text("#error")}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  test("takes the key from the address once, and leaves it in neither the bar, the history nor a request's target", async () => {
    await open();
    assert.equal(page.url(), `${fake.url}/`);
    assert.equal(await page.evaluate("history.length"), 2);
    assert.ok(!(await page.content()).includes(KEY));
    for (const { url, headers } of fake.requests) {
      assert.ok(!url.includes("slk_"), url);
      assert.ok(!(headers.referer ?? "").includes("slk_"));
    }
  });

  test("keeps the key over a reload of the tab, and forgets it on demand", async () => {
    await open();
    await page.reload();
    await until(phaseIs("Live"), "live after a reload");
    await page.getByRole("button", { name: "Forget key" }).click();
    await until(() => shown("#gate"), "the key form");
    assert.ok(!(await shown("#board")));
    assert.ok(!(await shown("#forget")));
    assert.equal(fake.sockets.size === 0 || (await socketsClosed()), true);
    await page.reload();
    await until(() => shown("#gate"), "the key form after a reload");
    assert.equal(await page.evaluate("sessionStorage.length + localStorage.length"), 0);
  });

  async function socketsClosed() {
    await until(() => fake.sockets.size === 0, "the socket is closed");
    return true;
  }

  test("takes the key by keyboard alone, and says at once what is no key", async () => {
    await open({ key: null, phase: null });
    await until(() => shown("#gate"), "the key form");
    assert.equal(await page.evaluate("document.activeElement.id"), "key");
    await page.keyboard.type("hello");
    await page.keyboard.press("Enter");
    assert.match(await text("#key-fault"), /no Sluice key/);
    await page.keyboard.press("Control+A");
    await page.keyboard.type(KEY);
    await page.keyboard.press("Enter");
    await until(phaseIs("Live"), "live");
    assert.ok(!page.url().includes("slk_"));
  });

  test("shows each connection's limits, queue and day, as the document has them", async () => {
    await open();
    assert.equal(await text("#tenant"), "demo");
    for (const [name, given] of Object.entries(fake.status.connections)) {
      assert.equal(await figure(name, "flight"), String(given.in_flight));
      assert.equal(await figure(name, "queue"), String(given.queue.depth));
      assert.equal(await figure(name, "today"), given.daily ? given.daily.used.toLocaleString("en") : "–");
      const meters = await card(name).locator("[role=meter]").evaluateAll((all) => all.map((meter) => [meter.ariaValueNow, meter.ariaValueMax]));
      assert.deepEqual(meters, given.limits.map((row) => [String(row.used), String(row.limit)]));
    }
  });

  test("draws the bars to scale", async () => {
    fake.status = status({ one: connection({ limits: [limit("rate", "rolling_window", 25, 50, { of: 100, vendor_used: 75 })] }) }, {}, Date.now());
    await open();
    const parts = await page.locator(".meter").evaluate((meter) => {
      const whole = meter.getBoundingClientRect();
      const at = (selector) => (meter.querySelector(selector).getBoundingClientRect().right - whole.left) / whole.width;
      return [at(".fill"), at(".vendor-mark")];
    });
    assert.ok(Math.abs(parts[0] - 0.25) < 0.01 && Math.abs(parts[1] - 0.75) < 0.02, parts.join());
  });

  test("follows a change over the socket within a second, in place", async () => {
    await open();
    await card("marketo").evaluate((node) => (window.kept = node));
    const next = busy(Date.now());
    next.connections.marketo.in_flight = 77;
    delete next.connections.aprimo;
    next.connections.zoho = connection({ in_flight: 1 });
    fake.show(next);
    await until(async () => (await figure("marketo", "flight")) === "77", "the new figure", 1_000);
    assert.ok(await card("marketo").evaluate((node) => node === window.kept));
    assert.deepEqual(await page.locator(".card h2").allTextContents(), Object.keys(next.connections).sort());
    fake.show(busy(Date.now()));
    const names = async () => (await page.locator(".card h2").allTextContents()).join();
    const before = Object.keys(busy().connections).sort().join();
    await until(async () => (await names()) === before, "the connections as they were, in their order");
  });

  test("falls back to polling when the socket fails, and goes live when it works again", async () => {
    fake.allowSockets = false;
    await open({ phase: "Polling" });
    const next = busy(Date.now());
    next.connections.marketo.in_flight = 78;
    fake.status = next;
    await until(async () => (await figure("marketo", "flight")) === "78", "the new figure by polling", 4_000);
    fake.allowSockets = true;
    await until(phaseIs("Live"), "live", 12_000);
  });

  test("says that figures are stale when the server dies, and survives its restart", async () => {
    await open();
    await fake.stop();
    await until(phaseIs("Stale"), "stale");
    assert.match(await text("#error"), /^No figures: the server cannot be reached\. Trying again .*Figures are from \d\d:\d\d:\d\d\.$/);
    assert.ok(await shown("#error"));
    assert.match(await page.title(), /^stale: /);
    assert.equal(await figure("marketo", "flight"), "4");
    fake.status = idle(Date.now());
    await fake.start();
    await until(phaseIs("Live"), "live", 12_000);
    assert.ok(!(await shown("#error")));
    assert.deepEqual(await page.locator(".card h2").allTextContents(), ["aprimo", "hubspot"]);
  });

  test("a revoked key: says so, shows no figures, asks no more, and takes another", async () => {
    await open();
    fake.revoke(KEY);
    await until(phaseIs("Key refused"), "refused");
    assert.equal(await page.evaluate("document.activeElement.id"), "key");
    assert.match(await text("#error"), /The key is revoked\./);
    assert.ok(!(await shown("#board")));
    const before = fake.requests.length;
    await page.waitForTimeout(2_500);
    assert.equal(fake.requests.length, before);
    fake.keys.add("slk_another");
    await page.fill("#key", "slk_another");
    await page.keyboard.press("Enter");
    await until(phaseIs("Live"), "live with the other key");
  });

  test("without a key it says which secret is missing, and goes on once it is there", async () => {
    fake.setup = "MASTER_KEY is malformed: it takes 32 bytes in base64";
    await open({ key: null, phase: null });
    await until(() => shown("#setup"), "the set-up notice");
    assert.equal(await text("#setup-names"), "MASTER_KEY");
    assert.ok(!(await shown("#gate")));
    fake.setup = null;
    await until(() => shown("#gate"), "the key form", 8_000);
    assert.ok(!(await shown("#setup")));
  });

  test("an installation that loses a secret while watched says which", async () => {
    await open();
    fake.setup = "the secret ADMIN_TOKEN is missing";
    fake.revoke("");
    await until(phaseIs("Not set up"), "set-up");
    assert.equal(await text("#setup-names"), "ADMIN_TOKEN");
    fake.setup = null;
    await until(phaseIs("Live"), "live", 12_000);
    assert.ok(!(await shown("#setup")));
  });

  test("shows alerts, the pause, the cut rate and the spent day", async () => {
    fake.status = failing(Date.now());
    await open();
    assert.equal(await page.locator("#alerts li").count(), 3);
    assert.match(await text("#alerts"), /hubspot.*throttles 7\.7 % of the calls/);
    assert.match(await page.title(), /^\(3\) demo/);
    const state = (name) => card(name).locator(".word").textContent();
    assert.deepEqual(await Promise.all(["aprimo", "hubspot", "marketo"].map(state)), ["queue full", "paused", "day spent"]);
    assert.match(await card("hubspot").locator(".notes").textContent(), /Paused until .*Slowed to 25 %/);
  });

  test("names and texts that are markup appear as text", async () => {
    fake.status = hostile(Date.now());
    await open();
    assert.equal(await page.locator("img, main script, main svg").count(), 0);
    assert.ok((await page.locator(".card h2").allTextContents()).some((name) => name.startsWith("<img src=x")));
    assert.match(await text("#alerts"), /__proto__: 1 \(alert from 2\)/);
    assert.match(await page.title(), /^\(1\) demo <img/);
  });

  for (const [name, make] of Object.entries({ busy, failing, idle, hostile })) {
    test(`${name}: fits a screen of 360 px`, async () => {
      await fresh({ viewport: NARROW });
      fake.status = make(Date.now());
      await open();
      const overflow = await page.evaluate(() => {
        const wide = [...document.querySelectorAll("main *, header *")].filter((node) => node.getBoundingClientRect().right > innerWidth + 0.5 && !node.closest("thead"));
        return [document.documentElement.scrollWidth, wide.map((node) => node.className || node.tagName)];
      });
      assert.deepEqual(overflow, [360, []]);
    });

    for (const colorScheme of ["light", "dark"]) {
      test(`${name}, ${colorScheme}: axe finds nothing serious`, async () => {
        await fresh({ colorScheme, bypassCSP: true });
        fake.status = make(Date.now());
        await open();
        assert.deepEqual(await audit(), []);
      });
    }
  }

  for (const colorScheme of ["light", "dark"]) {
    test(`narrow, stale, refused, without a key, ${colorScheme}: axe finds nothing serious`, async () => {
      await fresh({ colorScheme, viewport: NARROW, bypassCSP: true });
      fake.status = failing(Date.now());
      await open();
      assert.deepEqual(await audit(), [], "narrow");
      await fake.stop();
      await until(phaseIs("Stale"), "stale");
      assert.deepEqual(await audit(), [], "stale");
      await fake.start();
      fake.revoke(KEY);
      await until(phaseIs("Key refused"), "refused", 12_000);
      assert.deepEqual(await audit(), [], "refused");
      await page.getByRole("button", { name: "Forget key" }).click();
      assert.deepEqual(await audit(), [], "without a key");
    });
  }

  async function audit() {
    await page.addScriptTag({ path: AXE });
    const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    return violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.html).slice(0, 3).join(" ")}`);
  }

  test("a fault of the page's own is said on the page, and stays", async () => {
    await open();
    await page.evaluate(() => setTimeout(() => Promise.reject(new Error("<i>oops</i>"))));
    await until(() => shown("#error"), "the error line");
    fake.show(idle(Date.now()));
    await until(async () => (await page.locator(".card").count()) === 2, "the next figures");
    assert.equal(await text("#error"), "The page itself failed: <i>oops</i>. Reload it.");
    noise = noise.filter((line) => !line.includes("oops"));
  });

  test("asks nothing of any other origin and puts the key in no address", async () => {
    const targets = [];
    page.on("request", (request) => targets.push(request.url()));
    page.on("websocket", (socket) => targets.push(socket.url()));
    await open();
    assert.ok(targets.length > 5);
    for (const target of targets) assert.equal(new URL(target).host, new URL(fake.url).host, target);
  });

  test("announces a change of its state and no mere change of figures", async () => {
    await open();
    assert.equal(await text("#announce"), "Live");
    await page.evaluate(() => {
      window.heard = [];
      new MutationObserver(() => window.heard.push(document.querySelector("#announce").textContent)).observe(document.querySelector("#announce"), { childList: true, characterData: true, subtree: true });
    });
    for (let inFlight = 50; inFlight < 55; inFlight += 1) {
      const next = busy(Date.now());
      next.connections.marketo.in_flight = inFlight;
      fake.show(next);
      await until(async () => (await figure("marketo", "flight")) === String(inFlight), "the figure");
    }
    fake.show(failing(Date.now()));
    await until(async () => (await text("#announce")) === "Live, 3 alerts", "the announcement");
    assert.deepEqual(await page.evaluate("window.heard"), ["Live, 3 alerts"]);
  });

  test("everything that can be pressed can be reached by keyboard, with a visible focus", async () => {
    await open();
    const reached = [];
    for (let press = 0; press < 4; press += 1) {
      await page.keyboard.press("Tab");
      reached.push(await page.evaluate(() => [document.activeElement.textContent.trim(), getComputedStyle(document.activeElement).outlineStyle]));
    }
    assert.deepEqual(reached.slice(0, 3), [["Skip to the figures", "solid"], ["Sluice", "solid"], ["Forget key", "solid"]]);
  });
});

test("the page weighs at most 25 kB over the wire", async () => {
  const folder = new URL("../../www/", import.meta.url);
  const bodies = await Promise.all((await readdir(folder)).map((name) => readFile(new URL(name, folder))));
  const weight = bodies.reduce((sum, body) => sum + gzipSync(body).length, 0);
  assert.ok(weight <= 25_000, `${weight} bytes gzipped`);
});

test("no file of the page makes markup from text or asks another origin", async () => {
  const folder = new URL("../../www/", import.meta.url);
  for (const name of await readdir(folder)) {
    const body = await readFile(new URL(name, folder), "utf8");
    assert.doesNotMatch(body, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\sstyle=|\son\w+=/, name);
    assert.doesNotMatch(body.replace("http://www.w3.org/2000/svg", ""), /https?:\/\/|@import|url\(/, name);
  }
});
