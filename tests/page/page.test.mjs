// Tests the page in a real browser against a double of Sluice, in every state that it can be in,
// under the strictest policy.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { launch } from "./browser.mjs";
import { IMAGE, busy, connection, errors, failing, hostile, idle, jobs, limit, reports, status, usage } from "./documents.mjs";
import { FakeSluice, KEY, OPERATOR_KEY } from "./fake-sluice.mjs";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const NARROW = { width: 360, height: 740 };

describe("the status page", { timeout: 300_000 }, () => {
  let browser, context, fake, page, noise;

  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());

  beforeEach(async () => {
    fake = await new FakeSluice().start();
    watch(busy);
    await fresh();
  });

  // Has the double show a document, with the reports and jobs that belong to it.
  function watch(make) {
    fake.status = make(Date.now());
    fake.reports = reports(fake.status, Date.now());
    fake.jobs = make === failing ? jobs(Date.now()) : { dead: [], running: [], queued: [] };
  }
  afterEach(async () => {
    await context.close();
    await fake.stop();
    // The browser logs a refused request or socket as an error, which these tests cause on purpose.
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
  const loaded = () => until(async () => !(await page.locator(".use").allTextContents()).some((use) => use.includes("…")), "the reports");
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
    await until(() => shown("#key-panel"), "the key form");
    assert.ok(!(await shown("#board")));
    assert.ok(!(await shown("#forget")));
    assert.equal(fake.sockets.size === 0 || (await socketsClosed()), true);
    await page.reload();
    await until(() => shown("#key-panel"), "the key form after a reload");
    assert.equal(await page.evaluate("sessionStorage.length + localStorage.length"), 0);
  });

  async function socketsClosed() {
    await until(() => fake.sockets.size === 0, "the socket is closed");
    return true;
  }

  test("takes the key by keyboard alone, and says at once what is no key", async () => {
    await open({ key: null, phase: null });
    await until(() => shown("#key-panel"), "the key form");
    assert.equal(await page.evaluate("document.activeElement.id"), "key");
    await page.keyboard.type("hello");
    await page.keyboard.press("Enter");
    assert.match(await text("#key-fault"), /not a Sluice key/);
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
    assert.ok(!(await shown("#key-panel")));
    fake.setup = null;
    await until(() => shown("#key-panel"), "the key form", 8_000);
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
    watch(failing);
    await open();
    assert.equal(await page.locator("#alerts li").count(), 3);
    assert.match(await text("#alerts"), /hubspot.*throttles 7\.7 % of the calls/);
    assert.match(await page.title(), /^\(3\) demo/);
    const state = (name) => card(name).locator(".word").textContent();
    assert.deepEqual(await Promise.all(["aprimo", "hubspot", "marketo"].map(state)), ["queue full", "paused", "day spent"]);
    assert.match(await card("hubspot").locator(".notes").textContent(), /Paused until .*Slowed to 25 %/);
  });

  function hostileAll() {
    watch(hostile);
    for (const one of Object.values(fake.reports)) Object.assign(one, { usage: usage({ [IMAGE]: 1 }, 1_000, Date.now()), errors: errors({ [IMAGE]: 9 }, Date.now()) });
    const [first] = Object.keys(fake.status.connections);
    fake.status.connections[first].jobs = { queued: 0, running: 0, dead: 1 };
    fake.jobs.dead = [{ id: "x", state: "dead", method: IMAGE, path: IMAGE, app: IMAGE, connection: IMAGE, error: IMAGE, attempts: [{ at: IMAGE, error: IMAGE }] }];
  }

  test("names and texts that are markup appear as text", async () => {
    hostileAll();
    await open();
    assert.equal(await page.locator("img, main script, main svg").count(), 0);
    assert.ok((await page.locator(".card h2").allTextContents()).some((name) => name.startsWith("<img src=x")));
    await loaded();
    assert.match(await text("#alerts"), /__proto__: 1 \(alert from 2\)/);
    await until(() => shown(".jobs"), "the jobs");
    for (const selector of [".shares .name", ".codes", ".jobs"]) assert.match((await page.locator(selector).allTextContents()).join(), /<img src=x onerror=/, selector);
    assert.match(await page.title(), /^\(1\) demo <img/);
  });

  for (const [name, make] of Object.entries({ busy, failing, idle, hostile })) {
    test(`${name}: fits a screen of 360 px`, async () => {
      await fresh({ viewport: NARROW });
      watch(make);
      await open();
      await loaded();
      await openAll();
      const overflow = await page.evaluate(() => {
        const wide = [...document.querySelectorAll("main *, header *")].filter((node) => node.getBoundingClientRect().right > innerWidth + 0.5 && !node.closest("thead, .table, pre, select"));
        return [document.documentElement.scrollWidth, wide.map((node) => node.className || node.tagName)];
      });
      assert.deepEqual(overflow, [360, []]);
    });

    for (const colorScheme of ["light", "dark"]) {
      test(`${name}, ${colorScheme}: axe finds nothing serious`, async () => {
        await fresh({ colorScheme, bypassCSP: true });
        watch(make);
        await open({ key: OPERATOR_KEY });
        await loaded();
        await openAll();
        assert.deepEqual(await audit(), []);
      });
    }
  }

  for (const colorScheme of ["light", "dark"]) {
    test(`narrow, stale, refused, without a key, ${colorScheme}: axe finds nothing serious`, async () => {
      await fresh({ colorScheme, viewport: NARROW, bypassCSP: true });
      watch(failing);
      await open();
      await loaded();
      await openAll();
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

  const openAll = () => page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));

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

  test("shows who used the day and what failed, as the reports have it", async () => {
    watch(failing);
    await open();
    await loaded();
    for (const [name, given] of Object.entries(fake.reports)) {
      const today = given.usage.result.at(-1).users.toSorted((a, b) => b.count - a.count);
      const rows = await card(name).locator(".shares li").evaluateAll((all) => all.map((row) => [row.querySelector(".name").textContent, row.querySelector(".number").textContent]));
      assert.deepEqual(rows, today.map(({ userId, count }) => [userId, count.toLocaleString("en")]), name);
    }
    assert.equal(await card("marketo").locator(".failing").textContent(), "Errors today: 606 × 214 · 607 × 88 · 615 × 8");
    assert.ok(!(await card("aprimo").locator(".failing").isVisible()));
  });

  test("draws seven days by app, and has the same in a table", async () => {
    await open();
    await loaded();
    const chart = card("marketo").locator(".chart canvas");
    await until(() => chart.isVisible(), "the chart");
    const painted = await chart.evaluate((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const colours = new Map();
      for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) colours.set(data.slice(at, at + 3).join(), (colours.get(data.slice(at, at + 3).join()) ?? 0) + 1);
      return [...colours.values()].filter((pixels) => pixels > 100).length;
    });
    assert.ok(painted >= 4, `${painted} colours`);
    await card("marketo").locator("summary").first().click();
    const rows = await card("marketo").locator(".week tbody tr").evaluateAll((all) => all.map((row) => [...row.cells].slice(1, 2).map((cell) => cell.textContent)));
    assert.deepEqual(rows, fake.reports.marketo.usage.result.map((day) => [day.total.toLocaleString("en")]).reverse());
    await card("marketo").locator(".chart .u-over").hover({ position: { x: 60, y: 40 } });
    await until(async () => !(await card("marketo").locator(".who h3").textContent()).startsWith("Today"), "the day that is pointed at");
  });

  test("without the chart's library there are the figures and the table", async () => {
    await page.route("**/third-party/uplot.js", (route) => route.abort());
    await open();
    await loaded();
    assert.equal(await card("marketo").locator(".shares li").count(), 4);
    assert.equal(await page.locator("canvas").count(), 0);
    assert.ok(!(await shown("#error")));
  });

  test("says why usage cannot be read, and shows all else", async () => {
    fake.reports = null;
    await open();
    await until(async () => /could not be read: no such connection/.test(await card("marketo").locator(".who").textContent()), "the reason");
    assert.equal(await figure("marketo", "flight"), "4");
  });

  test("asks for the reports once, while nothing moves", async () => {
    await open();
    await loaded();
    const asked = () => fake.requests.filter(({ url }) => url.startsWith("/stats/")).length;
    const before = asked();
    assert.equal(before, 2 * Object.keys(fake.status.connections).length);
    fake.show(busy(Date.now()));
    await page.waitForTimeout(2_500);
    assert.equal(asked(), before);
  });

  test("an operator replays and deletes dead letters, and is asked twice before what cannot be undone", async () => {
    watch(failing);
    await open({ key: OPERATOR_KEY });
    const dead = page.locator(".jobs", { has: page.locator("caption", { hasText: "Dead letters" }) });
    await until(async () => (await dead.locator("tbody tr").count()) === 3, "three dead letters");
    assert.match(await dead.textContent(), /outcome-unknown: timeout/);
    fake.recount();
    await dead.getByRole("button", { name: "Replay" }).first().click();
    await until(async () => (await dead.locator("tbody tr").count()) === 2, "one less");
    assert.equal(fake.jobs.queued.at(-1).id, "job-3");
    const remove = dead.getByRole("button", { name: "Delete" }).first();
    await remove.focus();
    await page.keyboard.press("Enter");
    assert.equal(fake.jobs.dead.length, 2);
    assert.equal(await remove.textContent(), "Delete for good?");
    await page.keyboard.press("Enter");
    await until(async () => (await dead.locator("tbody tr").count()) === 1, "one less");
    assert.deepEqual(fake.jobs.dead.map((job) => job.id), ["job-1"]);
    assert.equal(await page.evaluate("document.activeElement.id"), "jobs-title");
    assert.equal(await text("#jobs-result"), "It is deleted.");
  });

  test("a viewer sees jobs and no buttons, with the reason", async () => {
    watch(failing);
    await open();
    await until(() => shown(".jobs"), "the jobs");
    assert.equal(await page.locator("#jobs button:visible", { hasText: /Replay|Delete/ }).count(), 0);
    assert.match(await text("#jobs-restriction"), /take an operator's key; this one is a viewer's/);
  });

  test("a long list of jobs comes in parts", async () => {
    watch(failing);
    await open();
    const queued = page.locator(".jobs", { has: page.locator("caption", { hasText: "Queued" }) });
    await until(async () => (await queued.locator("tbody tr").count()) === 10, "ten jobs");
    await queued.getByRole("button", { name: "Show more" }).click();
    await until(async () => (await queued.locator("tbody tr").count()) === 20, "ten more");
  });

  test("without jobs it asks for none", async () => {
    watch(idle);
    await open();
    await loaded();
    assert.equal(await text("#jobs-line"), "No jobs waiting, no dead letters.");
    assert.ok(!fake.requests.some(({ url }) => /^\/(jobs|dead-letters)([/?]|$)/.test(url)));
  });

  test("the guide makes a first call with the connection chosen, and does not show the key", async () => {
    await open();
    await page.selectOption("#guide-connection", "hubspot");
    assert.equal(await text("#guide-base"), `${fake.url}/v/hubspot`);
    assert.match(await page.locator("#guide-examples").textContent(), /basePath: "http:\/\/127\.0\.0\.1:\d+\/v\/hubspot"/);
    assert.ok(!(await page.content()).includes(KEY));
  });

  test("weighs at most 150 kB over the wire", async () => {
    await open();
    await loaded();
    const sizes = await page.evaluate(() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation")).map(({ name, transferSize }) => [name, transferSize]));
    const own = sizes.filter(([name]) => !/\/(status|stats|jobs\b|dead)/.test(new URL(name).pathname) || name.endsWith(".js"));
    const weight = own.reduce((sum, [, size]) => sum + size, 0);
    assert.ok(own.length > 15 && weight > 30_000 && weight <= 150_000, `${own.length} files, ${weight} bytes`);
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
    for (let press = 0; press < 9; press += 1) {
      await page.keyboard.press("Tab");
      reached.push(await page.evaluate(() => [document.activeElement.textContent.trim(), getComputedStyle(document.activeElement).outlineStyle]));
    }
    assert.deepEqual(reached.slice(0, 3), [["Skip to the figures", "solid"], ["Sluice", "solid"], ["Forget key", "solid"]]);
    assert.deepEqual(reached.slice(3).map(([name]) => name), ["Connections", "Jobs", "First call", "Legend", "aprimo", "ga4-reports"]);
  });
});

test("no file of the page makes markup from text or asks another origin", async () => {
  const folder = new URL("../../www/", import.meta.url);
  for (const name of (await readdir(folder, { recursive: true })).filter((name) => /\.\w+$/.test(name))) {
    const body = await readFile(new URL(name, folder), "utf8");
    assert.doesNotMatch(body, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/, name);
    // The library's banner has the address of its project.
    if (name.startsWith("third-party")) continue;
    assert.doesNotMatch(body, /\sstyle=|\son\w+=/, name);
    assert.doesNotMatch(body.replace("http://www.w3.org/2000/svg", ""), /https?:\/\/|@import|\burl\(/, name);
  }
});
