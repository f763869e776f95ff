"""The part of the build that is compiled; all else is said in setup.cfg."""

from setuptools import Extension, setup


def compiled(name: str) -> Extension:
    """Return a module of `teapot` in C; without a compiler or OpenSSL, Python does the same."""
    return Extension(
        f"teapot.{name}",
        [f"teapot/{name}.c"],
        libraries=["crypto"],
        define_macros=[("Py_LIMITED_API", "0x030B0000")],
        py_limited_api=True,
        optional=True,
    )


setup(
    ext_modules=[compiled("_batches"), compiled("_columnlines"), compiled("_rows")],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
