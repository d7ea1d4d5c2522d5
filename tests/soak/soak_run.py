# SPDX-License-Identifier: MIT
"""Runs one command under limits, and judges what it did."""
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time

TIMEOUT = 90
SANITIZER = re.compile(rb'AddressSanitizer|runtime error:|LeakSanitizer')
CONTROL = re.compile(rb'[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]')
NUMBER = re.compile(rb'(?<![A-Za-z0-9_.-])-?(nan|inf)(?![A-Za-z0-9_])')


def limit(kind, amount):
    def apply():
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if kind == 'memory':
            resource.setrlimit(resource.RLIMIT_AS, (amount, amount))
        elif kind == 'files':
            resource.setrlimit(resource.RLIMIT_NOFILE, (amount, amount))
        elif kind == 'size':
            resource.setrlimit(resource.RLIMIT_FSIZE, (amount, amount))
        elif kind == 'processes':
            resource.setrlimit(resource.RLIMIT_NPROC, (amount, amount))
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
    return apply


class Runner:
    def __init__(self, qzoo, files):
        self.qzoo, self.files, self.work = qzoo, files, files.work
        self.env = dict(os.environ, QZOO_HOME=os.path.join(self.work, 'home'),
                        TORCH_HOME=os.path.join(self.work, 'torch'), ASAN_OPTIONS='detect_leaks=1')
        os.chmod(self.work, 0o777)
        with open(os.path.join(self.work, 'old.txt'), 'w') as f:
            f.write('old\n')
        os.symlink('old.txt', os.path.join(self.work, 'link.out'))
        small = os.path.join(self.work, 'small')
        os.mkdir(small)
        # a disk of 64 kB, where this user may mount one
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', small], stderr=subprocess.DEVNULL)
        self.table_rows = 0

    def listing(self):
        found = {}
        for folder in ('.', 'small', 'none', 'images', 'tables'):
            path = os.path.join(self.work, folder)
            for name in os.listdir(os.fsencode(path)) if os.path.isdir(path) else []:
                found[os.path.join(folder.encode(), name)] = os.lstat(os.path.join(os.fsencode(path), name))
        return found

    def run(self, command, rng):
        before = self.listing()
        amount = {'memory': rng.choice([60, 150, 400, 1500]) << 20, 'files': rng.choice([4, 6, 12]),
                  'size': rng.choice([100, 5000, 1000000]), 'processes': 1}.get(command.limits, 0)
        start = time.monotonic()
        process = subprocess.Popen([self.qzoo] + command.words, cwd=self.work, env=self.env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   preexec_fn=limit(command.limits, amount))
        sent = None
        try:
            if command.limits == 'signal':
                sent = rng.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
                try:
                    out, err = process.communicate(timeout=rng.random() * .6)
                    sent = None
                except subprocess.TimeoutExpired:
                    process.send_signal(sent)
            out, err = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return ['hangs: no end after %d s' % TIMEOUT], 'hang'
        status = process.returncode
        faults = self.judge(command, status, out, err, sent)
        faults += self.judge_files(command, status, before, sent)
        if time.monotonic() - start > 60:
            faults.append('took %.0f s' % (time.monotonic() - start))
        self.clean(before)
        return faults, status

    def judge(self, command, status, out, err, sent):
        faults = []
        text = err.decode('utf-8', 'replace')
        allowed = {0, 1, 2, 3, 4, 5}
        if sent:
            allowed.add(128 + sent)
        if sent and status == -sent and not out and not err:
            return [] # the signal came before the program began
        if command.limits == 'size':
            allowed.add(128 + signal.SIGXFSZ)
        if SANITIZER.search(err):
            return ['sanitizer: ' + text[:1500]]
        if status not in allowed:
            faults.append('status %d: %s' % (status, text[-300:]))
        if status and not re.search(r'^qzoo: .', text, re.M):
            faults.append('status %d without a line: %r' % (status, text[-300:]))
        if status and status < 128 and '--verbose' not in command.words:
            lines = [l for l in text.splitlines() if l and 'warning' not in l and 'note' not in l]
            if len(lines) > 12:
                faults.append('%d lines for one failure: %r' % (len(lines), text[:400]))
        binary = any(name == b'-' for option, name in command.outputs if option == '-o')
        if CONTROL.search(err) or CONTROL.search(out) and not binary:
            faults.append('control characters in the output')
        if status == 0 and NUMBER.search(out):
            faults.append('exit 0 with %r' % NUMBER.search(out).group())
        if status == 0 and '--quiet' in command.words and err:
            faults.append('--quiet, exit 0, and stderr has %r' % text[:200])
        return faults

    def judge_files(self, command, status, before, sent):
        faults, wanted = [], {}
        for option, name in command.outputs:
            wanted.setdefault(name, option)
        if {'--help', '--version', '-h'} & set(command.words):
            return faults
        for name, option in wanted.items():
            path = os.path.join(os.fsencode(self.work), name)
            if status == 0 and name not in (b'-', b'') and not name.startswith(b'/dev/') and not os.path.exists(path):
                if option == '--changes' or option == '--dump-outputs':
                    continue
                if not {'--help', '--version'} & set(command.words):
                    faults.append('exit 0, but there is no %r' % name)
            if os.path.isfile(path) and option == '--json' and name.endswith(b'.json'):
                faults += self.judge_json(command, status, path)
        rows = self.rows_of_tables(faults)
        if rows < self.table_rows:
            faults.append('the latency table lost rows: %d, there were %d' % (rows, self.table_rows))
        self.table_rows = max(rows, self.table_rows)
        for name in self.listing():
            base = name[2:] if name.startswith(b'./') else name
            stem = base[:-5] if base.endswith(b'.data') else base
            known = stem in wanted or base.split(b'/')[0] in (b'tables', b'home', b'torch') or \
                base in (b'converted.safetensors', b'none/x.safetensors') or stem.split(b'/')[0] in wanted
            if name not in before and not known and not base.endswith(b'.lock'):
                faults.append('left behind: %r (status %d)' % (name, status))
        link = os.path.join(self.work, 'link.out')
        if not os.path.islink(link):
            faults.append('the link was replaced')
            if os.path.lexists(link):
                os.unlink(link)
            os.symlink('old.txt', link)
        return faults

    def judge_json(self, command, status, path):
        try:
            with open(path, encoding='utf-8') as f:
                root = json.load(f)
        except ValueError as error:
            return ['%r is no JSON: %s' % (path, error)]
        if status == 0 and isinstance(root, dict) and root.get('results') == [] and \
                command.words[0] in ('run', 'bench', 'eval'):
            return ['exit 0 with no row in %r' % path]
        return []

    def rows_of_tables(self, faults):
        rows = 0
        folder = os.path.join(self.work, 'tables')
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            if name.endswith('.json'):
                try:
                    with open(os.path.join(folder, name)) as f:
                        rows += len(json.load(f)['results'])
                except (ValueError, KeyError) as error:
                    faults.append('table %s: %s' % (name, error))
        return rows

    def clean(self, before):
        """Removes what the command wrote, but for the tables and what it left on purpose."""
        for name in self.listing():
            path = os.path.join(os.fsencode(self.work), name)
            if name in before or b'tables' in name or name in (b'./home', b'./torch'):
                continue
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)
        with open(os.path.join(self.work, 'old.txt'), 'w') as f:
            f.write('old\n')
