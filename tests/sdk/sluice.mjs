// What the tests beside this file share: where Sluice is, the key, and what came over the wire.
import { subscribe } from 'node:diagnostics_channel';

const given = (name) => process.env[name] ?? (() => { throw new Error(`${name} is not set: run npm test -- sdk`); })();

export const sluice = given('SLUICE_URL');
export const key = given('SLUICE_KEY');

/** Every answer that a client of this process was given: its status, and the reason if Sluice refused. */
const answers = [];
subscribe('http.client.response.finish', ({ response }) => {
  answers.push({ status: response.statusCode, reason: response.headers['sluice-reason'] });
});

/** The answers since the last time, as `200` or `429 rate`. */
export const onTheWire = () => answers.splice(0).map(({ status, reason }) => (reason ? `${status} ${reason}` : `${status}`));
