"""The inner loops in C. Everything else about the package stands in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "nirc.native._kernels",
            sources=["nirc/native/networks.c", "nirc/native/cores.c", "nirc/native/floats.c"],
            depends=["nirc/native/kernels.h"],
            extra_compile_args=["-O3", "-ffp-contract=off"],
            optional=True,  # without a compiler the definitions in numpy run
        )
    ]
)
