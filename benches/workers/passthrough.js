// A Worker that forwards each call to the vendor, and does nothing else.
export default {
  fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    return fetch(env.VENDOR + pathname + search, request);
  },
};
