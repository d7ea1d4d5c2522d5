# SPDX-License-Identifier: MIT
"""Random commands. The options are read from the program's own --help, so new ones take part."""
import re
import subprocess

import soak_files

# values by option; others get values by the kind that --help shows
SOME = {
    '--weights': lambda r, f: r.choice([b'random', b'random:7', b'random:x'] + f.bad_weights +
                                       [w for _, w in f.good_weights]),
    '--calib': lambda r, f: r.choice([b'synthetic:1', b'synthetic:2', b'synthetic:0', b'synthetic:x'] * 3 +
                                     f.folders * 3 + f.bad_folders + f.good_images + f.bad_images),
    '--data': lambda r, f: r.choice(f.folders * 4 + f.bad_folders),
    '--labels': lambda r, f: r.choice(f.good_labels * 4 + f.bad_labels),
    '--classes': lambda r, f: r.choice(f.bad_labels + [b'tree', b'labels.csv']),
    '--exclude': lambda r, f: r.choice([b'features.0', b'conv1', b'classifier', b'nonsense', b'']),
    '--fallback': lambda r, f: r.choice([b'strided_pointwise', b'conv2d', b'nonsense']),
    '--threads': lambda r, f: r.choice([b'1', b'1', b'2', b'2', b'5', b'0', b'-1', b'1024', b'x']),
    '--runs': lambda r, f: r.choice([b'1', b'2', b'0', b'x']),
    '--warmup': lambda r, f: r.choice([b'0', b'1', b'-1']),
    '--seconds': lambda r, f: r.choice([b'0.01', b'0', b'nan', b'-3', b'1e9']),
    '--batch': lambda r, f: r.choice([b'1', b'2', b'3', b'0', b'4096', b'x']),
    '--size': lambda r, f: r.choice([b'64'] * 5 + [b'48x70', b'33', b'1', b'0', b'20', b'65535', b'x', b'64x']),
    '--resize': lambda r, f: r.choice([b'70', b'none', b'0', b'-1', b'nan', b'65535']),
    '--crop': lambda r, f: r.choice([b'64', b'48x64', b'0', b'1', b'x']),
    '--mean': lambda r, f: r.choice([b'0,0,0', b'.4,.5,.6', b'nan,0,0', b'1,2', b'inf,0,0', b'x']),
    '--std': lambda r, f: r.choice([b'1,1,1', b'0,1,1', b'1e-40,1,1', b'-1,1,1', b'x']),
    '--num-classes': lambda r, f: r.choice([b'2', b'5', b'1', b'1000', b'0', b'999999', b'x']),
    '--dump-node': lambda r, f: r.choice([b'all', b'features.0', b'conv1', b'nonsense']),
    '--isa': lambda r, f: r.choice([b'ref', b'avx2', b'avx512', b'auto', b'neon', b'sse']),
    '--timeout': lambda r, f: b'1',
    '--retries': lambda r, f: b'0',
    '--mirror': lambda r, f: r.choice([b'http://127.0.0.1:9/', b'https://127.0.0.1:9/', b'nonsense']),
    '--catalogue': lambda r, f: r.choice([b'gone.json', b'x.npy', b'labels.csv']),
    '--ca-file': lambda r, f: r.choice([b'gone.pem', b'x.npy']),
    '--opset': lambda r, f: r.choice([b'13', b'14', b'17', b'21', b'12', b'22', b'x']),
    '--calib-limit': lambda r, f: r.choice([b'1', b'2', b'0', b'x']),
}
# files and folders that are written
OUTPUTS = {'-o': ['out.safetensors', 'out.onnx'], '--report': ['report.txt', 'report.json'],
           '--json': ['out.json'], '--markdown': ['out.md'], '--table': ['tables'],
           '--dump-outputs': ['dump'], '--confusion': ['confusion.csv'], '--changes': ['changes.jsonl']}
ODD_OUTPUTS = [b'/dev/full', b'/dev/null', b'-', b'none/there/x', b'old.txt', b'link.out', b'small/x.out',
               b'o' * 250, b'o' * 300, b'images', b'', b'\xe9.out']


class Command:
    def __init__(self, words, outputs, limits):
        self.words, self.outputs, self.limits = words, outputs, limits

    def shown(self):
        quoted = []
        for word in self.words:
            word = word if isinstance(word, bytes) else word.encode()
            text = ''.join(chr(c) if 33 <= c < 127 and c not in b"'\\\"" else '\\x%02x' % c for c in word)
            quoted.append("$'%s'" % text if '\\' in text or not text else text)
        return 'qzoo ' + ' '.join(quoted) + (' [%s]' % self.limits if self.limits else '')


class Grammar:
    def __init__(self, qzoo, files):
        self.files, self.options = files, {}
        text = subprocess.run([qzoo, '--help'], capture_output=True, text=True, check=True).stdout
        for name in re.findall(r'^  ([a-z]+) +\S', text, re.M):
            help_text = subprocess.run([qzoo, name, '--help'], capture_output=True, text=True).stdout
            self.options[name] = [(o, v or None, h) for o, v, h in re.findall(
                r'^  (--?[a-z0-9-]+)(?: ([A-Z]\S*))? +(.*)', help_text, re.M)]

    def option_count(self):
        return sum(len(o) for o in self.options.values())

    def value(self, rng, option, kind, text):
        if option in SOME:
            return SOME[option](rng, self.files)
        if kind == 'WORD':
            words = re.search(r': ([a-z0-9_, ]+?)(?: \(default.*)?$', text)
            return rng.choice((words.group(1).split(', ') if words else []) + ['nonsense']).encode()
        if kind == 'N':
            return rng.choice([b'0', b'1', b'2', b'-5', b'x', b'99999999999999999999'])
        return rng.choice([b'x', b'', b'1', b'a,b', b'nonsense'])

    def model(self, rng):
        f = self.files
        pick = rng.random()
        if pick < .6:
            return rng.choice(soak_files.MODELS).encode()
        if pick < .8:
            return rng.choice(f.good_models)
        return rng.choice(f.bad_models + [b'resnet19', b'', b'fcn_resnet50', b'./gone.pth', b'x.npy', b'*net*'])

    def output(self, rng, option, i):
        if rng.random() < .15:
            return rng.choice(ODD_OUTPUTS)
        name = rng.choice(OUTPUTS[option])
        return ('%d-%s' % (i, name) if option != '--table' else name).encode()

    def command(self, rng):
        f = self.files
        if rng.random() < .01:
            return Command(rng.choice([[], ['--help'], ['--version'], ['nonsense'], ['--nonsense']]), [], '')
        name = rng.choice(['bench', 'run', 'run', 'eval', 'quantize', 'export', 'export', 'list', 'weights', 'cpu',
                           *self.options])
        words, outputs = [name], []
        weights = None
        if name in ('bench', 'run', 'eval', 'quantize', 'export'):
            model = self.model(rng)
            if f.good_weights and rng.random() < .2:
                model, weights = rng.choice(f.good_weights)
            words.append(model)
            if name == 'bench' and rng.random() < .3:
                words.append(self.model(rng))
        if name == 'run':
            for _ in range(rng.choice([1, 1, 2, 3, 0])):
                words.append(rng.choice(f.good_images * 3 + f.bad_images + f.folders + f.bad_folders))
        elif name == 'eval':
            words += ['--data', SOME['--data'](rng, f)]
            if rng.random() < .6:
                words += ['--labels', SOME['--labels'](rng, f)]
        elif name == 'list' and rng.random() < .6:
            words.append(self.model(rng))
        elif name == 'weights':
            what = rng.choice(['list', 'show', 'show', 'convert', 'convert', 'verify', 'path', 'prune', 'nonsense'])
            words.append(what)
            if what in ('show', 'convert'):
                words.append(rng.choice(f.bad_weights + f.good_models + f.bad_models + [w for _, w in f.good_weights]))
            if what == 'convert':
                words.append(rng.choice([b'converted.safetensors', b'/dev/full', b'none/x.safetensors']))
            elif rng.random() < .5 and what not in ('show', 'prune'):
                words.append(self.model(rng))
        if name in ('quantize', 'export') and rng.random() < .95:
            out = self.output(rng, '-o', 0)
            words += ['-o', out]
            outputs.append(('-o', out))
        if name == 'bench':
            words += ['--runs', rng.choice([b'1', b'2']), '--warmup', '0']
        if name in ('bench', 'export') or rng.random() < .3 and any(o == '--size' for o, _, _ in self.options[name]):
            words += ['--size', SOME['--size'](rng, f)]
        if weights:
            words += ['--weights', weights]
        if rng.random() < .7 and name != 'list':
            words += ['--calib', b'synthetic:1'] if name in ('quantize', 'export') else []
        for i in range(rng.choice([0, 0, 1, 1, 2, 3, 5])):
            option, kind, text = rng.choice(self.options[name])
            if option in ('--help', '--version', '--all', '--fetch') and rng.random() < .9:
                continue
            words.append(option)
            if not kind:
                continue
            if option in OUTPUTS:
                out = self.output(rng, option, i)
                outputs.append((option, out))
                words.append(out)
            else:
                words.append(self.value(rng, option, kind, text))
        limits = rng.choice([''] * 12 + ['memory', 'memory', 'files', 'size', 'processes', 'signal', 'signal'])
        return Command(words, outputs, limits)
