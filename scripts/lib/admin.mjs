// An administrator's calls about one tenant.

/** A function `(method, path, body)` that resolves to the answer's JSON; any refusal is an error, but 404 to a DELETE. */
export function administration(url, token, tenant) {
  return async (method, path, body) => {
    const answer = await fetch(`${url}/admin/tenants/${tenant}${path}`, {
      method,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    const text = await answer.text();
    if (!answer.ok && !(method === 'DELETE' && answer.status === 404)) {
      throw new Error(`${method} /admin/tenants/${tenant}${path} was answered ${answer.status}: ${text.slice(0, 500)}`);
    }
    return text && answer.ok ? JSON.parse(text) : undefined;
  };
}
