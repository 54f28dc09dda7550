"""A real browser: Chromium without a window, driven by the DevTools protocol through a pipe."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from .wait import wait_until

# Nothing is asked of anybody else, and no sandbox: the laboratory is one, and its users are all root.
FLAGS = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars", "--mute-audio"]


def chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One browser with one page. `complaints` is what a developer would see in red: errors, exceptions, violations of the policy."""

    def __init__(self, width=1280, height=900):
        self.profile = tempfile.mkdtemp(prefix="svcmirror-browser-")
        to_read, self.to = os.pipe()
        self.from_, to_write = os.pipe()
        # Chromium reads commands from descriptor 3 and writes to 4.
        self.child = subprocess.Popen(["bash", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}', chromium(), *FLAGS, f"--user-data-dir={self.profile}",
                                       f"--window-size={width},{height}", "about:blank"], pass_fds=(to_read, to_write),
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_write)
        self.number, self.buffer, self.session, self.events, self.complaints = 0, b"", None, [], []
        [target] = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Audits", "Accessibility"):
            self.call(domain + ".enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    # -- the protocol --

    def _receive(self, seconds):
        end = time.monotonic() + seconds
        while b"\0" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.from_], [], [], left)[0]:
                return None
            piece = os.read(self.from_, 1 << 16)
            if not piece:
                raise RuntimeError("the browser has ended")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event):
        self.events.append(event["method"])
        params = event.get("params", {})
        if event["method"] == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"]["text"])
        elif event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(params["args"]))
        elif event["method"] == "Audits.issueAdded":
            self.complaints.append(json.dumps(params["issue"]))

    def call(self, method, timeout=30, **params):
        self.number += 1
        command = {"id": self.number, "method": method, "params": params, **({"sessionId": self.session} if self.session else {})}
        os.write(self.to, json.dumps(command).encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            message = self._receive(end - time.monotonic())
            assert message is not None, f"the browser does not answer {method}"
            if message.get("id") == self.number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            if "method" in message:
                self._note(message)

    def idle(self, seconds):
        """Takes what the browser says by itself meanwhile."""
        end = time.monotonic() + seconds
        while (message := self._receive(end - time.monotonic())) is not None:
            self._note(message)

    # -- the page --

    def go(self, url):
        self.events.clear()
        self.call("Page.navigate", url=url)
        end = time.monotonic() + 30
        while "Page.loadEventFired" not in self.events:
            assert time.monotonic() < end, f"{url} does not load"
            self.idle(0.05)

    def js(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def text(self, selector):
        return self.js(f"(document.querySelector({json.dumps(selector)}) || {{innerText: ''}}).innerText")

    def html(self):
        """The page as it is now, whether it may run scripts or not."""
        return self.call("DOM.getOuterHTML", nodeId=self.call("DOM.getDocument")["root"]["nodeId"])["outerHTML"]

    def wait_text(self, selector, wanted, timeout=20):
        return wait_until(lambda: wanted in self.text(selector), timeout, f"{selector} says {wanted!r}", 0.1)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, key, code=None, number=0):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code or key, windowsVirtualKeyCode=number, **({"text": "\r"} if key == "Enter" else {}))

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def scripts(self, enabled):
        self.call("Emulation.setScriptExecutionDisabled", value=not enabled)

    def names(self):
        """What a screen reader is told: (role, name) of everything that it does not skip."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return {(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n.get("ignored")}

    def screenshot(self, path=None):
        """The whole page, as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"])
        if path:
            with open(path, "wb") as file:
                file.write(data)
        return data

    def close(self):
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        os.close(self.to)
        os.close(self.from_)
        shutil.rmtree(self.profile, ignore_errors=True)
