"""Repositories for Bazel 4, which reads WORKSPACE: nothing is fetched.

Rules are those inside Bazel, packages those of the interpreter it finds.
"""

_NATIVE = "def {0}(**attributes):\n    native.{0}(**attributes)\n"

# The generated code is checked in.
_PY_PROTO_LIBRARY = """
def py_proto_library(name, deps):
    native.py_library(name = name, srcs = [name + ".py"])
"""

_INSTALLED = """
py_library(
    name = "{}",
    visibility = ["//visibility:public"],
)
"""

def _rules_python(context):
    context.file("python/BUILD")
    for rule in ["py_binary", "py_library", "py_test"]:
        context.file("python/%s.bzl" % rule, _NATIVE.format(rule))

def _protobuf(context):
    context.file("bazel/BUILD")
    context.file("bazel/proto_library.bzl", _NATIVE.format("proto_library"))
    context.file("bazel/py_proto_library.bzl", _PY_PROTO_LIBRARY)

def _pypi(context):
    for line in context.read(Label("//:requirements.txt")).splitlines():
        name, pinned, _ = line.partition("==")
        if pinned:
            name = name.lower().replace("-", "_")
            context.file(name + "/BUILD", _INSTALLED.format(name))

rules_python = repository_rule(_rules_python)
protobuf = repository_rule(_protobuf)
pypi = repository_rule(_pypi)
