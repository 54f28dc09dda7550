"""`svcmirror completion`, in the shells themselves."""
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from program import BINARY, svcmirror

CASES = [  # the words typed so far; what is offered
    (["ga"], ["gateways"]),
    (["link"], ["link", "link-gen", "links"]),
    (["edge-stack", ""], ["prepare"]),
    (["edge-stack", "prepare", "--und"], ["--undo"]),
    (["run", "--log-format", ""], ["logfmt", "json"]),
    (["gateways", "-o", "w"], ["wide"]),
    (["services", "--not"], ["--not-mirrored"]),
    (["nothing", "--x"], []),
]


def type_and_see(terminal, keys, shown, seconds=20):
    os.write(terminal, keys.encode())
    seen, end = b"", time.monotonic() + seconds
    while shown.encode() not in seen:
        if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            raise AssertionError(f"after {keys!r} no {shown!r}: {seen!r}")
        seen += os.read(terminal, 4096)


class Asked(unittest.TestCase):
    """What the program answers when kubectl asks it, as commands made with cobra answer."""

    def ask(self, *typed, binary=None):
        result = svcmirror("__complete", *typed) if binary is None else svcmirror(*typed, binary=binary)
        self.assertEqual((result.returncode, result.stderr), (0, ""), typed)
        *lines, directive = result.stdout.splitlines()
        return [line.split("\t") for line in lines], directive

    def test_the_same_words_as_in_a_shell(self):
        for typed, offered in CASES:
            lines, directive = self.ask(*typed)
            self.assertEqual(([line[0] for line in lines], directive), ([w for w in offered if w.startswith(typed[-1])], ":4"), typed)

    def test_words_and_what_they_mean(self):
        commands, directive = self.ask("")
        self.assertEqual(directive, ":4")
        self.assertIn(["edge-stack"], commands)
        self.assertEqual(len(commands), len({line[0] for line in commands}), "each is offered once")
        summaries = dict(line for line in commands if len(line) == 2)
        self.assertIn(f"  {'gateways':18}  {summaries['gateways']}\n", svcmirror("--help").stdout)
        flags = dict(self.ask("links", "-")[0])
        self.assertEqual(flags["--help"], "show this help")
        self.assertIn("--kubeconfig", flags)
        self.assertTrue(all(name.startswith("--") and meaning for name, meaning in flags.items()))

    def test_values_arguments_and_files(self):
        for typed, offered, directive in [
                (("gateways", "--output", ""), ["table", "wide", "json", "yaml"], ":4"), (("gateways", "--output=j"), ["json"], ":4"),
                (("gateways", "-o", "x"), [], ":4"), (("links", "--kubeconfig", ""), [], ":0"), (("links", "--kubeconfig="), [], ":0"),
                (("links", "--context", "--"), [], ":4"), (("links", "--context", "west", "--kubec"), ["--kubeconfig"], ":4"),
                (("man", "--directory", "x"), [], ":0"), (("man", "sup"), ["support-bundle"], ":4"), (("completion", ""), ["bash", "zsh", "fish"], ":4"),
                (("help", "unl"), ["unlink"], ":4"), (("help", "edge-stack", ""), ["prepare"], ":4"), (("he",), ["help"], ":4"),
                (("why", ""), [], ":4"), (("bogus", ""), [], ":4"), ((), None, ":4")]:
            lines, told = self.ask(*typed)
            self.assertEqual(told, directive, typed)
            if offered is not None:
                self.assertEqual([line[0] for line in lines], offered, typed)

    def test_by_the_name_that_kubectl_looks_for(self):
        binary = str(pathlib.Path(BINARY).with_name("kubectl_complete-svcmirror"))
        self.assertEqual(self.ask("gateways", "--help", binary=binary), ([["--help", "show this help"]], ":4"))
        self.assertEqual(self.ask("link", binary=binary), self.ask("link"))


class Completion(unittest.TestCase):
    def test_bash(self):
        script = svcmirror("completion", "bash").stdout + """
COMP_WORDS=(svcmirror "$@") COMP_CWORD=$#
_svcmirror
printf '%s\\n' "${COMPREPLY[@]}"
"""
        for typed, offered in CASES + [(["run", "--log-format", "=", "j"], ["json"]), (["run", "--log-format", "="], ["logfmt", "json"])]:
            result = subprocess.run(["bash", "-u", "-c", script, "bash", *typed], text=True, capture_output=True, check=True)
            self.assertEqual((result.stderr, result.stdout.split()), ("", offered), typed)

    def test_zsh(self):
        if shutil.which("zsh") is None:
            self.skipTest("zsh is not installed")
        script = svcmirror("completion", "zsh").stdout + """
emulate ksh
COMP_WORDS=(svcmirror "$@") COMP_CWORD=$#
_svcmirror
print -l -- "${COMPREPLY[@]}"
"""
        for typed, offered in CASES:
            result = subprocess.run(["zsh", "-f", "-c", script, "zsh", *typed], text=True, capture_output=True, check=True)
            found = [word for word in result.stdout.split() if word.startswith(typed[-1])]  # zsh itself leaves out the others
            self.assertEqual((result.stderr, found), ("", offered), typed)

    @unittest.skipIf(shutil.which("zsh") is None, "zsh is not installed")
    def test_zsh_answers_the_first_tab(self):
        """In a terminal: read by the user, and from a folder of completions as packages install it."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "_svcmirror")
            path.write_text(svcmirror("completion", "zsh").stdout)
            for begin in (f"source {path}", f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D"):
                child, terminal = pty.fork()
                if child == 0:
                    os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, "TERM": "dumb"})
                try:
                    type_and_see(terminal, f"{begin}; echo rea''dy\n", "ready")
                    type_and_see(terminal, "svcmirror gat\t", "gateways ")
                finally:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    os.close(terminal)

    def test_fish(self):
        if shutil.which("fish") is None:
            self.skipTest("fish is not installed")
        with tempfile.NamedTemporaryFile("w", suffix=".fish") as file:
            file.write(svcmirror("completion", "fish").stdout)
            file.flush()
            for typed, offered in CASES[:-1]:
                line = " ".join(["svcmirror", *typed])
                result = subprocess.run(["fish", "--no-config", "-c", f"source {file.name}; complete -C '{line}'"], text=True, capture_output=True, check=True)
                found = [entry.split("\t")[0] for entry in result.stdout.splitlines()]
                self.assertEqual(sorted(found), sorted(offered), typed)

    def test_every_command_and_flag_is_offered(self):
        overview = svcmirror("--help").stdout
        commands = [line.strip().split("  ")[0] for line in overview.splitlines() if line.startswith("  ") and line[2] != " " and "  " in line.strip()]
        self.assertIn("edge-stack prepare", commands)
        script = svcmirror("completion", "bash").stdout
        for command in commands:
            flags = re.findall(r"(?m)^  (?:-\w, |    )(--[\w-]+)", svcmirror(*command.split(), "--help").stdout)
            [offered] = [line for line in script.splitlines() if line.startswith(f'    "{command}") flags=')]
            for flag in flags:
                self.assertIn(f"{flag} " if flag != "--help" else flag, offered, command)

    def test_another_shell(self):
        for argv in ([], ["tcsh"]):
            result = svcmirror("completion", *argv)
            self.assertEqual((result.returncode, result.stdout, len(result.stderr.splitlines())), (2, "", 1))


if __name__ == "__main__":
    unittest.main()
