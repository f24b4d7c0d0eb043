// Wraps the shipped object, in a separate isolate, and measures what the platform would bill. The
// rows are those that SQLite reports as written, and one for each alarm that is set. The object is
// billed while a request is in flight in it, and while a timer keeps it awake.
import { DurableObject } from "cloudflare:workers";
import { memory } from "./hook.js";
import { Tenant as Shipped } from "./index.js";

const bill = { requests: 0, rows: 0, active_ms: 0 };
let busy = 0;
let since = 0;

function beginWork() {
  if (busy++ === 0) since = Date.now();
}

function endWork() {
  if (--busy === 0) bill.active_ms += Date.now() - since;
}

const timers = new Set();
const { setTimeout: set, clearTimeout: clear } = globalThis;

globalThis.setTimeout = (then, ms, ...more) => {
  beginWork();
  const timer = set(() => {
    if (timers.delete(timer)) endWork();
    then(...more);
  }, ms);
  timers.add(timer);
  return timer;
};

globalThis.clearTimeout = (timer) => {
  if (timers.delete(timer)) endWork();
  clear(timer);
};

async function metered(work) {
  bill.requests += 1;
  beginWork();
  try {
    return await work();
  } finally {
    endWork();
  }
}

// Returns the part of the platform's state that the object uses, with its rows counted.
function counted(state) {
  const { storage } = state;
  const sql = {
    exec(...statement) {
      const cursor = storage.sql.exec(...statement);
      bill.rows += cursor.rowsWritten;
      return cursor;
    },
  };
  const setAlarm = (at) => {
    bill.rows += 1;
    return storage.setAlarm(at);
  };
  return {
    storage: { sql, setAlarm },
    acceptWebSocket: (socket) => state.acceptWebSocket(socket),
    getWebSockets: () => state.getWebSockets(),
  };
}

export class Tenant extends DurableObject {
  constructor(state, env) {
    super(state, env);
    this.shipped = new Shipped(counted(state), env);
  }

  fetch(request) {
    return metered(() => this.shipped.fetch(request));
  }

  alarm() {
    return metered(() => this.shipped.alarm());
  }
}

// Answers with the bill so far.
export default {
  fetch() {
    const running = busy > 0 ? Date.now() - since : 0;
    return Response.json({ ...bill, active_ms: bill.active_ms + running, wasm_bytes: memory.buffer.byteLength });
  },
};
