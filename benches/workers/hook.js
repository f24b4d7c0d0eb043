// Loaded before the shipped script, so that the memory of its Wasm can be read. Nothing else of it changes.
const { Instance } = WebAssembly;
export let memory;

WebAssembly.Instance = class extends Instance {
  constructor(module, imports) {
    super(module, imports);
    memory = this.exports.memory;
  }
};
