// Makes examples of a first call through a connection: with curl, from JavaScript, and with the
// vendor's own SDK.

/**
 * What a first call needs to know of each vendor: a path that reads little, the place of the key,
 * and an example with the vendor's SDK.
 */
const VENDORS = {
  hubspot: {
    path: "/crm/v3/objects/contacts?limit=1",
    header: (key) => ["Authorization", `Bearer ${key}`],
    sdk: (base, key) => ["@hubspot/api-client", `import { Client } from "@hubspot/api-client";\n\nconst hubspot = new Client({ accessToken: "${key}", basePath: "${base}" });\nawait hubspot.crm.contacts.basicApi.getPage(10);`],
  },
  marketo: {
    path: "/rest/v1/leads/describe.json",
    header: (key) => ["Authorization", `Bearer ${key}`],
    sdk: (base, key) => ["marketorestpython", `from marketorestpython.client import MarketoClient\n\nmarketo = MarketoClient("123-ABC-456", "any-client-id", "${key}")\nmarketo.host = "${base}"\nmarketo.execute(method="describe")`],
  },
  salesforce: {
    path: "/services/data/v61.0/query?q=SELECT+Id+FROM+Account+LIMIT+1",
    header: (key) => ["Authorization", `Bearer ${key}`],
    sdk: (base, key) => ["jsforce", `import jsforce from "jsforce";\n\nconst salesforce = new jsforce.Connection({ instanceUrl: "${base}", accessToken: "${key}" });\nawait salesforce.query("SELECT Id FROM Account LIMIT 1");`],
  },
  mailchimp: {
    path: "/3.0/ping",
    header: (key) => ["Authorization", `Bearer ${key}`],
    sdk: (base, key) => ["@mailchimp/mailchimp_marketing", `import mailchimp from "@mailchimp/mailchimp_marketing";\n\nmailchimp.setConfig({ apiKey: "${key}" });\nmailchimp.basePath = "${base}/3.0";\nawait mailchimp.ping.get();`],
  },
  aprimo: { path: "/api/core/records?pageSize=1", header: (key) => ["Authorization", `Bearer ${key}`] },
  "ga4-data": { path: "/v1beta/properties/PROPERTY/metadata", header: (key) => ["Authorization", `Bearer ${key}`] },
  "ga4-mp": { path: (key) => `/mp/collect?measurement_id=G-XXXXXXX&api_secret=${key}`, method: "POST", body: '{"client_id":"1.1","events":[{"name":"test"}]}' },
  keap: { path: "/crm/rest/v2/contacts?page_size=1", header: (key) => ["X-Keap-API-Key", key] },
  "keap-oauth": { path: "/crm/rest/v2/contacts?page_size=1", header: (key) => ["Authorization", `Bearer ${key}`] },
};

/**
 * The same for any other vendor: the key goes in the header `Sluice-Key`, which Sluice prefers to
 * all other places.
 */
const OTHER = { path: "/", header: (key) => ["Sluice-Key", key] };

/**
 * The key in the examples. The key that the page is seen with may make no calls, and must not be
 * written anywhere.
 */
export const EXAMPLE_KEY = "slk_…";

/**
 * Returns the examples for a connection.
 * @param {string} origin the origin of this Sluice
 * @param {string} name the connection's name
 * @param {string} vendor the name of the vendor's profile
 * @returns {{base: string, examples: {key: string, title: string, code: string}[]}}
 */
export function firstCall(origin, name, vendor) {
  const { path, header, method, body, sdk } = Object.hasOwn(VENDORS, vendor) ? VENDORS[vendor] : OTHER;
  const base = `${origin}/v/${encodeURIComponent(name)}`;
  const url = base + (typeof path === "function" ? path(EXAMPLE_KEY) : path);
  const pair = header?.(EXAMPLE_KEY);
  const examples = [
    { key: "curl", title: "curl", code: curl({ url, pair, method, body }) },
    { key: "fetch", title: "JavaScript", code: script({ url, pair, method, body }) },
  ];
  if (sdk) {
    const [title, code] = sdk(base, EXAMPLE_KEY);
    examples.push({ key: "sdk", title: `SDK: ${title}`, code });
  }
  return { base, examples };
}

function curl({ url, pair, method, body }) {
  const parts = [`curl -i '${url}'`, pair && `-H '${pair.join(": ")}'`, method && !body && `-X ${method}`, body && `-d '${body}'`];
  return parts.filter(Boolean).join(" \\\n  ");
}

function script({ url, pair, method, body }) {
  const headers = [pair && `"${pair[0]}": "${pair[1]}"`, 'Prefer: "wait=5"'].filter(Boolean).join(", ");
  const lines = [`const answer = await fetch("${url}", {`, method && `  method: "${method}",`, `  headers: { ${headers} },`, body && `  body: JSON.stringify(${body}),`, "});"];
  lines.push('console.log(answer.status, answer.headers.get("Sluice-Reason"), await answer.text());');
  return lines.filter(Boolean).join("\n");
}
