// `npm run bench`: measures Sluice beside what a user would pick instead, and says of each limit whether it holds.
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildFloor, buildLoad } from './bench/builds.mjs';
import { core } from './bench/core.mjs';
import { cost } from './bench/cost.mjs';
import { edge } from './bench/edge.mjs';
import { goodput } from './bench/goodput.mjs';
import { startLoad } from './bench/load.mjs';
import { installPeers } from './bench/peers.mjs';
import { scale } from './bench/scale.mjs';
import { asMarkdown, asText, lines } from './bench/table.mjs';
import { wasm } from './bench/wasm.mjs';
import { watchers } from './bench/watchers.mjs';
import { inRoot } from './lib/places.mjs';
import { endTogether } from './lib/processes.mjs';
import { findRust } from './lib/rust.mjs';
import { fail, say, step } from './lib/say.mjs';
import { buildVendors } from './lib/mock-upstreams.mjs';
import { setUp } from './setup.mjs';

const USAGE = `npm run bench -- [SECTION]… [--out FILE] [--markdown FILE] [--docs] [--short]

  SECTION          core, edge, goodput, cost, scale, watchers, wasm; without, all: about 10 minutes on two cores
  --out FILE       the figures as JSON too
  --markdown FILE  the table as Markdown too
  --docs           the table into docs/benchmarks.md, in the former one's place
  --short          two minutes that show that all of it works; no figure to rely on`;

/** The page that holds the results of a whole run, between two markers. */
const RESULTS = 'docs/benchmarks.md';

/** Each section, with what it is told; and with what instead, where the run is to be short. */
const SECTIONS = {
  core: [core, {}, {}],
  wasm: [wasm, {}, { starts: 1 }],
  edge: [edge, {}, { turns: { starts: 1, seconds: 1, rounds: 25 } }],
  scale: [scale, {}, { tenants: [1, 10], waiting: [10, 100], seconds: 1, calls: 100 }],
  watchers: [watchers, {}, { rounds: 1 }],
  goodput: [goodput, {}, { seconds: 5 }],
  cost: [cost, {}, { seconds: 5, lone: 1 }],
};

function options() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { out: { type: 'string' }, markdown: { type: 'string' }, docs: { type: 'boolean', default: false }, short: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
  });
  const unknown = positionals.filter((name) => !(name in SECTIONS));
  if (unknown.length) throw new Error(`no section is called ${unknown.join(', ')}: there are ${Object.keys(SECTIONS).join(', ')}`);
  if (values.docs && (values.short || positionals.length)) throw new Error(`${RESULTS} takes the results of a whole run: leave --short and the sections out`);
  // npm runs scripts in the checkout; a relative file is meant from where the caller is.
  const from = (file) => file && resolve(process.env.npm_lifecycle_event === 'bench' ? process.env.INIT_CWD : '.', file);
  const names = Object.keys(SECTIONS).filter((name) => !positionals.length || positionals.includes(name));
  return { ...values, out: from(values.out), markdown: from(values.markdown), names };
}

function intoDocs(table) {
  const [file, between] = [inRoot(RESULTS), /(<!-- results -->\n)[^]*(<!-- \/results -->)/];
  const text = readFileSync(file, 'utf8');
  if (!between.test(text)) throw new Error(`${RESULTS} has no place for results: put <!-- results --> and <!-- /results --> on lines of their own`);
  writeFileSync(file, text.replace(between, (_, before, after) => `${before}${table}${after}`));
}

async function main() {
  const asked = options();
  if (asked.help) return say(USAGE);
  const life = endTogether();
  // The tests' way to name a build that is there already.
  const rust = process.env.SLUICE_BUILD ? await findRust() : await setUp();
  await installPeers();
  let program;
  await step('load program and mock vendors, build', async () => {
    program = await buildLoad(rust);
    await buildVendors(rust);
  });
  const world = { rust, program, short: asked.short, load: await startLoad(program) };
  if (asked.names.includes('edge')) world.floor = await buildFloor(rust);
  const [figures, notes] = [{}, {}];
  for (const name of asked.names) {
    const [measure, long, short] = SECTIONS[name];
    await step(name, async () => {
      const said = await measure({ ...world, ...(asked.short ? short : long) });
      figures[name] = said.figures ?? said;
      notes[name] = said;
    });
  }
  const table = lines(figures, notes);
  say(`\n${asText(table)}`);
  if (asked.out) writeFileSync(asked.out, `${JSON.stringify(figures, null, 2)}\n`);
  if (asked.markdown) writeFileSync(asked.markdown, asMarkdown(table));
  if (asked.docs) intoDocs(asMarkdown(table));
  await life.end(!asked.short && table.some(({ held }) => held === false) ? 1 : 0);
}

await main().catch(fail);
