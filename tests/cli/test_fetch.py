# SPDX-License-Identifier: MIT
"""qzoo weights fetch against two servers on loopback: nginx, and a server with faults.

    python3 test_fetch.py QZOO      (cases of nginx and openssl are skipped by name without them)

Each case checks the exit status, one line on stderr, and that the file's final name never has wrong
bytes.
"""
import hashlib
import http.server
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

QZOO = os.path.abspath(sys.argv[1])
WORK = tempfile.mkdtemp(prefix="qzoo-fetch-")
BODY = random.Random(7).randbytes(3_000_000)
SHA = hashlib.sha256(BODY).hexdigest()
FILE = "net-%s.pth" % SHA[:8]
DATA = os.path.join(os.environ.get("QZOO_TEST_DATA", ""), "weights")
ran, bad, skipped = 0, [], []


def check(what, good, detail=""):
    global ran
    ran += 1
    if not good:
        bad.append(what)
        print("FAIL: %s %s" % (what, detail))


def skip(what):
    skipped.append(what)
    print("SKIP: " + what)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# ---- the server with faults: the first part of the path names the fault ----

class Faults(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = {}      # path: requests
    ranges = {}    # path: Range headers
    body = BODY
    etag = '"v1"'

    def log_message(self, *args):
        pass

    def send(self, status, data, headers=(), length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        for header in headers:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(data)
        if length is not None:
            self.close_connection = True

    def do_GET(self):
        kind = self.path.split("/")[1]
        self.seen[self.path] = count = self.seen.get(self.path, 0) + 1
        self.ranges.setdefault(self.path, []).append(self.headers.get("Range"))
        try:
            getattr(self, "do_" + kind)(count)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_ok(self, count):
        self.send(200, BODY, [("ETag", '"v1"')])

    def do_data(self, count):       # a real file of the oracle folder
        with open(os.path.join(DATA, self.path.split("/")[2].split("-", 1)[1]), "rb") as f:
            self.send(200, f.read())

    def do_status500(self, count):
        self.send(500, b"sorry")

    def do_status503once(self, count):
        if count == 1:
            self.send(503, b"", [("Retry-After", "1")])
        else:
            self.do_ok(count)

    def do_wrong(self, count):
        self.send(200, BODY[:-1] + b"x", [("ETag", '"v1"')])

    def do_wrongcut(self, count):   # cut each time, and wrong: endless unless tries are counted
        self.etag = '"v1"'
        at = 0
        if self.headers.get("If-Range") == self.etag:
            at = int(self.headers["Range"][len("bytes="):-1])
        wrong = b"y" * len(BODY)
        headers = [("ETag", self.etag)]
        if at:
            headers.append(("Content-Range", "bytes %d-%d/%d" % (at, len(BODY) - 1, len(BODY))))
        self.send(206 if at else 200, wrong[at:at + 1_500_000], headers, len(BODY) - at)

    def do_cutmega(self, count):    # no validator, and cut after more than a megabyte
        self.send(200, BODY[:2_500_000], [], len(BODY))

    def do_short(self, count):      # a complete answer, but not the file of the catalogue
        self.send(200, BODY[:1000])

    def do_loop(self, count):
        self.send(302, b"", [("Location", self.path)])

    def do_slow(self, count):
        self.send(200, BODY[:1000], [("ETag", '"v1"')], len(BODY))
        self.wfile.flush()
        time.sleep(60)      # nobody waits for the end

    def ranged(self, etag, data):
        begin = self.headers.get("Range")
        if begin and self.headers.get("If-Range") == etag:
            at = int(begin[len("bytes="):-1])
            self.send(206, data[at:], [("ETag", etag), ("Content-Range", "bytes %d-%d/%d" % (
                at, len(data) - 1, len(data)))])
        else:
            self.send(200, data, [("ETag", etag)])

    def do_cut(self, count):        # cut in the middle; with ranges, so the fetch can continue
        if count == 1:
            self.send(200, BODY[:1_500_000], [("ETag", '"v1"')], len(BODY))
        else:
            self.ranged('"v1"', BODY)

    def do_changed(self, count):    # cut, and another file at the second request
        if count == 1:
            self.send(200, b"y" * 1_500_000, [("ETag", '"old"')], len(BODY))
        else:
            self.ranged('"v1"', BODY)

    def do_cutalways(self, count):  # no validator: each try starts again, and is cut
        self.send(200, BODY[:500_000], [], len(BODY))

    def do_liar(self, count):       # continues with bytes of another file
        if count == 1:
            self.send(200, b"y" * 1_500_000, [("ETag", '"v1"')], len(BODY))
        else:
            self.ranged('"v1"', BODY)

    def do_elsewhere(self, count):  # 206 for a range that was not requested
        if count == 1:
            self.send(200, BODY[:1_500_000], [("ETag", '"v1"')], len(BODY))
        else:
            self.send(206, BODY[7:], [("Content-Range", "bytes 7-%d/%d" % (
                len(BODY) - 1, len(BODY)))])


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass    # in some cases the client hangs up


def start_faults():
    server = Server(("127.0.0.1", 0), Faults)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


# ---- running qzoo ----

class Case:
    """A cache of its own, and a catalogue whose entry `net` has the URL given."""
    numbers = itertools.count(1)

    def __init__(self, url, sha=SHA, size=None, hub="no-hub"):
        self.home = os.path.join(WORK, "home%d" % next(Case.numbers))
        self.hub = os.path.join(WORK, hub)
        os.makedirs(self.home)
        entry = {"model": "net", "tag": "V1", "url": url, "sha256": sha}
        if size is not None:
            entry["size"] = size
        with open(os.path.join(self.home, "catalogue.json"), "w") as f:
            json.dump({"schema": "qzoo.catalogue/1", "weights": [entry]}, f)

    def env(self):
        env = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        env.update(QZOO_HOME=self.home, TORCH_HOME=self.hub)
        env.pop("QZOO_MIRROR", None)
        return env

    def start(self, *args):
        return subprocess.Popen([QZOO, "weights"] + list(args), env=self.env(), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *args):
        p = self.start(*args)
        out, err = p.communicate(timeout=120)
        return p.returncode, out, err

    def files(self):
        folder = os.path.join(self.home, "weights")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def sound(self):
        """Whether the final name has the right bytes or does not exist."""
        path = os.path.join(self.home, "weights", FILE)
        if not os.path.exists(path):
            return True
        with open(path, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest() == SHA

    def expect(self, what, status, pattern, *args, files=None):
        got, out, err = self.run(*args)
        check(what + ": status", got == status, "%d instead of %d: %s" % (got, status, err))
        if status != 0:
            check(what + ": one line", err.count("\n") == 1 and pattern in err, repr(err))
        else:
            check(what + ": output", pattern in out and err == "", repr((out, err)))
        check(what + ": sound", self.sound())
        if files is not None:
            check(what + ": files", self.files() == files, self.files())
        return out


def fast(*args):
    return ("fetch", "net", "--retries", "0") + args


def path(kind):
    return "/%s/%s" % (kind, FILE)


def url_of(port, kind):
    return "http://127.0.0.1:%d%s" % (port, path(kind))


def fault_cases(port):
    def url(kind):
        return url_of(port, kind)

    Case(url("ok")).expect("fetch", 0, FILE, *fast(), files=[FILE])
    c = Case(url("ok"), size=len(BODY))
    c.expect("fetch with size", 0, FILE, *fast(), files=[FILE])
    before = Faults.seen[path("ok")]
    c.expect("fetch again", 0, FILE, *fast())
    check("fetch again: no request", Faults.seen[path("ok")] == before)
    c.expect("verify", 0, "right", "verify", "net")
    c.expect("path", 0, FILE, "path", "net")
    with open(os.path.join(c.home, "weights", FILE), "r+b") as f:
        f.write(b"damage")
    got, _, err = c.run("verify")
    check("verify damaged", got == 4 and "has the hash" in err and err.count("\n") == 1, err)
    c.expect("fetch damaged", 0, FILE, *fast(), files=[FILE])
    open(os.path.join(c.home, "weights", "other.pth.part"), "w").close()
    c.expect("prune", 0, "removed 1 files", "prune", files=[FILE])
    c.expect("prune all", 0, "removed 1 files", "prune", "--all", files=[])
    c.expect("offline", 4, "offline", "fetch", "net", "--offline")
    c.expect("path absent", 4, "not in the cache", "path", "net")
    c.expect("unknown model", 2, "no published weights", "fetch", "nothing")
    c.expect("unknown tag", 2, "there are: default, V1", "fetch", "net:V2")

    Case(url("ok"), sha="0" * 64).expect("wrong hash", 4, "it was removed", *fast(), files=[])
    Case(url("wrong")).expect("damaged on the way", 4, "it was removed", *fast(), files=[])
    Case(url("short"), size=len(BODY)).expect("wrong size", 4, "1000 bytes", *fast(), files=[])
    Case(url("loop")).expect("redirect loop", 4, "redirects", *fast(), files=[])
    Case(url("missing").replace("/missing/", "/nosuch/")).expect(
        "broken server", 4, "127.0.0.1", *fast(), files=[])
    port_closed = free_port()
    Case("http://127.0.0.1:%d/%s" % (port_closed, FILE)).expect(
        "no server", 4, "127.0.0.1", *fast(), files=[])

    # unwritable and full
    c = Case(url("ok"))
    open(os.path.join(c.home, "weights"), "w").close()
    c.expect("unwritable cache", 1, "weights: cannot be created", *fast())
    if os.geteuid() == 0:
        c = Case(url("ok"))
        folder = os.path.join(c.home, "weights")
        os.mkdir(folder)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
                          stderr=subprocess.DEVNULL).returncode == 0:
            try:
                c.expect("disk full", 1, "No space left", *fast())
                check("disk full: no file", FILE not in c.files())
                subprocess.run(["mount", "-o", "remount,size=8m", folder], check=True)
                c.expect("room again", 0, FILE, *fast(), files=[FILE])
            finally:
                subprocess.run(["umount", folder], check=True)
        else:
            skip("disk full (no tmpfs can be mounted)")
    else:
        skip("disk full (needs root)")

    # the catalogue's own errors
    for what, text, pattern in (
            ("no JSON", "{", "line 1"),
            ("other schema", '{"schema": "x", "weights": []}', "schema"),
            ("short hash", json.dumps({"schema": "qzoo.catalogue/1", "weights": [
                {"model": "m", "tag": "t", "url": "https://h/f", "sha256": "00"}]}), "64"),
            ("other protocol", json.dumps({"schema": "qzoo.catalogue/1", "weights": [
                {"model": "m", "tag": "t", "url": "file:///etc/passwd", "sha256": SHA}]}), "'url'"),
    ):
        name = os.path.join(WORK, "bad.json")
        with open(name, "w") as f:
            f.write(text)
        c.expect("catalogue: " + what, 3, pattern, "list", "--catalogue", name)
    c.expect("catalogue: missing", 3, "cannot be opened", "list", "--catalogue", "/nonexistent")
    c.expect("mirror: no URL", 2, "https://", "fetch", "resnet18", "--mirror", "ftp://x")

    # torch hub's cache: read, never written, and only with the right bytes
    hub = os.path.join(WORK, "hub", "hub", "checkpoints")
    os.makedirs(hub)
    c = Case("https://example.invalid/" + FILE, hub="hub")
    for name in (FILE, FILE.replace("-", "_")):
        with open(os.path.join(hub, name), "wb") as f:
            f.write(BODY)
        c.expect("torch hub " + name, 0, os.path.join(hub, name), "path", "net", files=[])
        c.expect("torch hub fetch", 0, name, *fast("--offline"), files=[])
        with open(os.path.join(hub, name), "wb") as f:
            f.write(b"damaged")
        c.expect("torch hub damaged", 4, "not in the cache", "path", "net")
        os.remove(os.path.join(hub, name))
    check("torch hub: not written", os.listdir(hub) == [])


def retry_cases(port):
    def url(kind):
        return url_of(port, kind)

    Case(url("status500")).expect("500", 4, "HTTP status 500", *fast(), files=[])
    check("500: no retry", Faults.seen[path("status500")] == 1)
    Case(url("status500")).expect("500 retried", 4, "HTTP status 500", "fetch", "net",
                                  "--retries", "1")
    check("500: one retry", Faults.seen[path("status500")] == 3)
    Case(url("status503once")).expect("503, then well", 0, FILE, "fetch", "net", files=[FILE])
    began = time.time()
    Case(url("slow")).expect("slow server", 4, "nothing came for 2 seconds",
                             *fast("--timeout", "2"))
    check("slow server: in time", time.time() - began < 30)

    c = Case(url("cut"))
    c.expect("cut", 4, "ended after 1500000 bytes", *fast(),
             files=[FILE + ".part", FILE + ".part-info"])
    c.expect("resumed by another process", 0, FILE, *fast(), files=[FILE])
    check("resumed: range", Faults.ranges[path("cut")] == [None, "bytes=1500000-"],
          Faults.ranges[path("cut")])
    Faults.seen.pop(path("cut"))
    Faults.ranges.pop(path("cut"))
    Case(url("cut")).expect("cut and resumed at once", 0, FILE, "fetch", "net", files=[FILE])
    check("resumed at once: range", Faults.ranges[path("cut")] == [None, "bytes=1500000-"])
    Case(url("changed")).expect("changed meanwhile", 0, FILE, "fetch", "net", files=[FILE])
    Case(url("liar")).expect("bad first half", 0, FILE, "fetch", "net", files=[FILE])
    Case(url("elsewhere")).expect("another range", 4, "another part", "fetch", "net")
    Case(url("wrongcut")).expect("cut and wrong", 4, "it was removed", "fetch", "net", files=[])
    check("cut and wrong: twice at most", Faults.seen[path("wrongcut")] <= 5,
          Faults.seen[path("wrongcut")])
    Case(url("cutmega")).expect("cut without a validator, late", 4, "ended after", "fetch", "net",
                                "--retries", "1")
    check("cut late: two tries", Faults.seen[path("cutmega")] == 2, Faults.seen[path("cutmega")])
    Case(url("cutalways")).expect("cut without a validator", 4, "ended after", *fast())


# ---- --weights by name in the other commands ----

def named_cases(port, model, name):
    if not os.path.exists(os.path.join(DATA, name)):
        return skip("--weights by name (no %s in QZOO_TEST_DATA)" % name)
    with open(os.path.join(DATA, name), "rb") as f:
        sha = hashlib.sha256(f.read()).hexdigest()
    url = "http://127.0.0.1:%d/data/%s-%s" % (port, sha[:8], name)
    path = url[url.index("/data"):]

    def case(sha=sha):
        c = Case(url, sha)
        entry = {"model": model, "tag": "MINE", "url": url, "sha256": sha, "default": True,
                 "licence": "of mine"}
        with open(os.path.join(c.home, "catalogue.json"), "w") as f:
            json.dump({"schema": "qzoo.catalogue/1", "weights": [entry]}, f)
        return c

    def qzoo(c, *args):
        p = subprocess.run([QZOO] + list(args), env=c.env(), text=True, capture_output=True,
                           timeout=300)
        return p.returncode, p.stdout, p.stderr

    def expect(what, result, status, part):
        check(what, result[0] == status and part in result[1] + result[2], result)

    bench = ("bench", model, "--weights", "default", "--runs", "1", "--warmup", "0",
             "--size", "96")
    quantize = ("quantize", model, "--weights", "default", "--calib", "synthetic:1", "--size", "96",
                "-o", os.path.join(WORK, model + "-q.safetensors"))
    c = case()
    expect("bench fetches nothing unasked", qzoo(c, *bench), 4, "qzoo weights fetch")
    expect("offline", qzoo(c, *(quantize + ("--offline",))), 4, "offline")
    check("no request", path not in Faults.seen)
    expect("bench --fetch", qzoo(c, *(bench + ("--fetch",))), 0, "fetching http")
    expect("then from the cache", qzoo(c, *bench), 0, model)
    check("one request", Faults.seen[path] == 1)
    expect("quantize fetches", qzoo(case(), *quantize), 0, "fetching http")
    expect("wrong hash", qzoo(case("0" * 64), *quantize), 4, "it was removed")
    expect("list", qzoo(c, "list", model), 0, "MINE *")
    expect("licence", qzoo(c, "weights", "list", model), 0, "of mine")
    return None


# ---- nginx ----

NGINX = """
daemon off; worker_processes 1; pid %(root)s/pid; error_log %(root)s/error.log;
events { worker_connections 64; }
http {
  access_log %(root)s/access.log; default_type application/octet-stream;
  client_body_temp_path %(root)s/t1; proxy_temp_path %(root)s/t2; fastcgi_temp_path %(root)s/t3;
  uwsgi_temp_path %(root)s/t4; scgi_temp_path %(root)s/t5;
  server {
    listen 127.0.0.1:%(port)d; root %(root)s/www;
    location /slow/ { alias %(root)s/www/; limit_rate 800k; }
    location /noranges/ { alias %(root)s/www/; max_ranges 0; limit_rate_after 1m; limit_rate 800k; }
    location /forbidden/ { return 403; }
    location /error/ { return 500; }
    location /loop/ { return 302 /loop$request_uri; }
  }
  server {
    listen 127.0.0.1:%(tls)d ssl; root %(root)s/www;
    ssl_certificate %(root)s/cert.pem; ssl_certificate_key %(root)s/key.pem;
    location /down/ { return 302 http://127.0.0.1:%(port)d/%(file)s; }
  }
}
"""


def wait_for(port):
    for _ in range(100):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.05)
    return False


def log_of(root, path):
    with open(os.path.join(root, "access.log")) as f:
        return [line.split()[8] for line in f if path in line]


def wait_for_part(case, size):
    path = os.path.join(case.home, "weights", FILE + ".part")
    for _ in range(200):
        if os.path.exists(path) and os.path.getsize(path) > size:
            return True
        time.sleep(0.02)
    return False


def nginx_cases(root, port, tls):
    base = "http://127.0.0.1:%d" % port
    ours = "https://example.invalid/models/sub/" + FILE
    Case(ours).expect("nginx", 0, FILE, *fast("--mirror", base), files=[FILE])
    Case(ours).expect("nginx 404", 4, "HTTP status 404", *fast("--mirror", base + "/none"),
                      files=[])
    Case(ours).expect("nginx 403", 4, "HTTP status 403", *fast("--mirror", base + "/forbidden"))
    Case(ours).expect("nginx 500", 4, "HTTP status 500", *fast("--mirror", base + "/error"))
    Case(ours).expect("nginx loop", 4, "redirects", *fast("--mirror", base + "/loop"))

    for kind, again in (("slow", "206"), ("noranges", "200")):
        c = Case("%s/%s/%s" % (base, kind, FILE))
        p = c.start(*fast())
        check(kind + ": begins", wait_for_part(c, 100_000))
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=30)
        check(kind + ": ^C", p.returncode == 130 and "cancelled" in err and err.count("\n") == 1, err)
        check(kind + ": ^C leaves the part", FILE + ".part" in c.files() and FILE not in c.files())
        check(kind + ": no lock left", FILE + ".lock" not in c.files(), c.files())
        c.expect(kind + ": again", 0, FILE, *fast(), files=[FILE])
        check(kind + ": went on", log_of(root, "/%s/" % kind)[-1] == again,
              log_of(root, "/%s/" % kind))

    c = Case(base + "/slow/" + FILE)
    p = c.start(*fast())
    check("killed: begins", wait_for_part(c, 100_000))
    p.kill()
    p.communicate()
    check("killed: no final file", FILE not in c.files())
    c.expect("killed: again", 0, FILE, *fast(), files=[FILE])

    before = len(log_of(root, "/slow/"))
    c = Case(base + "/slow/" + FILE)
    both = [c.start(*fast()) for _ in range(2)]
    results = [p.communicate(timeout=60) + (p.returncode,) for p in both]
    check("two at once", all(r[2] == 0 and FILE in r[0] for r in results), results)
    check("two at once: one download", len(log_of(root, "/slow/")) == before + 1)
    check("two at once: files", c.files() == [FILE], c.files())

    if tls:
        secure = "https://127.0.0.1:%d" % tls
        ca = os.path.join(root, "cert.pem")
        Case(ours).expect("https, unknown certificate", 4, "certificate",
                          *fast("--mirror", secure), files=[])
        Case(ours).expect("https", 0, FILE, *fast("--mirror", secure, "--ca-file", ca),
                          files=[FILE])
        c = Case(secure + "/down/" + FILE)
        c.expect("redirect from https to http", 4, "only https", *fast("--ca-file", ca), files=[])
        c.expect("redirect with --allow-http", 0, FILE, *fast("--ca-file", ca, "--allow-http"))


def with_nginx():
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if not nginx:
        return skip("the cases with nginx (it is not installed)")
    root = os.path.join(WORK, "nginx")
    os.makedirs(os.path.join(root, "www"))
    os.chmod(WORK, 0o755)
    with open(os.path.join(root, "www", FILE), "wb") as f:
        f.write(BODY)
    port, tls = free_port(), free_port()
    made = shutil.which("openssl") and subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
         os.path.join(root, "key.pem"), "-out", os.path.join(root, "cert.pem")],
        stderr=subprocess.DEVNULL).returncode == 0
    config = NGINX % {"root": root, "port": port, "tls": tls, "file": FILE}
    if not made:
        skip("https (openssl is not installed)")
        config = config[:config.rindex("  server {")] + "}\n"
    with open(os.path.join(root, "conf"), "w") as f:
        f.write(config)
    server = subprocess.Popen([nginx, "-c", os.path.join(root, "conf"), "-p", root],
                              stderr=subprocess.DEVNULL)
    try:
        if not wait_for(port):
            with open(os.path.join(root, "error.log")) as f:
                check("nginx starts", False, f.read()[-500:])
            return None
        nginx_cases(root, port, tls if made else None)
    finally:
        server.terminate()
        server.wait()
    return None


def in_thread(cases, *args):
    """Runs cases; what they raise is a failed check."""
    try:
        cases(*args)
    except Exception:
        check(cases.__name__, False, traceback.format_exc())


# Most of each group's time is waiting: for timeouts, between tries, for a slow server. So the groups
# run side by side; each has files and paths of its own.
try:
    faults = start_faults()
    groups = [threading.Thread(target=in_thread, args=args) for args in (
        (with_nginx,), (fault_cases, faults), (retry_cases, faults),
        (named_cases, faults, "squeezenet1_1", "squeezenet1_1-onnxzoo.pth"),
        (named_cases, faults, "yolov5n", "yolov5n.pth"))]
    for group in groups:
        group.start()
    for group in groups:
        group.join()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
print("%d checks, %d failed, %d skipped" % (ran, len(bad), len(skipped)))
sys.exit(1 if bad else 0)
