// Takes pictures of the page, as PNG files:
//   node tests/page/screenshots.mjs          the pictures of the documents, into docs/
//   node tests/page/screenshots.mjs FOLDER   every state worth looking at

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { launch } from "./browser.mjs";
import { busy, failing, hostile, idle, jobs, reports } from "./documents.mjs";
import { FakeSluice, KEY, OPERATOR_KEY } from "./fake-sluice.mjs";

const all = process.argv.length > 2;
const folder = process.argv[2] ?? fileURLToPath(new URL("../../docs/", import.meta.url));
await mkdir(folder, { recursive: true });
const fake = await new FakeSluice().start();
const browser = await launch();
const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 360, height: 740 };

async function shot(name, { document: make = null, viewport = WIDE, colorScheme = "light", key = KEY, setup = null, scale = 1.5, fullPage = true, after = async () => {} }) {
  fake.setup = setup;
  fake.status = make?.(Date.now()) ?? null;
  fake.reports = fake.status && reports(fake.status, Date.now());
  fake.jobs = make === failing ? jobs(Date.now()) : { dead: [], running: [], queued: [] };
  const page = await browser.newPage({ viewport, colorScheme, deviceScaleFactor: scale, timezoneId: "Europe/Berlin", reducedMotion: "reduce" });
  await page.goto(`${fake.url}/${key ? `#key=${key}` : ""}`);
  await page.waitForSelector(setup ? "#setup:not([hidden])" : make ? ".card, #empty:not([hidden])" : "#key-panel:not([hidden])");
  if (make) await page.waitForSelector("#phase[data-state=flowing]");
  if (make) await page.waitForFunction(() => [...document.querySelectorAll(".use")].every((use) => use.textContent.includes("Today") && !use.textContent.includes("…")));
  await after(page);
  await page.waitForTimeout(300);
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage });
  await page.close();
  console.log(join(folder, `${name}.png`));
}

async function ofTheDocuments() {
  const first = { scale: 1, fullPage: false, key: OPERATOR_KEY };
  await shot("page-busy-light", { ...first, document: busy, viewport: { width: 1280, height: 1180 } });
  await shot("page-failing-dark", { ...first, document: failing, viewport: { width: 1280, height: 1440 }, colorScheme: "dark" });
  await shot("page-idle-light", { ...first, document: idle, viewport: { width: 1280, height: 640 } });
  await shot("page-failing-narrow", { ...first, document: failing, viewport: { width: 360, height: 1400 } });
}

async function everything() {
  for (const [name, make] of Object.entries({ busy, idle, failing })) {
    await shot(`${name}-light`, { document: make });
    await shot(`${name}-dark`, { document: make, colorScheme: "dark" });
    await shot(`${name}-narrow`, { document: make, viewport: NARROW });
  }
  await shot("narrow-dark", { document: failing, viewport: NARROW, colorScheme: "dark" });
  await shot("middle", { document: busy, viewport: { width: 800, height: 900 } });
  await shot("hostile", { document: hostile });
  await shot("hostile-narrow", { document: hostile, viewport: NARROW });
  await shot("key", { key: null });
  await shot("key-narrow-dark", { key: null, viewport: NARROW, colorScheme: "dark" });
  await shot("setup", { key: null, setup: "the secret MASTER_KEY is missing: set it to 32 random bytes in base64" });
  await shot("stale", {
    document: failing,
    after: async (page) => {
      await fake.stop();
      await page.waitForSelector("#error:not([hidden])");
    },
  });
}

await (all ? everything() : ofTheDocuments());
await browser.close();
