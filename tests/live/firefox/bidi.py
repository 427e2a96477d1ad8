"""Drive Firefox by WebDriver BiDi, the protocol that it speaks without a driver; the socket is tornado's."""

import asyncio
import json
import re
import subprocess
import time

from tornado.websocket import websocket_connect

_LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
KEYS = {"Control": "\ue009", "Shift": "\ue008", "PageDown": "\ue00f", "Escape": "\ue00c", "ArrowRight": "\ue014"}


class Firefox:
    """One window of a browser of its own.

    Attributes
    ----------
    errors
        What the page wrote to the console as an error, or did not catch.
    """

    def __init__(self, path, profile, *, width=1280, height=800):
        profile.mkdir(parents=True)
        command = [path, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
        command += ["--width", str(width), "--height", str(height)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        address = next(found[1] for line in self.process.stderr if (found := _LISTENS.search(line)))
        self.loop = asyncio.new_event_loop()
        self.errors, self.n = [], 0
        self.socket = self.loop.run_until_complete(self._connect(f"{address}/session"))
        self.ask("session.new", capabilities={})
        self.ask("session.subscribe", events=["log.entryAdded"])
        self.context = self.ask("browsingContext.getTree")["contexts"][0]["context"]
        self.ask("browsingContext.setViewport", context=self.context, viewport={"width": width, "height": height})

    async def _connect(self, address):
        return await websocket_connect(address)

    def ask(self, method, **parameters):
        """Send a command, and return what it answers."""
        self.n += 1
        message = json.dumps({"id": self.n, "method": method, "params": parameters})
        return self.loop.run_until_complete(asyncio.wait_for(self._ask(message, self.n), 60))

    async def _ask(self, message, number):
        await self.socket.write_message(message)
        while True:
            answer = json.loads(await self.socket.read_message())
            if answer.get("method") == "log.entryAdded" and answer["params"]["level"] == "error":
                self.errors.append(answer["params"]["text"])
            if answer.get("id") == number:
                if answer["type"] == "error":
                    raise RuntimeError(f"{answer['error']}: {answer['message']}")
                return answer["result"]

    def open(self, url):
        self.ask("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def evaluate(self, expression):
        """Return the value of an expression, which is awaited and goes through JSON."""
        wrapped = f"(async () => JSON.stringify(await ({expression})) ?? null)()"
        answer = self.ask("script.evaluate", expression=wrapped, target={"context": self.context}, awaitPromise=True)
        if answer["type"] == "exception":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        value = answer["result"].get("value")
        return None if value is None else json.loads(value)

    def until(self, expression, seconds=30):
        end = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < end, f"still not after {seconds} s: {expression}"
            time.sleep(0.03)

    def point(self, *steps, button=0):
        """Press the mouse at the first place, move to the others, and release; places are in CSS pixels."""
        moves = [{"type": "pointerMove", "x": round(x), "y": round(y), "duration": 20} for x, y in steps]
        actions = [
            moves[0],
            {"type": "pointerDown", "button": button},
            *moves[1:],
            {"type": "pointerUp", "button": button},
        ]
        source = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}
        self.ask("input.performActions", context=self.context, actions=[source])

    def press(self, *keys):
        """Press keys together, such as Control and z."""
        named = [KEYS.get(key, key) for key in keys]
        actions = [{"type": "keyDown", "value": key} for key in named]
        actions += [{"type": "keyUp", "value": key} for key in reversed(named)]
        self.ask(
            "input.performActions", context=self.context, actions=[{"type": "key", "id": "keys", "actions": actions}]
        )

    def close(self):
        self.loop.call_soon(self.socket.close)
        self.loop.run_until_complete(asyncio.sleep(0.05))
        self.loop.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)
        self.process.stderr.close()
