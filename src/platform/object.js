// What a tenant's object needs of JavaScript: its sockets, timers, alarm, SQLite and time zones. No decision is taken here.

export function sqlOf(state) {
  return state.storage.sql;
}

// Takes a WebSocket in, which may outlive the object's memory; its note stays with it.
export function accept(state, request, note, first) {
  const { 0: client, 1: server } = new WebSocketPair();
  state.acceptWebSocket(server);
  server.serializeAttachment(note);
  if (first) server.send(first);
  const protocol = request.headers.get("sec-websocket-protocol");
  return new Response(null, { status: 101, webSocket: client, headers: protocol ? { "Sec-WebSocket-Protocol": protocol } : {} });
}

export function sockets(state) {
  return state.getWebSockets();
}

export function note(socket) {
  return socket.deserializeAttachment();
}

export function tellAll(sockets, message) {
  for (const socket of sockets) {
    try {
      socket.send(message);
    } catch {}
  }
}

export function close(socket, code, reason) {
  try {
    socket.close(code, reason);
  } catch {}
}

export function after(milliseconds, then) {
  return setTimeout(then, milliseconds);
}

// A finaliser may cancel as well, in no request of the object's: there the platform has no timers, and throws.
export function cancel(timer) {
  try {
    clearTimeout(timer);
  } catch {}
}

export function watch(request, then) {
  const { signal } = request;
  if (signal.aborted) queueMicrotask(then);
  else signal.addEventListener("abort", then);
}

export function unwatch(request, then) {
  try {
    request.signal.removeEventListener("abort", then);
  } catch {}
}

// Part of the event's own commit, so there is nothing to wait for.
export function setAlarm(storage, at) {
  storage.setAlarm(at).catch(() => {});
}

export function load(sql, query, id) {
  const [row] = sql.exec(query, id).raw().toArray();
  return row === undefined ? undefined : new Uint8Array(row[0]);
}

export function all(sql, query, ...bindings) {
  return sql.exec(query, ...bindings).raw().toArray().map(([id, value]) => [id, new Uint8Array(value)]);
}

export function run(sql, query, ...bindings) {
  sql.exec(query, ...bindings);
}

// A zone's offset from UTC at a moment, in seconds; NaN for a zone the platform does not know. Formatters are slow to
// make, so they are kept; as many as there could be zones in use at once in one isolate.
const formatters = new Map();

export function offset(zone, at) {
  let formatter = formatters.get(zone);
  if (!formatter) {
    try {
      formatter = new Intl.DateTimeFormat("en-US", {
        timeZone: zone,
        calendar: "iso8601",
        hourCycle: "h23",
        year: "numeric",
        month: "numeric",
        day: "numeric",
        hour: "numeric",
        minute: "numeric",
        second: "numeric",
      });
    } catch {
      return Number.NaN;
    }
    if (formatters.size >= 64) formatters.clear();
    formatters.set(zone, formatter);
  }
  const part = Object.fromEntries(formatter.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  const civil = Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second);
  return Math.round((civil - Math.floor(at / 1000) * 1000) / 1000);
}
