// The load program: callers and a vendor in one thread of Rust, told what to do by lines of JSON.
import { createInterface } from 'node:readline';
import { kill, start } from '../lib/processes.mjs';

/** Starts it. `order(name, details)` resolves to what it said to that. */
export async function startLoad(program) {
  const child = start(program, [], { stdio: ['pipe', 'pipe', 'inherit'] });
  const waiting = new Map();
  let number = 0;
  const gone = new Promise((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`the load program ended (${signal ?? code})`)));
  });
  gone.catch(() => {});
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { id, said, fault } = JSON.parse(line);
    const { resolve, reject } = waiting.get(id) ?? { reject: (error) => { throw error; } };
    waiting.delete(id);
    if (fault) reject(new Error(`the load program: ${fault}`));
    else resolve(said);
  });
  const order = (name, details = {}) => Promise.race([gone, new Promise((resolve, reject) => {
    waiting.set(++number, { resolve, reject });
    child.stdin.write(`${JSON.stringify({ id: number, do: name, ...details })}\n`);
  })]);
  const { url } = await order('vendor');
  return { order, vendor: url, stop: () => kill(child) };
}
