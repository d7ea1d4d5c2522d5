# SPDX-License-Identifier: MIT
"""Writing safetensors files for the tests that take torch's numbers."""
import json
import struct

import numpy as np

DTYPES = {"uint8": "U8", "int8": "I8", "int32": "I32", "float32": "F32"}


def save(path, tensors):
    """safetensors; wide elements first, so that all of them are aligned."""
    tensors = dict(sorted(tensors.items(), key=lambda kv: -kv[1].itemsize))
    header, offset = {}, 0
    for key, x in tensors.items():
        end = offset + x.nbytes
        header[key] = {"dtype": DTYPES[x.dtype.name], "shape": list(x.shape),
                       "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for x in tensors.values():
            file.write(np.ascontiguousarray(x).tobytes())
