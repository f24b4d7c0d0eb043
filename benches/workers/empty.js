// A Worker that does nothing. Its start-up time is the platform's part of every start-up.
export default { fetch: () => new Response("ok") };
