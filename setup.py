"""The inner loops in C, and archives with the same bytes from the same sources.

Everything else about the package stands in pyproject.toml.
"""

import gzip
import io
import os
import runpy
import tarfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

# Zip archives know no time before 1980. Read when a wheel is packed, too.
os.umask(0o022)
NATIVE = Path("nirc/native")
LIBRARY = runpy.run_path(str(NATIVE / "library.py"))
SOURCES = [path.as_posix() for path in LIBRARY["sources_in"](NATIVE)]
TIME = int(os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800"))


class WholeBuild(build_ext):
    """Builds the library whatever the times of its sources: their checksum is in it."""

    def finalize_options(self):
        """Ask for all files."""
        super().finalize_options()
        self.force = True


class RepeatableSdist(sdist):
    """Packs the files in the order of their names, without owner and time."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, **options):
        """Return the name of the archive."""
        if format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, **options)
        tree = Path(root_dir or ".") / base_dir
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(tree.rglob("*")):
                if "__pycache__" in path.parts:
                    continue
                member = archive.gettarinfo(path, f"{base_dir}/{path.relative_to(tree).as_posix()}")
                member.mtime = TIME
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                member.mode = 0o755 if path.is_dir() or member.mode & 0o100 else 0o644
                with path.open("rb") if member.isreg() else io.BytesIO() as data:
                    archive.addfile(member, data)
        name = f"{base_name}.tar.gz"
        Path(name).write_bytes(gzip.compress(packed.getvalue(), mtime=TIME))
        return name


setup(
    cmdclass={"sdist": RepeatableSdist, "build_ext": WholeBuild},
    ext_modules=[
        Extension(
            "nirc.native._kernels",
            sources=[path for path in SOURCES if path.endswith(".c")],
            define_macros=[("SOURCES", f"{LIBRARY['number_of'](NATIVE)}U")],
            # -g0: notes for debuggers would name the folder of the build
            extra_compile_args=["-O3", "-ffp-contract=off", "-g0"],
            optional=True,  # without a compiler the definitions in numpy run
        )
    ],
)
