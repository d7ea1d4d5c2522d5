# SPDX-License-Identifier: MIT
"""The files that random commands are given: good ones, and broken ones of each kind."""
import json
import os
import random
import shutil
import struct
import subprocess

MODELS = ['squeezenet1_1', 'shufflenet_v2_x0_5', 'mobilenet_v3_small', 'mnasnet0_5']


def bmp(width, height, seed):
    rng = random.Random(seed)
    row = (width * 3 + 3) // 4 * 4
    head = b'BM' + struct.pack('<IIIIiiHHIIiiII', 54 + row * height, 0, 54, 40, width, height, 1, 24,
                               0, row * height, 2835, 2835, 0, 0)
    return head + bytes(rng.getrandbits(8) for _ in range(row * height))


def npy(shape, value=b'\x00\x00\x00\x3f', dtype='<f4', fortran=False):
    count = 1
    for d in shape:
        count *= d
    text = "{'descr': '%s', 'fortran_order': %s, 'shape': %r, }" % (dtype, fortran, tuple(shape))
    text += ' ' * (-(len(text) + 11) % 64) + '\n'
    return b'\x93NUMPY\x01\x00' + struct.pack('<H', len(text)) + text.encode() + value * count


def safetensors(tensors, metadata=None):
    at, head, body = 0, {}, b''
    if metadata:
        head['__metadata__'] = metadata
    for key, shape in tensors:
        n = 4
        for d in shape:
            n *= d
        head[key] = {'dtype': 'F32', 'shape': shape, 'data_offsets': [at, at + n]}
        at, body = at + n, body + b'\0' * n
    text = json.dumps(head).encode()
    text += b' ' * (-len(text) % 8)
    return struct.pack('<Q', len(text)) + text + body


class Files:
    """Lists of paths by kind; relative to the work folder, which each command runs in."""

    def __init__(self, work, qzoo, data):
        self.work = work
        self.good_images, self.bad_images = [], []
        self.good_weights, self.bad_weights = [], []  # (model, path)
        self.good_models, self.bad_models = [], []    # saved int8 models
        self.good_labels, self.bad_labels = [], []
        self.folders, self.bad_folders = [], []
        os.makedirs(os.path.join(work, 'images'))
        self.images(data)
        self.labels()
        self.weights(qzoo, data)

    def put(self, name, content, where):
        path = os.path.join(os.fsencode(self.work), name if isinstance(name, bytes) else name.encode())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(content)
        where.append(os.path.relpath(path, os.fsencode(self.work)))

    def images(self, data):
        good, bad = self.good_images, self.bad_images
        self.put('images/a.bmp', bmp(64, 64, 1), good)
        self.put('images/b c.bmp', bmp(71, 90, 2), good)
        self.put(b'images/caf\xe9.bmp', bmp(40, 33, 3), good)
        self.put('images/caf\u00e9\\x.bmp', bmp(40, 33, 4), good)
        self.put('images/' + 'n' * 240 + '.bmp', bmp(32, 32, 5), good)
        self.put('images/tiny.bmp', bmp(1, 1, 6), good)
        self.put('images/\x1b[31mred.bmp', bmp(30, 30, 7), good)
        self.put('x.npy', npy([1, 3, 64, 64]), good)
        self.put('y.npy', npy([2, 3, 48, 64]), good)
        self.put('z.npy', npy([3, 64, 64]), good)
        self.put('nan.npy', npy([1, 3, 64, 64], b'\0\0\xc0\x7f'), bad)
        self.put('huge.npy', npy([1, 3, 64, 64], b'\xff\xff\x7f\x7f'), bad)
        self.put('nhwc.npy', npy([1, 64, 64, 3]), bad)
        self.put('five.npy', npy([1, 1, 3, 8, 8]), bad)
        self.put('empty.npy', npy([0, 3, 64, 64]), bad)
        self.put('claims.npy', npy([1, 3, 64, 64]).replace(b'64, 64', b'9999999, 9999999')[:200], bad)
        self.put('zero.png', b'', bad)
        self.put('fake.png', b'\x89PNG\r\n\x1a\n no image', bad)
        self.put('cut.bmp', bmp(64, 64, 8)[:900], bad)
        self.put('text.jpg', b'hello\n', bad)
        os.mkfifo(os.path.join(self.work, 'fifo.png'))
        os.symlink('nowhere.png', os.path.join(self.work, 'dangling.png'))
        os.symlink('loop.png', os.path.join(self.work, 'loop.png'))
        bad += [b'fifo.png', b'dangling.png', b'loop.png', b'gone.png', b'/dev/null', b'/dev/zero',
                b'/proc/self/mem', b'images/a.bmp/x.png', b'']
        for i, name in enumerate(['bus.jpg', 'dog.jpg']):
            path = os.path.join(data, 'det', name)
            if data and os.path.exists(path):
                shutil.copy(path, os.path.join(self.work, 'images', 'real%d.jpg' % i))
                good.append(b'images/real%d.jpg' % i)
        self.folders.append(b'images')
        for name in ['none', 'mixed', 'tree/cat', 'tree/dog', 'tree/__MACOSX', 'pipes']:
            os.makedirs(os.path.join(self.work, name), exist_ok=True)
        self.put('tree/cat/1.bmp', bmp(50, 50, 9), [])
        self.put('tree/cat/2.bmp', bmp(50, 60, 10), [])
        self.put('tree/dog/1.bmp', bmp(60, 50, 11), [])
        self.put('mixed/1.bmp', bmp(50, 50, 12), [])
        self.put('mixed/2.png', b'broken', [])
        self.put('mixed/3.webp', b'RIFF', [])
        os.mkfifo(os.path.join(self.work, 'pipes', '1.png'))
        self.folders.append(b'tree')
        self.bad_folders += [b'none', b'mixed', b'pipes', b'gone', b'x.npy', b'/proc', b'/dev']

    def labels(self):
        good, bad = self.good_labels, self.bad_labels
        self.put('labels.csv', b'file,class_index\na.bmp,3\nb c.bmp,1\n', good)
        self.put('bom.csv', b'\xef\xbb\xbffile,class_index\r\ntiny.bmp,0\r\n', good)
        self.put('range.csv', b'file,class_index\na.bmp,1000000\n', bad)
        self.put('gone.csv', b'file,class_index\ngone.bmp,1\n', bad)
        self.put('words.csv', b'file,class_index\na.bmp,cat\n', bad)
        self.put('twice.csv', b'file,class_index\na.bmp,1\na.bmp,2\n', bad)
        self.put('nothing.csv', b'', bad)
        self.put('nul.csv', b'file,class_index\na.bmp\0,1\n', bad)
        self.put('long.csv', b'file,class_index\n' + b'q' * 100000 + b',1\n', bad)
        bad += [b'none', b'fifo.png', b'absent.csv']

    def weights(self, qzoo, data):
        bad = self.bad_weights
        for i, model in enumerate(MODELS[:2]):
            path = 'int8-%d.safetensors' % i
            subprocess.run([qzoo, 'quantize', model, '--calib', 'synthetic:2', '--size', '64', '-o', path],
                           cwd=self.work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if not os.path.exists(os.path.join(self.work, path)):
                subprocess.run([qzoo, 'quantize', model, '--calib', 'synthetic:1', '-o', path],
                               cwd=self.work, stdout=subprocess.DEVNULL, check=True)
            self.good_models.append(path.encode())
            content = open(os.path.join(self.work, path), 'rb').read()
            rng = random.Random(i)
            for k in range(6):
                broken = bytearray(content)
                if k < 2:
                    del broken[rng.randrange(len(broken)):]
                else:
                    for _ in range(10):
                        broken[rng.randrange(8, 20000)] = rng.getrandbits(8)
                self.put('broken-%d-%d.safetensors' % (i, k), bytes(broken), self.bad_models)
        self.put('part.safetensors', safetensors([('features.0.bias', [64])]), bad)
        self.put('stray.safetensors', safetensors([('total_ops', [1])]), bad)
        self.put(b'\xff\xfe.safetensors', safetensors([('a\x1b[31m', [1])]), bad)
        self.put('fake.pth', b'PK\x03\x04 nothing', bad)
        self.put('pickle.pth', b'\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R.', bad)
        self.put('empty.pth', b'', bad)
        self.put('huge.safetensors', b'\0\0\0\0\0\0\0\x80{}', bad)
        bad += [b'./none', b'./fifo.png', b'./gone.pth', b'./x.npy', b'IMAGENET1K_V1', b'nonsense']
        folder = os.path.join(data, 'weights')
        for name in sorted(os.listdir(folder)) if data and os.path.isdir(folder) else []:
            model = name.split('-')[0]
            if model in ('squeezenet1_1', 'mobilenet_v3_small', 'mobilenet_v2', 'squeezenet1_0'):
                os.symlink(os.path.realpath(os.path.join(folder, name)), os.path.join(self.work, name))
                self.good_weights.append((model.encode(), b'./' + name.encode()))
