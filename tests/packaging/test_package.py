"""The Debian package: made, unpacked, and used from where it lies."""
import os
import pathlib
import shutil
import tempfile
import unittest

from built import BUILD, CMAKE, CPACK, needed, run

TOOLS = ("dpkg-deb", "dpkg-shlibdeps", "file")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]


@unittest.skipIf(MISSING, f"not installed: {' '.join(MISSING)}")
class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = pathlib.Path(cls.folder.name, "root")
        run(CPACK, "-G", "DEB", "--config", BUILD / "CPackConfig.cmake", "-B", cls.folder.name, cwd=cls.folder.name)
        [cls.deb] = pathlib.Path(cls.folder.name).glob("*.deb")
        run("dpkg-deb", "-x", cls.deb, cls.root)
        cls.program = cls.root / "usr/bin/svcmirror"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def field(self, name):
        return run("dpkg-deb", "-f", self.deb, name).strip()

    def shell(self, *argv):
        """What a shell prints to whom only the package's own files are of use."""
        return run(*argv, env={**os.environ, "PATH": f"{self.root}/usr/bin:{os.environ['PATH']}", "HOME": self.folder.name, "LC_ALL": "C.UTF-8"})

    def test_it_says_what_it_is(self):
        version = run(self.program, "version").split()[-1]
        self.assertEqual((self.field("Package"), self.field("Version"), self.field("Section")), ("svcmirror", version, "net"))
        self.assertRegex(self.field("Maintainer"), r"^.+ <.+@.+>$")
        self.assertEqual(self.deb.name, f"svcmirror_{version}_{self.field('Architecture')}.deb")

    def test_it_depends_on_what_the_program_links_to(self):
        depends = {entry.split()[0] for entry in self.field("Depends").split(",")}
        linked = run("ldd", self.program)
        for soname in needed(self.program):
            path = linked.split(soname + " => ")[1].split()[0]
            owner = run("sh", "-c", f"dpkg-query -S {path} 2>/dev/null || dpkg-query -S /usr{path}").split(":")[0]
            self.assertIn(owner, depends, soname)

    def test_the_program_runs_also_as_kubectls_plugin(self):
        self.assertIn("svcmirror COMMAND", run(self.program, "--help"))
        self.assertIn("kubectl svcmirror COMMAND", run(self.root / "usr/bin/kubectl-svcmirror", "--help"))

    @unittest.skipIf(shutil.which("man") is None, "man is not installed")
    def test_pages_are_found_by_their_names(self):
        for name in ("svcmirror", "svcmirror-edge-stack-prepare", "kubectl-svcmirror"):
            text = self.shell("man", "-M", self.root / "usr/share/man", "-P", "cat", name)
            self.assertIn("SYNOPSIS", text, name)
            self.assertIn("svcmirror", text.splitlines()[0].lower())

    def test_bash_completes_from_the_files(self):
        for command in ("svcmirror", "kubectl-svcmirror"):
            script = f'. "{self.root}/usr/share/bash-completion/completions/{command}"; complete -p {command} >/dev/null; ' \
                     'COMP_WORDS=(x gat) COMP_CWORD=1; _svcmirror; echo "${COMPREPLY[@]}"'
            self.assertEqual(self.shell("bash", "-uec", script), "gateways\n")

    def test_kubectl_is_told_what_completes_it(self):
        self.assertRegex(run(self.root / "usr/bin/kubectl_complete-svcmirror", "gat"), r"^gateways\t.+\n:4\n$")

    def test_zsh_and_fish_have_theirs(self):
        share = self.root / "usr/share"
        [zsh] = share.glob("zsh/*/_svcmirror")
        self.assertTrue(zsh.read_text().startswith("#compdef svcmirror kubectl-svcmirror\n"))
        self.assertEqual((share / "fish/vendor_completions.d/svcmirror.fish").read_text(), run(self.program, "completion", "fish"))

    def test_the_list_of_libraries_is_in_it(self):
        self.assertEqual((self.root / "usr/share/doc/svcmirror/svcmirror.spdx.json").read_bytes(), (BUILD / "svcmirror.spdx.json").read_bytes())

    @unittest.skipIf(shutil.which("lintian") is None, "lintian is not installed")
    def test_lintian_finds_nothing(self):
        if "libasan" in self.field("Depends"):
            self.skipTest("only releases are packages: ctest --preset release")
        self.assertEqual(run("lintian", "--allow-root", "--no-cfg", "--fail-on=error,warning", self.deb), "")

    def test_installed_elsewhere_it_is_the_same(self):
        with tempfile.TemporaryDirectory() as folder:
            run(CMAKE, "--install", BUILD, "--prefix", "/opt/x", env={**os.environ, "DESTDIR": folder})
            names = lambda root: {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}  # noqa: E731
            self.assertEqual(names(pathlib.Path(folder, "opt/x")), names(self.root / "usr"))


if __name__ == "__main__":
    unittest.main()
