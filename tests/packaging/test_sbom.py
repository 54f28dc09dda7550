"""The list of libraries that comes with the program (SPDX 2.3)."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import tempfile
import unittest

from built import BUILD, ROOT, needed, run

PROGRAM = BUILD / "svcmirror"


def make(*path_first):
    """The SBOM as it is made with these folders before all others in PATH."""
    environment = {**os.environ, "PATH": ":".join([*map(str, path_first), os.environ["PATH"]])}
    return json.loads(run(ROOT / "deploy/make-sbom", PROGRAM, "1.2.3", "2026-01-02", env=environment))


class Sbom(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.document = json.loads((BUILD / "svcmirror.spdx.json").read_text())
        cls.packages = {package["SPDXID"]: package for package in cls.document["packages"]}
        cls.files = {file["SPDXID"]: file for file in cls.document["files"]}

    def related(self, how, start=None):
        return [(r["spdxElementId"], r["relatedSpdxElement"]) for r in self.document["relationships"]
                if r["relationshipType"] == how and start in (None, r["spdxElementId"])]

    def test_structure(self):
        document = self.document
        self.assertEqual((document["spdxVersion"], document["dataLicense"], document["SPDXID"]), ("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT"))
        self.assertRegex(document["documentNamespace"], r"^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$")
        self.assertRegex(document["creationInfo"]["created"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        ids = [*self.packages, *self.files, document["SPDXID"]]
        self.assertEqual(len(set(ids)), len(document["packages"]) + len(document["files"]) + 1, "each has an id of its own")
        for one in ids:
            self.assertRegex(one, r"^SPDXRef-[A-Za-z0-9.-]+$")
        for relation in document["relationships"]:
            self.assertLessEqual({relation["spdxElementId"], relation["relatedSpdxElement"]}, set(ids), relation)
        for package in self.packages.values():
            self.assertLessEqual({"name", "versionInfo", "downloadLocation", "licenseConcluded", "licenseDeclared", "copyrightText"}, set(package))
        self.assertEqual(self.related("DESCRIBES"), [("SPDXRef-DOCUMENT", "SPDXRef-Package-svcmirror")])

    def test_every_library_of_the_program_is_in_it(self):
        linked = {package for _, package in self.related("DYNAMIC_LINK", "SPDXRef-Package-svcmirror")}
        owners = dict(self.related("EXPANDED_FROM_ARCHIVE"))
        libraries = needed(PROGRAM)
        self.assertIn("libcurl.so.4", libraries)
        for soname in libraries:
            [file] = [one for one, file in self.files.items() if file["fileName"].endswith("/" + soname)]
            self.assertIn(owners[file], linked, soname)

    def test_files_are_those_of_this_machine(self):
        for file in self.files.values():
            sums = {sum_["algorithm"]: sum_["checksumValue"] for sum_ in file["checksums"]}
            content = pathlib.Path(file["fileName"].removeprefix(".")).read_bytes()
            self.assertEqual(sums, {"SHA1": hashlib.sha1(content).hexdigest(), "SHA256": hashlib.sha256(content).hexdigest()}, file["fileName"])

    def test_packages_are_named_as_debian_does(self):
        libraries = {package["name"]: package for package in self.packages.values() if package["name"] != "svcmirror"}
        known = run("dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}\\n", *libraries).splitlines()
        self.assertLessEqual(set(libraries), {line.split()[0] for line in known})
        for name, version, architecture in (line.split() for line in known):
            [reference] = libraries[name]["externalRefs"]
            self.assertEqual(libraries[name]["versionInfo"], version)
            begin, end = reference["referenceLocator"].split("?")
            self.assertRegex(begin, r"^pkg:deb/[a-z]+/")
            self.assertEqual(begin.split("/", 2)[2], f"{name}@{version}".replace("+", "%2B"))
            self.assertRegex(end, rf"^arch={architecture}(&distro=[a-z]+-[\d.]+)?$")

    def test_every_library_of_the_image_is_in_it(self):
        with tempfile.TemporaryDirectory() as folder:
            run(ROOT / "deploy/collect-closure", PROGRAM, folder)
            libraries = {"./" + str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*.so*")}
        self.assertEqual(libraries, {file["fileName"] for file in self.files.values()})

    def test_the_same_build_gives_the_same_document(self):
        again = make()
        for part in ("documentNamespace", "files", "relationships"):
            self.assertEqual(again[part], self.document[part])

    def test_libraries_that_dpkg_does_not_know_stand_for_themselves(self):
        with tempfile.TemporaryDirectory() as folder:
            dpkg = pathlib.Path(folder, "dpkg-query")
            dpkg.write_text("#!/bin/sh\nexit 1\n")
            dpkg.chmod(stat.S_IRWXU)
            document = make(folder)
        names = {package["name"] for package in document["packages"]}
        self.assertLessEqual(set(needed(PROGRAM)), names)
        self.assertFalse([package for package in document["packages"] if "deb/" in str(package.get("externalRefs"))])

    def test_a_program_without_its_libraries_has_none(self):
        with tempfile.TemporaryDirectory() as folder:
            ldd = pathlib.Path(folder, "ldd")
            ldd.write_text("#!/bin/sh\necho '\tlibgone.so.1 => not found'\n")
            ldd.chmod(stat.S_IRWXU)
            environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
            self.assertEqual(run(ROOT / "deploy/make-sbom", PROGRAM, "1", "2026-01-02", env=environment, code=1), "")


@unittest.skipIf(shutil.which("ninja") is None, "ninja is not installed")
class Image(unittest.TestCase):
    def test_the_dockerfile_copies_all_that_the_build_reads(self):
        """Its COPY lines make a tree in which CMake and Ninja find everything; nothing is compiled."""
        lines = re.sub(r"\\\n", " ", (ROOT / "deploy/Dockerfile").read_text()).splitlines()
        with tempfile.TemporaryDirectory() as folder:
            for line in lines:
                if not line.startswith("COPY ") or "--from" in line:
                    continue
                *sources, target = line.split()[1:]
                for source in sources:
                    to = pathlib.Path(folder, target, pathlib.Path(source).name if target.endswith("/") else "")
                    to.parent.mkdir(parents=True, exist_ok=True)
                    (shutil.copytree if (ROOT / source).is_dir() else shutil.copy2)(ROOT / source, to)
            [build] = [line for line in lines if line.startswith("RUN cmake")]
            preset, options, targets = re.fullmatch(r"RUN cmake --preset (\w+) (\S+) && cmake --build --preset \w+ --target (.*)", build).groups()
            run("cmake", "--preset", preset, options, cwd=folder)
            run("ninja", "-C", f"build/{preset}", "-n", *targets.split(), cwd=folder)


if __name__ == "__main__":
    unittest.main()
