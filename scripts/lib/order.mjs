// The order of a Wasm module's functions. gzip finds a repetition only within the last 32 kB, so functions that are alike stand together:
// a thirtieth of the download. wasm-opt puts functions in the order of their names; here each is given a name that says its place.

const CUSTOM = 0;
const IMPORTS = 2;
const CODE = 10;
/** Bytes of a run; functions are as alike as the runs that both have. Of 3 to 6, the one that gives the smallest file. */
const RUN = 4;
/** How much less an earlier function counts than the one just placed, for each 200 bytes between them. */
const FADING = 0.99;

/** The module, its functions named after their places. */
export function namedByPlace(wasm) {
  const sections = [...readSections(wasm)];
  const imported = functionsImported(sections.find(({ id }) => id === IMPORTS));
  const order = alikeTogether([...bodies(sections.find(({ id }) => id === CODE))]);
  const names = order.map((index, place) => [imported + index, String(place).padStart(6, '0')]).sort(([a], [b]) => a - b);
  const kept = sections.filter(({ name }) => name !== 'name').map(({ from, to }) => wasm.subarray(from, to));
  return Buffer.concat([wasm.subarray(0, 8), ...kept, nameSection(names)]);
}

/** Indices so that each function follows what it is most like: the largest first, then always the one with most in common with those before. */
function alikeTogether(functions) {
  const runs = functions.map(runsOf);
  const holders = new Map();
  runs.forEach((own, index) => own.forEach((run) => holders.set(run, [...(holders.get(run) ?? []), index])));
  // A rare run says more; one that every third function has, or one alone, nothing.
  const weight = ({ length }) => (length < 2 || length * 3 > functions.length ? 0 : Math.log(functions.length / length));
  const weights = runs.map((own) => own.reduce((sum, run) => sum + weight(holders.get(run)), Number.EPSILON));
  const likeness = new Float64Array(functions.length);
  const left = new Set(functions.keys());
  const order = [];
  let next = functions.reduce((largest, { length }, index) => (length > functions[largest].length ? index : largest), 0);
  while (left.size) {
    order.push(next);
    left.delete(next);
    const common = new Float64Array(functions.length);
    for (const run of runs[next]) for (const other of holders.get(run)) common[other] += weight(holders.get(run));
    const faded = FADING ** (1 + functions[next].length / 200);
    let best;
    for (const other of left) {
      likeness[other] = Math.max(likeness[other] * faded, common[other] / Math.sqrt(weights[other] * weights[next]));
      if (best === undefined || likeness[other] > likeness[best]) best = other;
    }
    next = best;
  }
  return order;
}

function runsOf(body) {
  const runs = new Set();
  for (let at = 0; at + RUN <= body.length; at++) runs.add(body.readUIntBE(at, RUN));
  return [...runs];
}

/** A number as Wasm writes it, and where what follows it begins. */
function readNumber(bytes, at) {
  for (let value = 0, scale = 1; ; scale *= 128) {
    const byte = bytes[at++];
    value += (byte & 127) * scale;
    if (byte < 128) return [value, at];
  }
}

function writeNumber(value) {
  const bytes = [];
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
  return Buffer.from([...bytes, value]);
}

/** Something's length, then itself. */
const withLength = (bytes) => Buffer.concat([writeNumber(bytes.length), bytes]);

function* readSections(wasm) {
  for (let from = 8; from < wasm.length; ) {
    const [length, at] = readNumber(wasm, from + 1);
    const to = at + length;
    const id = wasm[from];
    const body = wasm.subarray(at, to);
    yield { id, from, to, body, name: id === CUSTOM ? readText(body, 0)[0] : undefined };
    from = to;
  }
}

function readText(bytes, at) {
  const [length, from] = readNumber(bytes, at);
  return [bytes.toString('utf8', from, from + length), from + length];
}

function* bodies({ body }) {
  let [count, at] = readNumber(body, 0);
  for (; count > 0; count--) {
    const [length, from] = readNumber(body, at);
    at = from + length;
    yield body.subarray(from, at);
  }
}

/** How many functions are imported: they are numbered before the module's own. */
function functionsImported({ body }) {
  let functions = 0;
  let [count, at] = readNumber(body, 0);
  for (; count > 0; count--) {
    at = readText(body, readText(body, at)[1])[1];
    const kind = body[at++];
    if (kind === 0) functions++;
    at = pastType(body, at, kind);
  }
  return functions;
}

/** Where an import's type ends: a function's, table's, memory's, global's or tag's. */
function pastType(bytes, at, kind) {
  const past = (at) => readNumber(bytes, at)[1];
  if (kind === 0) return past(at);
  if (kind === 3) return at + 2;
  if (kind === 4) return past(at + 1);
  const limits = kind === 1 ? at + 1 : at;
  return bytes[limits] & 1 ? past(past(limits + 1)) : past(limits + 1);
}

function nameSection(names) {
  const entries = names.flatMap(([index, name]) => [writeNumber(index), withLength(Buffer.from(name))]);
  const functions = withLength(Buffer.concat([writeNumber(names.length), ...entries]));
  return Buffer.concat([Buffer.from([CUSTOM]), withLength(Buffer.concat([withLength(Buffer.from('name')), Buffer.from([1]), functions]))]);
}
