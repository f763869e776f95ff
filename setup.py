"""The part of the build that is compiled; all else is said in setup.cfg."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "teapot._batches",
            ["teapot/_batches.c"],
            libraries=["crypto"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            optional=True,  # without a compiler or OpenSSL's headers, Python does the same
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
