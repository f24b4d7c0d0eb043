// A Worker that does nothing: what is left of a start when the script has nothing in it.
export default { fetch: () => new Response("ok") };
