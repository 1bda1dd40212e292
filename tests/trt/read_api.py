"""Writes tests/trt/api.json: what TensorRT's bindings have of what we use.

The wheels tensorrt_cu12_bindings and tensorrt_cu13_bindings hold the Python API and link to three
libraries that are not on PyPI: libnvinfer, libnvinfer_plugin and libnvonnxparser. To be imported,
and read, they need libraries of these names with the nine functions that they call, even empty:

    for n in createInferBuilder_INTERNAL createInferRefitter_INTERNAL createInferRuntime_INTERNAL \\
             createNvOnnxParser_INTERNAL createNvOnnxParserRefitter_INTERNAL getPluginRegistry \\
             getBuilderPluginRegistry getNvOnnxParserVersion initLibNvInferPlugins
    do echo "void *$n() { return 0; }"; done > empty.c
    gcc -shared -fPIC empty.c -o libnvinfer.so.11 -Wl,-soname,libnvinfer.so.11
    # and, of an empty file, libnvinfer_plugin.so.11 and libnvonnxparser.so.11
    LD_LIBRARY_PATH=. PYTHONPATH=unpacked-wheel python tests/trt/read_api.py tests/trt/api.json

Each call adds the version that it finds, or reads it again.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from api_uses import members, uses

if __name__ == "__main__":
    path = Path(sys.argv[1])
    table = json.loads(path.read_text()) if path.is_file() else {}
    bindings = import_module("tensorrt_bindings")
    names = sorted({use.member for use in uses()})
    table[bindings.__version__] = members(bindings, names)
    path.write_text(json.dumps(dict(sorted(table.items())), indent=1) + "\n")
