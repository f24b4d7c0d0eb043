// What the tests beside this file share: the URL of Sluice, the key, and a record of the answers.
import { subscribe } from 'node:diagnostics_channel';

const variable = (name) => process.env[name] ?? (() => { throw new Error(`${name} is not set: run npm test -- sdk`); })();

export const sluice = variable('SLUICE_URL');
export const key = variable('SLUICE_KEY');

/**
 * Every answer that a client of this process has received: its status, and the reason if Sluice
 * refused.
 */
const answers = [];
subscribe('http.client.response.finish', ({ response }) => {
  answers.push({ status: response.statusCode, reason: response.headers['sluice-reason'] });
});

/** Returns the answers since the last call of this function, as `200` or `429 rate`. */
export const onTheWire = () => answers.splice(0).map(({ status, reason }) => (reason ? `${status} ${reason}` : `${status}`));
