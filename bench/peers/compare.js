// SPDX-License-Identifier: MIT
// compare.js - latency of this engine and of onnxruntime, in turns (A B A B …) in one run, on the same
// networks: what onnxruntime gets is what qzoo export wrote. Ratios are taken pair by pair, because a
// machine's speed drifts; quote them, not the times.
'use strict';
const { execFileSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const usage = `usage: compare [OPTION...] MODEL[:STAGE]...
  STAGE: a detector's network by itself, without what is between its stages: image; of Faster and
  Mask R-CNN also box (1000 RoIs, of the 320 network 150) and mask (100)
  --qzoo PATH          the program (build/tools/qzoo)
  --precision P,...    fp32, int8 (fp32,int8)
  --style S            qdq or qoperator: the form in which onnxruntime gets int8 (qdq)
  --threads N,...      (1,2)
  --rounds N           pairs of measurements (3)
  --seconds S          of each measurement (1)
  --backend B          arithmetic of int8 (auto)
  --work DIR           keep the int8 models in DIR, and take those that are there already
  --json FILE          the same as JSON
ratio: onnxruntime's median latency over ours, pair by pair; above 1 we are faster.`;

const root = path.join(__dirname, '..', '..');
const options = {
  qzoo: path.join(root, 'build', 'tools', 'qzoo'), precision: 'fp32,int8', style: 'qdq', threads: '1,2',
  rounds: '3', seconds: '1', backend: 'auto', json: '',
  work: '',
};
const models = [];

function refuse(text) {
  console.error(`compare: ${text}`);
  process.exit(2);
}

for (let i = 2; i < process.argv.length; i++) {
  const word = process.argv[i];
  if (word === '--help') {
    console.log(usage);
    process.exit(0);
  }
  if (!word.startsWith('--')) {
    if (!/^[^:]+(:(image|box|mask))?$/.test(word)) refuse(`${word}: stages are image, box and mask`);
    models.push(word);
    continue;
  }
  const name = word.slice(2);
  if (!(name in options)) refuse(`${word}: unknown option; --help lists them`);
  if (i + 1 >= process.argv.length) refuse(`${word}: needs a value`);
  options[name] = process.argv[++i];
}

const list = (text) => text.split(',').filter((word) => word.length > 0);
const precisions = list(options.precision);
const threads = list(options.threads).map(Number);
const rounds = Number(options.rounds);
const seconds = Number(options.seconds);
if (models.length === 0) refuse('name at least one model');
if (precisions.some((p) => p !== 'fp32' && p !== 'int8')) refuse('--precision: fp32, int8');
if (threads.length === 0 || threads.some((n) => !(n >= 1))) refuse('--threads: whole numbers from 1');
if (!(rounds >= 1) || !(seconds > 0)) refuse('--rounds and --seconds: numbers above 0');
if (!fs.existsSync(options.qzoo)) refuse(`${options.qzoo} is missing: meson compile -C build, or --qzoo`);
const ort = require(process.env.QZOO_ORT_NODE);

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

const qzoo = (...args) => execFileSync(options.qzoo, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

// ---- the two engines: a function that measures once, median in milliseconds ----

async function theirs(file, n, rois) {
  const session = await ort.InferenceSession.create(file, {
    intraOpNumThreads: n, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all',
    executionProviders: ['cpu'], logSeverityLevel: 3, freeDimensionOverrides: { N: 1, R: rois || 1 },
  });
  const meta = session.inputMetadata[0];
  const dims = meta.shape.map((d) => (typeof d === 'number' ? d : d === 'R' ? rois : 1));
  const values = new Float32Array(dims.reduce((a, b) => a * b, 1));
  let state = 12345;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    values[i] = (state / 0x7fffffff) * 4 - 2;
  }
  const feeds = { [meta.name]: new ort.Tensor('float32', values, dims) };
  return {
    measure: async () => {
      for (let i = 0; i < 3; i++) await session.run(feeds);
      const times = [];
      const end = process.hrtime.bigint() + BigInt(Math.round(seconds * 1e9));
      do {
        const begin = process.hrtime.bigint();
        await session.run(feeds);
        times.push(Number(process.hrtime.bigint() - begin) / 1e6);
      } while (process.hrtime.bigint() < end || times.length < 5);
      return median(times);
    },
    close: () => session.release(),
  };
}

// Detectors by stage. The thresholds of a two-stage network let nothing fall out, so that its later stages
// run on as many boxes as onnxruntime gets.
const roisOf = { box: (model) => (model.includes('_320_') ? 150 : 1000), mask: () => 100 };

function twoStages(model) {
  return /^(faster|mask)rcnn_/.test(model);
}

function settings(model) {
  if (!twoStages(model)) return [];
  const set = { rpn_post_nms_top_n_test: roisOf.box(model), rpn_nms_thresh: 1, box_score_thresh: 0, box_nms_thresh: 1 };
  return Object.entries(set).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
}

let about = null; // version, commit and CPU, as our program tells them

function ours(what, n, model, stage) {
  const text = qzoo('bench', what, '--threads', String(n), '--seconds', String(seconds), '--quiet', '--json', '-',
    ...(stage ? settings(model) : []));
  const result = JSON.parse(text);
  about = { version: result.version, commit: result.commit, cpu: result.cpu };
  return stage ? result.results[0].parts_ms[stage] : result.results[0].latency_ms.median;
}

// ---- all of it ----

async function compareOne(work, word, precision, n) {
  const [model, stage] = word.split(':');
  const part = stage && twoStages(model) ? ['--stage', stage] : [];
  const saved = path.join(work, `${model}.safetensors`);
  const onnx = path.join(work, `${model}.onnx`);
  if (precision === 'int8') {
    // the stages and thread counts of a model share its file
    if (!fs.existsSync(saved))
      qzoo('quantize', model, '--calib', 'synthetic:4', '--observer', 'minmax', '--backend', options.backend, '-o', saved, '--quiet');
    qzoo('export', saved, '--style', options.style, ...part, '-o', onnx, '--quiet');
  } else {
    qzoo('export', model, ...part, '-o', onnx, '--quiet');
  }
  const peer = await theirs(onnx, n, stage in roisOf ? roisOf[stage](model) : 0);
  const a = [];
  const b = [];
  for (let i = 0; i < rounds; i++) {
    b.push(await peer.measure());
    a.push(ours(precision === 'int8' ? saved : model, n, model, stage));
  }
  await peer.close();
  fs.rmSync(onnx, { force: true });
  const ratios = a.map((value, i) => b[i] / value);
  return {
    model: word, precision, threads: n, qzoo_ms: median(a), onnxruntime_ms: median(b), ratio: median(ratios),
    ratio_min: Math.min(...ratios), ratio_max: Math.max(...ratios),
  };
}

function printRow(row) {
  console.log([
    row.model.padEnd(40), row.precision, String(row.threads).padStart(7), row.qzoo_ms.toFixed(3).padStart(10),
    row.onnxruntime_ms.toFixed(3).padStart(14), row.ratio.toFixed(2).padStart(7),
    ` (${row.ratio_min.toFixed(2)}-${row.ratio_max.toFixed(2)})`,
  ].join(' '));
}

(async () => {
  const work = options.work || fs.mkdtempSync(path.join(os.tmpdir(), 'qzoo-peers-'));
  const version = JSON.parse(fs.readFileSync(path.join(process.env.QZOO_ORT_NODE, 'package.json'))).version;
  const rows = [];
  let status = 0;
  console.log(`${'model'.padEnd(40)} prec. threads    qzoo ms onnxruntime ms   ratio  (lowest-highest)`);
  try {
    for (const model of models)
      for (const precision of precisions)
        for (const n of threads) {
          try {
            const row = await compareOne(work, model, precision, n);
            rows.push(row);
            printRow(row);
          } catch (error) {
            console.error(`compare: ${model} ${precision}: ${String(error.message).split('\n')[0]}`);
            status = 1;
          }
        }
  } finally {
    if (!options.work) fs.rmSync(work, { recursive: true, force: true });
  }
  if (!about) process.exit(1);
  for (const precision of precisions)
    for (const n of threads) {
      const ratios = rows.filter((r) => r.precision === precision && r.threads === n).map((r) => r.ratio);
      if (ratios.length > 1) {
        const mean = Math.exp(ratios.reduce((sum, r) => sum + Math.log(r), 0) / ratios.length);
        console.log(`geometric mean ${mean.toFixed(2)} of ${ratios.length} models, ${precision}, threads: ${n}`);
      }
    }
  console.log(`qzoo ${about.version} (${about.commit}), onnxruntime-node ${version}, node ${process.version}, ` +
    `${about.cpu.name}, ${about.cpu.isa}; batch 1, ${rounds} rounds of ${seconds} s`);
  if (options.json) {
    const result = {
      schema: 'qzoo.peers/1', qzoo: about, onnxruntime: version, node: process.version, style: options.style,
      backend: options.backend, rounds, seconds, rows,
    };
    fs.writeFileSync(options.json, `${JSON.stringify(result, null, 1)}\n`);
  }
  process.exit(status);
})();
