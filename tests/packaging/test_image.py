"""The image that deploy/Dockerfile gives, built for real: by buildah, on a base of Debian 12's own packages, which stands for the image that the Dockerfile names."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from built import BUILD, ROOT, run

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "svcmirror"
BASE = CACHE / "debian-12-base.tar"
TAG = "localhost/svcmirror:test"
MISSING = [name for name in ("buildah", "mmdebstrap") if shutil.which(name) is None]


def make_base():
    """Once for a machine."""
    if BASE.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        made = pathlib.Path(folder, "base.tar")
        run("mmdebstrap", "--variant=minbase", "bookworm", made)
        made.rename(BASE)


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
@unittest.skipIf(os.geteuid() != 0, "only root may build without an engine")
class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        make_base()
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        base = cls.buildah("from", "scratch").strip()
        cls.buildah("add", "--quiet", base, BASE, "/")
        cls.buildah("commit", "--quiet", base, "docker.io/library/debian:12-slim")
        cls.buildah("build", "--isolation=chroot", "--network=host", "--pull-never", "-f", ROOT / "deploy/Dockerfile", "-t", TAG, ROOT)
        cls.container = cls.buildah("from", "--pull-never", TAG).strip()
        cls.root = pathlib.Path(cls.buildah("mount", cls.container).strip())
        cls.addClassCleanup(cls.buildah, "umount", "--all")

    @classmethod
    def buildah(cls, *argv, code=0):
        store = pathlib.Path(cls.folder.name)
        return run("buildah", "--root", store / "store", "--runroot", store / "run", "--storage-driver=vfs", *argv, code=code)

    def files(self):
        return {path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file() and not path.is_symlink()}

    def test_the_program_runs_with_what_is_in_it(self):
        said = self.buildah("run", "--isolation=chroot", self.container, "--", "/usr/bin/svcmirror", "version")
        self.assertEqual(said, run(BUILD / "svcmirror", "version"))

    def test_there_is_no_other_program(self):
        programs = {str(path) for path in self.files() if os.access(self.root / path, os.X_OK) and ".so" not in path.name}
        of_buildah = {"etc/hosts", "etc/hostname", "etc/resolv.conf"}  # where it has run something
        self.assertEqual(programs - of_buildah, {"usr/bin/svcmirror"})
        self.buildah("run", "--isolation=chroot", self.container, "--", "/bin/sh", "-c", "true", code=1)
        used_kib = int(subprocess.run(["du", "-sk", self.root], check=True, capture_output=True, text=True).stdout.split()[0])
        self.assertLess(used_kib, 40 << 10)

    def test_it_says_how_it_is_run(self):
        config = json.loads(self.buildah("inspect", self.container))["OCIv1"]["config"]
        self.assertEqual((config["User"], config["ExposedPorts"], config["Entrypoint"], config["Cmd"]),
                         ("65532:65532", {"9999/tcp": {}}, ["/usr/bin/svcmirror"], ["run"]))

    def test_the_list_of_libraries_is_of_those_in_it(self):
        document = json.loads((self.root / "usr/share/doc/svcmirror/svcmirror.spdx.json").read_text())
        listed = {pathlib.Path(file["fileName"]): file for file in document["files"]}
        self.assertEqual({path for path in self.files() if ".so" in path.name}, {path for path in listed if ".so" in path.name})
        for path, file in listed.items():
            [wanted] = [one["checksumValue"] for one in file["checksums"] if one["algorithm"] == "SHA256"]
            if ".so" in path.name:
                self.assertEqual(hashlib.sha256((self.root / path).read_bytes()).hexdigest(), wanted, path)

    def test_certificate_authorities_are_in_it(self):
        self.assertIn("BEGIN CERTIFICATE", (self.root / "etc/ssl/certs/ca-certificates.crt").read_text())


if __name__ == "__main__":
    unittest.main()
