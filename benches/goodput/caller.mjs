// One of the processes that saturate a vendor. It makes `callers` calls at a time, each as soon as
// the one before it has ended. It prints `ready`, begins when a line comes, and ends with a line of
// JSON: the path of each call, and its time in ms.
import { once } from 'node:events';
import { kinds } from './subjects.mjs';

const { kind, settings, name, callers, seconds } = JSON.parse(process.argv[2]);
const call = await kinds[kind](settings);
process.stdout.write('ready\n');
await once(process.stdin, 'data');
const began = performance.now();
const done = [];
let number = 0;

async function caller() {
  while (performance.now() - began < seconds * 1000) {
    const path = `/calls/${name}/${++number}`;
    const at = performance.now();
    await call(path);
    done.push([path, performance.now() - at]);
  }
}

// Calls that end after the run are not waited for.
const late = new Promise((end) => setTimeout(end, seconds * 1000 + 1000));
await Promise.race([Promise.all(Array.from({ length: callers }, caller)), late]);
process.stdout.write(`${JSON.stringify(done)}\n`, () => process.exit(0));
