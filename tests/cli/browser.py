"""A headless Chromium, driven over the DevTools protocol through a pipe; nothing but the standard library."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


def find():
    """The browser's program, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return shutil.which(name)
    return None


class Browser:
    """One page. `errors` collects exceptions, console errors and messages of the browser itself."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="alpa_browser")
        self.errors, self.requests = [], []
        self.number = 0
        self.buffer = b""
        read_there, self.write_fd = os.pipe()
        self.read_fd, write_there = os.pipe()

        def inherit():  # the browser reads file 3 and writes file 4
            a, b = os.dup(read_there), os.dup(write_there)
            os.dup2(a, 3)
            os.dup2(b, 4)

        words = [find(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
                 "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
                 "--user-data-dir=" + self.profile.name, "about:blank"]
        self.process = subprocess.Popen(words, preexec_fn=inherit, close_fds=False, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        os.close(read_there)
        os.close(write_there)
        self.session = None
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.write_fd)
        os.close(self.read_fd)
        for _ in range(20):  # its children may still write into the profile
            try:
                self.profile.cleanup()
                return
            except OSError:
                time.sleep(0.1)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_fd, json.dumps(message).encode() + b"\0")
        wanted = self.number
        end = time.time() + 60
        while time.time() < end:
            answer = self.next_message(end - time.time())
            if answer and answer.get("id") == wanted:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
        raise RuntimeError(f"{method}: no answer")

    def next_message(self, seconds):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read_fd], [], [], max(0, seconds))
            if not ready:
                return None
            data = os.read(self.read_fd, 1 << 16)
            if not data:
                raise RuntimeError("the browser ended")
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(text)
        self.note(message.get("method"), message.get("params", {}))
        return message

    def note(self, method, params):
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(str([a.get("value") for a in params["args"]]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def evaluate(self, expression):
        out = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in out:
            raise RuntimeError(expression + ": " + out["exceptionDetails"].get("exception", {}).get("description", "?"))
        return out["result"].get("value")

    def wait(self, expression, seconds=30):
        end = time.time() + seconds
        while time.time() < end:
            if self.evaluate(expression):
                return
            time.sleep(0.05)
        raise RuntimeError("not within %g s: %s" % (seconds, expression))

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, value):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def open(self, path, ready):
        """Loads a file and waits until the expression `ready` holds; seconds that took."""
        start = time.time()
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url="file://" + os.path.abspath(path))
        self.wait(ready, 60)
        return time.time() - start

    def middle(self, selector):
        """Where an element is, scrolled into view."""
        return self.evaluate(f"""(() => {{ const e = document.querySelector({json.dumps(selector)});
            if (!e) throw Error("no element " + {json.dumps(selector)});
            e.scrollIntoView({{block: "center"}}); const b = e.getBoundingClientRect();
            return [b.left + b.width / 2, b.top + Math.min(b.height, innerHeight) / 2]; }})()""")

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click_at(self, x, y):
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)

    def click(self, selector):
        self.click_at(*self.middle(selector))

    def key(self, key):
        code = {"ArrowLeft": 37, "ArrowRight": 39, "Escape": 27}.get(key, ord(key[0]))
        more = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def screenshot(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
