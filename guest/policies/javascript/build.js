// Makes the component: `npm run build [-- FILE]`, by default policy.wasm beside this file.

import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { componentize } from '@bytecodealliance/componentize-js';

const beside = (path) => fileURLToPath(new URL(path, import.meta.url));

const { component } = await componentize({
  sourcePath: beside('src/policy.js'),
  witPath: beside('../../../wit'),
  worldName: 'policy',
  // Each of these would be an import of wasi:*, which no policy gets.
  disableFeatures: ['stdio', 'random', 'clocks', 'http', 'fetch-event'],
});
const file = process.argv[2] ?? beside('policy.wasm');
await writeFile(file, component);
console.log(`${file}: ${component.length} bytes`);
