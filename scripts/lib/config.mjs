// The little that the local runtime has to know of wrangler.toml, so that both run the same.
import { readFileSync } from 'node:fs';
import { inRoot } from './places.mjs';

/** `{main, compatibilityDate, compatibilityFlags, assets, objects}`; reads only this project's own, plainly written file. */
export function wranglerConfig() {
  const text = readFileSync(inRoot('wrangler.toml'), 'utf8');
  const need = (pattern) => {
    const found = text.match(pattern)?.[1];
    if (found === undefined) throw new Error(`wrangler.toml has nothing that looks like ${pattern}`);
    return found;
  };
  return {
    main: need(/^main = "([^"]+)"/m),
    compatibilityDate: need(/^compatibility_date = "([^"]+)"/m),
    compatibilityFlags: JSON.parse(need(/^compatibility_flags = (\[[^\]]*\])/m)),
    assets: need(/^\[assets\]\ndirectory = "([^"]+)"/m),
    objects: [...text.matchAll(/^\[\[durable_objects\.bindings\]\]\nname = "(\w+)"\nclass_name = "(\w+)"/gm)].map(
      ([, binding, className]) => ({ binding, className }),
    ),
  };
}

/** The settings of a `.dev.vars` file, in dotenv's form: KEY=VALUE, quotes optional, `#` begins a comment line. */
export function parseVars(text) {
  const vars = {};
  for (const line of text.split('\n')) {
    const found = line.match(/^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/);
    if (!found) continue;
    const quoted = found[2].match(/^(["'])(.*)\1$/);
    vars[found[1]] = quoted ? quoted[2] : found[2];
  }
  return vars;
}
