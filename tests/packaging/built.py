"""The build that is judged."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).parents[2]
BUILD = pathlib.Path(os.environ.get("SVCMIRROR_BUILD", ROOT / "build/release"))
CMAKE = os.environ.get("CMAKE_COMMAND", "cmake")
CPACK = os.environ.get("CPACK_COMMAND", "cpack")


def run(*argv, code=0, **more):
    result = subprocess.run([str(word) for word in argv], text=True, capture_output=True, check=False, **more)
    if result.returncode != code:
        raise AssertionError(f"{argv} ended with {result.returncode}:\n{result.stdout}{result.stderr}")
    return result.stdout


def needed(program):
    """The libraries that the program itself names."""
    return [line.split("[")[1].rstrip("]") for line in run("readelf", "-d", program).splitlines() if "(NEEDED)" in line]
