"""Child processes with their logs in files."""
import os
import signal
import subprocess
import time


class Process:
    """One child process, optionally in a network namespace. Output goes to `<folder>/<name>.log`."""

    def __init__(self, name, argv, folder, netns=None, env=None):
        self.name, self.folder = name, folder
        self.argv = (["ip", "netns", "exec", netns] if netns else []) + [str(a) for a in argv]
        self.env = env
        self.log_path = os.path.join(folder, name + ".log")
        self.child = None

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        log = open(self.log_path, "ab")
        self.child = subprocess.Popen(self.argv, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.folder,
                                      env={**os.environ, **(self.env or {})})
        log.close()
        return self

    @property
    def running(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        if self.running:
            os.kill(self.child.pid, number)

    def stop(self, timeout=10.0):
        """SIGTERM, then SIGKILL. Returns the exit code, None when it was not running."""
        if self.child is None:
            return None
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(timeout)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode

    def kill(self):
        if self.running:
            self.child.kill()
        if self.child is not None:
            self.child.wait()

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def tail(self, lines=30):
        return "\n".join(self.log().splitlines()[-lines:])

    def require(self, seconds=0.0):
        """Fails with the end of the log when the process has ended."""
        time.sleep(seconds)
        if not self.running:
            raise RuntimeError(f"{self.name} ended with {self.child.returncode if self.child else 'no start'}:\n{self.tail()}")
