#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""soak.py QZOO [--seconds N] [--seed N] [--commands N] [--data DIR] [--keep]

Runs random commands of the program for a long time, over all subcommands, models, options, good
and broken files, with limits on memory, files, processes and disk, and with signals. The same seed
makes the same commands; --commands 1 after a failure's printed seed repeats that one.

It looks for: crashes, hangs, sanitizer reports, wrong exit statuses, failures without one clear
line, exit 0 without the result or with NaN in it, rows lost from JSON and latency tables, files
left behind, files replaced by a failed run. It ends with the number of commands of each kind and
status, and exits 1 if anything was found.
"""
import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import soak_commands
import soak_files
import soak_run

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument('qzoo')
parser.add_argument('--seconds', type=float, default=3600)
parser.add_argument('--seed', type=int, default=1)
parser.add_argument('--commands', type=int, default=0, help='stop after so many; 0: by time')
parser.add_argument('--data', default=os.environ.get('QZOO_TEST_DATA', ''),
                    help='real images and weights, used where they are')
parser.add_argument('--keep', action='store_true', help='leave the work folder')
args = parser.parse_args()

qzoo = os.path.realpath(args.qzoo)
work = tempfile.mkdtemp(prefix='qzoo-soak-')
files = soak_files.Files(work, qzoo, args.data)
grammar = soak_commands.Grammar(qzoo, files)
runner = soak_run.Runner(qzoo, files)
end = time.monotonic() + args.seconds
counts, found, number = collections.Counter(), 0, 0
print('soak: %s, seed %d, %d options of %d commands' % (
    qzoo, args.seed, grammar.option_count(), len(grammar.options)), flush=True)
while time.monotonic() < end and (args.commands == 0 or number < args.commands):
    seed = args.seed + number
    number += 1
    rng = random.Random(seed)
    command = grammar.command(rng)
    faults, status = runner.run(command, rng)
    counts[(command.words[0] if command.words else '', status)] += 1
    for fault in faults:
        found += 1
        print('FOUND (seed %d): %s\n  %s' % (seed, fault, command.shown()), flush=True)
    if number % 500 == 0:
        print('%d commands, %d found' % (number, found), flush=True)

print('%d commands of seeds %d to %d, %d found' % (number, args.seed, args.seed + number - 1, found))
for name in sorted({name for name, _ in counts}):
    print('  %-9s %s' % (name, '  '.join('%s: %d' % (status, n) for (other, status), n in
                                          sorted(counts.items(), key=str) if other == name)))
if args.keep:
    print('work folder: ' + work)
else:
    shutil.rmtree(work, ignore_errors=True)
sys.exit(1 if found else 0)
