"""`svcmirror man`: every page, as roff's own programs judge it, and what it says beside --help."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from program import svcmirror


def command_names():
    return re.findall(r"(?m)^  ([a-z-]+(?: [a-z]+)?)  ", svcmirror("--help").stdout)


def page_name(command):
    return "-".join(["svcmirror", *command.split()])


class Man(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.written = svcmirror("man", "--directory", cls.folder.name)
        cls.pages = {path.stem: path for path in pathlib.Path(cls.folder.name).glob("*.1")}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_every_command_has_a_page(self):
        names = command_names()
        self.assertIn("edge-stack prepare", names)
        self.assertEqual((self.written.returncode, self.written.stdout, self.written.stderr), (0, "", ""))
        self.assertEqual(sorted(self.pages), sorted(["svcmirror", *map(page_name, names)]))
        for name in names:
            self.assertEqual(svcmirror("man", *name.split()).stdout, self.pages[page_name(name)].read_text(), name)
        self.assertEqual(svcmirror("man").stdout, self.pages["svcmirror"].read_text())

    def test_every_flag_is_on_its_page(self):
        for name in command_names():
            flags = re.findall(r"(?m)^  (?:-\w, |    )(--[\w-]+)", svcmirror(*name.split(), "--help").stdout)
            found = re.findall(r"(?m)^(?:\\fB\\-\w\\fR, )?\\fB(\\-\\-[\w\\-]+?)\\fR", self.pages[page_name(name)].read_text().split(".SH ENVIRONMENT")[0])
            self.assertEqual([flag.replace("\\", "") for flag in found], flags, name)

    @unittest.skipIf(shutil.which("mandoc") is None, "mandoc is not installed")
    def test_mandoc_finds_nothing(self):
        result = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *map(str, self.pages.values())], text=True, capture_output=True, check=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    @unittest.skipIf(shutil.which("man") is None, "man is not installed")
    def test_man_shows_them(self):
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
        for name, path in self.pages.items():
            result = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", str(path)], text=True, capture_output=True, env=environment, check=False)
            self.assertEqual((result.returncode, result.stderr), (0, ""), name)
            for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "SEE ALSO"):
                self.assertIn(f"\n{heading}\n", result.stdout, name)

    def test_what_it_refuses(self):
        for argv, code, words in ((["frobnicate"], 2, 'no command "frobnicate"'), (["link", "prepare"], 2, 'no command "link prepare"'),
                                  (["edge-stack"], 2, 'no command "edge-stack"'), (["link", "--directory", "."], 2, "--directory takes all pages"),
                                  (["--directory", "/nonexistent/folder"], 1, "/nonexistent/folder/svcmirror.1: No such file")):
            result = svcmirror("man", *argv)
            self.assertEqual((result.returncode, result.stdout, len(result.stderr.splitlines())), (code, "", 1), argv)
            self.assertIn(words, result.stderr)


if __name__ == "__main__":
    unittest.main()
