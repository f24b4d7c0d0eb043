// Starting programs, and leaving none behind.
//
// Every program is started in a process group of its own and named to one watcher, a shell that waits for this process's
// end, however it comes, and then kills the groups. So nothing outlives even a SIGKILL of this process.
import { spawn } from 'node:child_process';

let watcher;
const groups = new Map();
const GONE_WITHIN_MS = 3000;

function watch(pid) {
  watcher ??= newWatcher();
  watcher.stdin.write(`${pid}\n`);
}

function newWatcher() {
  const shell = spawn('/bin/sh', ['-c', WATCH], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  shell.unref();
  shell.stdin.unref();
  shell.stdin.on('error', () => {});
  return shell;
}

// A line "-N" says that group N has ended, so that its number, given to someone else later, is not killed.
const WATCH = `
live=
while read -r pid; do
  case $pid in
    -*) rest=; for p in $live; do [ "-$p" = "$pid" ] || rest="$rest $p"; done; live=$rest ;;
    *) live="$live $pid" ;;
  esac
done
for p in $live; do kill -s KILL -- "-$p" 2>/dev/null; done`;

/** Starts a program in its own group. Ends with this process. */
export function start(command, args, options = {}) {
  const child = spawn(command, args, { ...options, detached: true });
  if (child.pid) {
    groups.set(child.pid, child);
    watch(child.pid);
    child.once('exit', () => {
      groups.delete(child.pid);
      watcher.stdin.write(`-${child.pid}\n`);
    });
  }
  return child;
}

/** Kills a program with all that it started. SIGKILL: workerd stays on SIGTERM while a socket is open. */
export function kill(child) {
  try {
    if (child?.pid && groups.has(child.pid)) process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Ends with everything it started, on Ctrl-C, SIGTERM, SIGHUP, or when the program that started it is gone. */
export function endTogether() {
  let ended = false;
  const end = async (code) => {
    if (ended) return;
    ended = true;
    const children = [...groups.values()];
    for (const child of children) kill(child);
    const gone = Promise.all(children.map((child) => new Promise((exit) => child.once('exit', exit))));
    await Promise.race([gone, new Promise((late) => setTimeout(late, GONE_WITHIN_MS))]);
    process.exit(code);
  };
  // A terminal's Ctrl-C is the ordinary end, not a failure that npm should report.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(0));
  // Whoever reads the output may go first; that alone is no reason to stop.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const parent = process.ppid;
  if (parent > 1) setInterval(() => process.ppid === parent || end(0), 500).unref();
  return { end, ending: () => ended };
}

/** Runs a program to its end. Resolves to `{code, out}`, `out` being the last of what it printed unless shown at once. */
export function run(command, args, { show = false, timeoutSeconds, ...options } = {}) {
  return new Promise((resolve) => {
    const stdio = show ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'];
    const child = start(command, args, { ...options, stdio });
    let out = '';
    const keep = (chunk) => (out = (out + chunk).slice(-64_000));
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    const timer = timeoutSeconds && setTimeout(() => kill(child), timeoutSeconds * 1000);
    const end = (code, more = '') => {
      clearTimeout(timer);
      resolve({ code, out: out + more });
    };
    child.once('error', (error) => end(127, error.message));
    child.once('close', (code, signal) => end(code ?? 128, signal ? `\nended by ${signal}` : ''));
  });
}

/** What a program prints, trimmed; nothing when it fails or is not there. */
export async function ask(command, args, options) {
  const child = await run(command, args, options);
  return child.code === 0 ? child.out.trim() : undefined;
}

/** Runs a program that has to succeed. The error holds the end of what it printed. */
export async function must(command, args, options = {}) {
  const { code, out } = await run(command, args, options);
  if (code === 0) return out;
  const tail = out.trim().split('\n').slice(-40).join('\n');
  throw new Error(`${[command, ...args].join(' ')} ended with ${code}${tail ? `:\n${tail}` : ''}`);
}
