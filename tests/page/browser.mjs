// Starts the machine's Chromium. `SLUICE_CHROMIUM` names its path where it is in none of the usual
// places.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/usr/bin/google-chrome-stable"];
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** Returns the path of a Chromium, or null if there is none. */
export function chromiumPath() {
  return [process.env.SLUICE_CHROMIUM, ...PLACES].find((path) => path && existsSync(path)) ?? null;
}

/** Starts a browser, which the caller must close. */
export async function launch() {
  const executablePath = chromiumPath();
  if (!executablePath) throw new Error(`no Chromium in ${PLACES.join(", ")}: install one, or name it in SLUICE_CHROMIUM`);
  return chromium.launch({ executablePath, args: FLAGS });
}
