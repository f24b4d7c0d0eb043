// A Worker that sends each call on to the vendor, and no more.
export default {
  fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    return fetch(env.VENDOR + pathname + search, request);
  },
};
