// What Cloudflare's static assets do, as far as the status page needs it: the local runtime's disk service knows no types.
const TYPES = {
  html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8',
  json: 'application/json', svg: 'image/svg+xml', png: 'image/png', ico: 'image/vnd.microsoft.icon', txt: 'text/plain; charset=utf-8',
};

export default {
  async fetch(request, env) {
    if (request.method !== 'GET' && request.method !== 'HEAD') return new Response(null, { status: 405, headers: { Allow: 'GET, HEAD' } });
    const url = new URL(request.url);
    const folder = url.pathname.endsWith('/');
    const path = folder ? `${url.pathname}index.html` : url.pathname;
    const type = TYPES[path.split('.').at(-1)];
    // A folder would be answered with a listing.
    if (!type) return new Response(null, { status: 404 });
    const file = await env.DISK.fetch(`http://disk${path}`, { method: request.method });
    if (!file.ok) return new Response(null, { status: 404 });
    const headers = { 'Content-Type': type, 'Cache-Control': 'public, max-age=0, must-revalidate' };
    if (file.headers.has('Content-Length')) headers['Content-Length'] = file.headers.get('Content-Length');
    return new Response(file.body, { headers });
  },
};
