// SPDX-License-Identifier: MIT
// run_onnxruntime.js ORT MODEL.onnx values INPUT DIR       every output into DIR, listed in DIR/values.txt
// run_onnxruntime.js ORT MODEL.onnx output INPUT FILE...   the output of each INPUT into the FILE behind it
// run_onnxruntime.js ORT MODEL.onnx optimize FILE          the graph as onnxruntime fuses it
// ORT is the folder of onnxruntime-node. Inputs are raw float32; LEVEL=disabled switches fusing off;
// ROIS=FILE: the boxes of a detector's later stages.
'use strict';
const fs = require('fs');
const [ortDir, model, what, ...args] = process.argv.slice(2);
const ort = require(ortDir);

// Half precision travels as the bits of uint16: made by truncation (a step that the tolerance of such
// outputs allows), and read exactly.
const view = new DataView(new ArrayBuffer(4));
function toHalf(x) {
  view.setFloat32(0, x);
  const bits = view.getUint32(0);
  const exponent = ((bits >> 23) & 0xff) - 112;
  return ((bits >> 16) & 0x8000) | (exponent <= 0 ? 0 : (exponent << 10) | ((bits >> 13) & 0x3ff));
}
function fromHalf(h) {
  const exponent = (h >> 10) & 31;
  const magnitude = exponent ? (1024 + (h & 1023)) * 2 ** (exponent - 25) : (h & 1023) * 2 ** -24;
  return h & 0x8000 ? -magnitude : magnitude;
}

function raw(t) {
  const data = t.type === 'float16' && t.data instanceof Uint16Array ? Float32Array.from(t.data, fromHalf)
    : t.type === 'float16' ? Float32Array.from(t.data) : t.data;
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

function feed(session, path) {
  const meta = session.inputMetadata[0];
  const dims = meta.shape.map((d) => (typeof d === 'number' ? d : 1));
  const bytes = fs.readFileSync(path);
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  if (session.inputNames.length > 1) {
    const rois = new Float32Array(new Uint8Array(fs.readFileSync(process.env.ROIS)).buffer);
    return { [meta.name]: new ort.Tensor('float32', values, dims),
      rois: new ort.Tensor('float32', rois, [rois.length / 4, 4]) };
  }
  if (meta.type !== 'float16') return { [meta.name]: new ort.Tensor('float32', values, dims) };
  return { [meta.name]: new ort.Tensor('float16', Uint16Array.from(values, toHalf), dims) };
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
