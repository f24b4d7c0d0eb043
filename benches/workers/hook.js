// Is loaded before the shipped script, and exports the memory of that script's Wasm so that it can
// be measured. It changes nothing else.
const { Instance } = WebAssembly;
export let memory;

WebAssembly.Instance = class extends Instance {
  constructor(module, imports) {
    super(module, imports);
    memory = this.exports.memory;
  }
};
