// What the scripts print: one line when a step begins, one with its time when it ends.

export const say = (line = '') => process.stdout.write(`${line}\n`);

export const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/** Runs a step and prints how long it took. The step may return a few words to add, such as a version. */
export async function step(name, work, note = '') {
  const began = performance.now();
  say(`${name}${note ? ` (${note})` : ''} …`);
  const more = await work();
  say(`${name}: ${seconds(began)}${more ? `, ${more}` : ''}`);
}

/** Ends the program, and with it all that it started, with one message and no stack trace for what is not a fault of the program. */
export function fail(error) {
  process.stderr.write(`\n${process.env.SLUICE_TRACE ? error.stack : error.message}\n`);
  process.exit(1);
}
