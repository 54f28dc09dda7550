"""Ctrl-C: a command says what it was about, and ends with 130."""
import signal
import subprocess
import unittest

from program import BINARY, CLEAN, Server, wait_until


class Interrupted(unittest.TestCase):
    def interrupt(self, server, signo, *argv):
        command = subprocess.Popen([BINARY, *argv], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=CLEAN)
        try:
            wait_until(lambda: server.requests, what="the first request")
            command.send_signal(signo)
            output, errors = command.communicate(timeout=30)
        finally:
            command.kill()
            server.close()
        return command.returncode, output, errors

    def test_while_it_waits_for_a_gateway(self):
        dead = {"clusterName": "east", "alive": False, "verdict": "dead", "reason": "ConnectionRefused"}
        for signo in signal.SIGINT, signal.SIGTERM:
            server = Server(lambda path, query: (200, [dead]))
            status, output, errors = self.interrupt(server, signo, "gateways", "--address", server.url, "--wait", "60s")
            self.assertEqual((status, output), (130, ""))
            self.assertIn("interrupted", errors.splitlines()[-1])

    def test_while_nothing_is_answered(self):
        server = Server(lambda path, query: None)
        status, output, errors = self.interrupt(server, signal.SIGINT, "gateways", "--address", server.url, "--wait", "60s")
        self.assertEqual((status, output), (130, ""))
        self.assertIn("interrupted", errors)
        server = Server(lambda path, query: None)
        status, output, errors = self.interrupt(server, signal.SIGINT, "gateways", "--address", server.url)
        self.assertEqual((status, output), (130, ""))
        self.assertIn("interrupted", errors)


if __name__ == "__main__":
    unittest.main()
