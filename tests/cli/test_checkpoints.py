#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_checkpoints.py QZOO MAKE_WEIGHTS - a network's weights in every wrapping that training
scripts save: each gives the same logits as the plain file, or is refused with what to do."""
import collections
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

import torch_file as tf

qzoo, make = map(os.path.realpath, sys.argv[1:3])
MODEL = "shufflenet_v2_x0_5"
bad = ran = 0


def run(*args):
    done = subprocess.run([qzoo, *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=100)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def complain(name, text):
    global bad
    bad += 1
    print("FAIL: %s: %s" % (name, text))


def classify(path, *options, model=MODEL):
    shutil.rmtree("out", ignore_errors=True)
    status, out, err = run("run", model, "x.npy", "--weights", path, "--dump-outputs", "out", *options)
    logits = open("out/output.npy", "rb").read() if status == 0 else None
    return status, out, err, logits


def loads(name, path, said, *options, logits=None):
    """The logits are those of the plain file; stderr matches `said` in one line, or is empty."""
    global ran
    ran += 1
    status, _, err, got = classify(path, *options)
    if status:
        return complain(name, "status %d: %s" % (status, err))
    if got != (logits or plain):
        complain(name, "other logits")
    if said is None and err or said is not None and not re.search(said, err):
        complain(name, "stderr lacks '%s': %s" % (said, err))
    if err.count("\n") > 1:
        complain(name, "more than one line: " + err)


def refused(name, status, said, path, *options):
    global ran
    ran += 1
    got, _, err, _ = classify(path, *options)
    if got != status or not re.search(said, err) or err.count("\n") != 1:
        complain(name, "status %d, expected %d with '%s': %s" % (got, status, said, err))


def renamed(tensors, change):
    return collections.OrderedDict((change(key), t) for key, t in tensors.items())


def prefixed(tensors, prefix):
    return renamed(tensors, lambda key: prefix + key)


def without(tensors, *keys):
    return collections.OrderedDict((k, t) for k, t in tensors.items() if k not in keys)


def wrappings(weights, other):
    for prefix in ("module.", "model.", "_orig_mod.", "module._orig_mod.", "net.", "backbone.",
                   "a.b.c.", "module.module."):
        tf.save_safetensors("x.bin", prefixed(weights, prefix))
        loads("prefix " + prefix, "x.bin", "removed the prefix '%s'" % prefix)
    for name in ("state_dict", "net", "model_state_dict", "params"):
        tf.save("x.ckpt", {"epoch": 3, name: weights, "optimizer": {"state": {0: {"step": tf.floats(1)}}}})
        loads("dict " + name, "x.ckpt", "took '%s'" % name)
    tf.save_legacy("x.pth.tar", {"state_dict": prefixed(weights, "module."), "best_acc1": tf.floats(7)})
    loads("imagenet example, legacy", "x.pth.tar", "took 'state_dict'; removed the prefix 'module.' of")
    tf.save("x.ckpt", {"state_dict": {**prefixed(weights, "model."), "criterion.weight": tf.floats(1, 2),
                                      "n_averaged": tf.floats(1)}})
    status, _, err, got = classify("x.ckpt")
    if status or got != plain or err.count("criterion.weight") != 1 or "removed the prefix 'model.'" not in err:
        complain("Lightning, with strays", err)
    tf.save("x.ckpt", {"model": weights, "ema": other})
    loads("plain before EMA", "x.ckpt", r"took 'model' and left 'ema' \(--key takes another\)")
    loads("the EMA", "x.ckpt", "took 'ema'", "--key", "ema", logits=second)
    tf.save("x.ckpt", (7, {"net": weights}))
    loads("a tuple", "x.ckpt", "took '1.net'")
    tf.save("x.ckpt", {**prefixed(weights, "student."), **prefixed(other, "teacher.")})
    refused("two prefixes", 3, "'student.' and 'teacher.'.*--prefix", "x.ckpt")
    status, _, err, got = classify("x.ckpt", "--prefix", "teacher")
    if status or got != second or "removed the prefix 'teacher.'" not in err:
        complain("--prefix", err)
    refused("--prefix of nothing", 3, r"no key begins with 'gone.' \(--prefix\)", "x.ckpt", "--prefix",
            "gone")
    tf.save("x.pth", renamed(weights, lambda k: k.replace("stage", "blocks")))
    loads("--map", "x.pth", "mapped 'blocks' to 'stage'", "--map", "blocks=stage")
    refused("a map of nothing", 3, r"no key begins with 'gone' \(--map\)", "x.pth", "--map", "gone=x")
    refused("no map", 2, "FROM=TO", "x.pth", "--map", "gone")
    refused("names of another network", 3, "missing.*first is.*unexpected", "x.pth")
    tf.save("x.pth", renamed(prefixed(weights, "module."), lambda k: k.replace("stage", "blocks")))
    loads("--prefix and --map", "x.pth", "removed.*; mapped", "--prefix", "module", "--map",
          "blocks=stage")


def heads(weights, other):
    head = without(weights, "fc.weight", "fc.bias")
    w, b = weights["fc.weight"], weights["fc.bias"]
    tf.save("x.pth", {**head, "fc.1.weight": w, "fc.1.bias": b})
    loads("Sequential(Dropout, Linear)", "x.pth", "took the layer fc.1 for fc; 5 classes")
    loads("--head-key", "x.pth", "took the layer fc.1 for fc", "--head-key", "fc.1")
    refused("--head-key of nothing", 3, "has no fc.2.weight.*--head-key", "x.pth", "--head-key", "fc.2")
    tf.save("x.pth", {**head, "head.weight": w, "head.bias": b})
    loads("another name", "x.pth", "took the layer head for fc")
    two = tf.Tensor("F32", [1024, 1024], b"\0" * (4 << 20))
    tf.save("x.pth", {**head, "fc.0.weight": two, "fc.2.weight": w, "fc.2.bias": b})
    refused("a head of two layers", 3, r"fc.weight is missing.*fc.0.weight \[1024, 1024\], fc.2.weight "
            r"\[5, 1024\]", "x.pth")
    tf.save("x.pth", {**head, "fc.0.weight": tf.floats(*[1] * 1024), "fc.1.weight": w, "fc.1.bias": b})
    refused("a norm in the head", 3, "fc.weight is missing.*fc.0.weight", "x.pth")
    tf.save("x.pth", weights)
    loads("the file's classes", "x.pth", "5 classes")
    refused("other classes", 3, "has 5 classes, not 7; give --num-classes 5", "x.pth", "--num-classes", "7")
    loads("the same classes", "x.pth", None, "--num-classes", "5")
    tf.save("x.pth", without(weights, "fc.weight", "fc.bias"))
    refused("no head", 3, "2 parameters.*first is fc.weight", "x.pth")


def unexpected(weights):
    extra = {"stage2.9.branch1.0.weight": tf.floats(1), "stage3.9.x": tf.floats(1)}
    tf.save("x.pth", {**weights, **extra})
    refused("a larger network", 3, "2 unexpected keys.*stage2.9.branch1.0.weight.*--allow-unexpected",
            "x.pth")
    refused("a larger network, --quiet", 3, "2 unexpected keys", "x.pth", "--quiet")
    status, _, err, got = classify("x.pth", "--allow-unexpected")
    if status or got != plain or err.count("stage2.9") != 1:
        complain("--allow-unexpected", err)
    strays = {"total_ops": tf.floats(1), "stage2.0.total_params": tf.floats(1),
              "stage2.0.branch1.1.total_ops": tf.floats(1), "ema.stage2.0.weight": tf.floats(1)}
    tf.save("x.pth", {**weights, **strays})
    status, _, err, got = classify("x.pth", "--num-classes", "5")
    if status or got != plain or err.count("\n") != 1 or "4 unexpected keys" not in err:
        complain("strays", err)
    status, _, err, got = classify("x.pth", "--quiet")
    if status or got != plain or err:
        complain("strays, --quiet", err)
    tf.save("x.pth", {**weights, "stage2.0.branch1.0.weight": tf.Call("a.b.C")})
    refused("an object at a parameter's place", 5, "stage2.0.branch1.0.weight.*a.b.C", "x.pth")
    tf.save("x.pth", {**weights, "stage2.0.branch1.0.weight": 3})
    refused("a number at a parameter's place", 3, "stage2.0.branch1.0.weight.* an int", "x.pth")
    tf.save("x.pth", {**weights, "a\x1b[31mb": tf.floats(1), "stage2.\x1b]0;x\x07.total_ops": tf.floats(1)})
    for command in (("weights", "show", "x.pth"), ("run", MODEL, "x.npy", "--weights", "x.pth"),
                    ("weights", "show", "x.pth", "--json", "-")):
        _, out, err = run(*command)
        if re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", out + err):
            complain("a terminal's escapes", " ".join(command))


def names(weights):
    for words in ({"classes": list("abcde")}, {"class_to_idx": {c: i for i, c in enumerate("abcde")}},
                  {"idx_to_class": dict(enumerate("abcde"))},
                  {"meta": {"class_names": dict(enumerate("abcde"))}},
                  {"hyper_parameters": {"class_names": tuple("abcde")}}):
        tf.save("x.pth", {"state_dict": weights, **words})
        status, out, err, _ = classify("x.pth")
        if status or not re.search(r"%\s+[0-4]\s+[a-e]\b", out):
            complain("names of classes %s" % words, out + err)
    run("weights", "convert", "x.pth", "y.safetensors")
    status, out, err, _ = classify("y.safetensors")
    if status or not re.search(r"%\s+[0-4]\s+[a-e]\b", out):
        complain("names of classes of a converted file", out + err)
    tf.save("x.pth", {"state_dict": weights, "classes": list("abc")})
    status, out, err, got = classify("x.pth")
    if status or got != plain or "3 names" not in err:
        complain("too few names", err)


def files(weights):
    tf.save_safetensors("w.safetensors", weights)
    for name in ("default", "IMAGENET1K_V1", "m.pth.tar", "m", "m.bin"):
        shutil.copy("w.safetensors", name)
        loads("a file called " + name, name, "5 classes")
    shutil.copy("w.safetensors", "random")
    if classify("random", "--num-classes", "5")[3] == plain:
        complain("random", "is a file")
    loads("./random", "./random", "5 classes")
    status, _, err = run("quantize", MODEL, "--weights", "w.safetensors", "--calib", "x.npy", "-o",
                         "q.safetensors")
    if status:
        complain("quantize", err)
        return
    want = run("run", "q.safetensors", "x.npy")[1]
    for name in ("q.qzoo", "q", MODEL, "q.bin"):
        shutil.copy("q.safetensors", name)
        status, out, err = run("run", name, "x.npy")
        if status or out != want:
            complain("a saved model called " + name, out + err)
    os.remove(MODEL)
    shutil.copy("w.safetensors", MODEL)  # no saved model, so the word is the network's
    if run("run", MODEL, "x.npy", "--weights", "w.safetensors")[0]:
        complain("weights called as the network", "not run")
    os.remove(MODEL)


def main():
    global plain, second
    for seed in ("1", "2"):
        subprocess.run([make, MODEL, "5", seed, "w%s.safetensors" % seed], check=True)
    weights, other = (tf.load_safetensors("w%s.safetensors" % i) for i in (1, 2))
    values = [((i * 2654435761) % 4096) / 1024 - 2 for i in range(3 * 64 * 64)]
    with open("x.npy", "wb") as f:
        head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 64, 64), }"
        head += b" " * (117 - len(head)) + b"\n"
        f.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head +
                struct.pack("<%df" % len(values), *values))
    plain = classify("w1.safetensors")[3]
    second = classify("w2.safetensors")[3]
    if not plain or plain == second:
        complain("the plain file", classify("w1.safetensors")[2])
    else:
        wrappings(weights, other)
        heads(weights, other)
        unexpected(weights)
        names(weights)
        files(weights)
    print("%d checks, %d bad" % (ran, bad))
    return bad > 0


os.environ["QZOO_HOME"] = os.environ["TORCH_HOME"] = "/nonexistent"
with tempfile.TemporaryDirectory() as work:
    os.chdir(work)
    sys.exit(main())
