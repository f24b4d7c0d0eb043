// The Worker's entry, in place of the class that worker-build makes: of that the platform makes an object for each request. Its one object
// here still starts the Wasm anew where that must be.
import Entrypoint, { Tenant } from '../build/index.js';

const entry = new Entrypoint({}, {});

export default { fetch: (request, env, ctx) => entry.fetch.call({ env, ctx }, request) };
export { Tenant };
