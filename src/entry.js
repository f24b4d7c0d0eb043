// The Worker's entry: a plain handler over the class that worker-build makes. Of a class, the
// platform makes an object for each request.
import Entrypoint, { Tenant } from '../build/index.js';

const { fetch } = Entrypoint.prototype;

export default { fetch: (request, env, ctx) => fetch.call({ env, ctx }, request) };
export { Tenant };
