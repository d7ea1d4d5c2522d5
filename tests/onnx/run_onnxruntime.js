// SPDX-License-Identifier: MIT
// run_onnxruntime.js ORT MODEL.onnx values INPUT DIR       every output into DIR, listed in DIR/values.txt
// run_onnxruntime.js ORT MODEL.onnx output INPUT FILE...   the output of each INPUT into the FILE behind it
// run_onnxruntime.js ORT MODEL.onnx optimize FILE          the graph as onnxruntime fuses it
// ORT is the folder of onnxruntime-node. Inputs are raw float32; LEVEL=disabled switches fusing off.
'use strict';
const fs = require('fs');
const [ortDir, model, what, ...args] = process.argv.slice(2);
const ort = require(ortDir);

const raw = (t) => Buffer.from(t.data.buffer, t.data.byteOffset, t.data.byteLength);

function feed(session, path) {
  const meta = session.inputMetadata[0];
  const dims = meta.shape.map((d) => (typeof d === 'number' ? d : 1));
  const bytes = fs.readFileSync(path);
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return { [meta.name]: new ort.Tensor('float32', values, dims) };
}

(async () => {
  const options = {
    intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: 'sequential', logSeverityLevel: 3,
    graphOptimizationLevel: process.env.LEVEL || 'all', executionProviders: ['cpu'],
  };
  if (what === 'optimize') options.optimizedModelFilePath = args[0];
  const session = await ort.InferenceSession.create(model, options);
  if (what === 'values') {
    const results = await session.run(feed(session, args[0]));
    const lines = session.outputNames.map((name, i) => {
      fs.writeFileSync(`${args[1]}/${i}`, raw(results[name]));
      return `${i} ${name}\n`;
    });
    fs.writeFileSync(`${args[1]}/values.txt`, lines.join(''));
  } else if (what === 'output') {
    for (let i = 0; i + 1 < args.length; i += 2) {
      const results = await session.run(feed(session, args[i]));
      fs.writeFileSync(args[i + 1], raw(results[session.outputNames[0]]));
    }
  }
})().catch((e) => { console.error(`${model}: ${e.message.split('\n')[0]}`); process.exit(1); });
