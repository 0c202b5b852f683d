# SPDX-License-Identifier: MIT
"""Makes every request that an OpenAPI file describes and holds the answers against it.

openapi.py FILE SOCKET. Every answer that is described has to come at some time, but for those that
the machine gives when it is itself in trouble. At the end it is killed, in the middle of a stop."""
import http.client
import json
import os
import re
import signal
import socket
import sys

import jsonschema
import yaml

ENDS = ["/v1/stop", "/v1/kill"]
TROUBLE = ["500"]
seen = set()


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("lucid", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


def request(path, method, url, body=None):
    c = Connection(path)
    text = json.dumps(body) if body is not None else None
    c.request(method, url, text, {"Content-Type": "application/json"})
    answer = c.getresponse()
    data = b"" if answer.status == 101 else answer.read()
    return answer, data


def resolve(spec, node):
    while "$ref" in node:
        at = spec
        for part in node["$ref"].lstrip("#/").split("/"):
            at = at[part]
        node = at
    return node


def check(spec, path, method, url, operation, body):
    answer, data = request(path, method.upper(), url, body)
    described = operation["responses"].get(str(answer.status))
    assert described, f"{method} {url}: answered {answer.status}: {data!r}"
    seen.add((method, url, str(answer.status)))
    for kind, content in resolve(spec, described).get("content", {}).items():
        got = answer.getheader("Content-Type").split(";")[0]
        assert got == kind, f"{method} {url}: {got} instead of {kind}"
        value = json.loads(data) if kind == "application/json" else data.decode()
        schema = {**content["schema"], "components": spec["components"]}
        jsonschema.validate(value, schema, jsonschema.Draft202012Validator)
    return answer.status


def check_metrics(path):
    _, data = request(path, "GET", "/metrics")
    _, stats = request(path, "GET", "/v1/stats")
    names = set()
    for line in data.decode().splitlines():
        if line.startswith("# TYPE"):
            names.add(line.split()[2])
        elif not line.startswith("#"):
            assert re.fullmatch(r'lucid_[a-z_]+\{vm="api"[^}]*\} [0-9.]+', line), line
            assert line.split("{")[0] in names, line
    for name, value in json.loads(stats).items():
        if isinstance(value, (int, float)):
            assert f"lucid_{name}" in names or f"lucid_{name}_total" in names, name


def bodies_of(operation):
    """The examples, or no body."""
    body = operation.get("requestBody")
    if not body:
        return [None]
    return [e["value"] for e in body["content"]["application/json"]["examples"].values()]


def refuse_what_is_not_described(spec, path):
    for url, status in [("/nothing", 404), ("/v1", 404), ("/v1/machine/x", 404)]:
        answer, data = request(path, "GET", url)
        assert answer.status == status and "error" in json.loads(data), url
    answer, _ = request(path, "POST", "/v1/memory", {"target": "x" * 70000})
    assert answer.status == 413, answer.status
    for url in spec["paths"]:
        for method in ["get", "post", "put", "delete"]:
            if method not in spec["paths"][url]:
                answer, _ = request(path, method.upper(), url)
                assert answer.status == 405, f"{method} {url}: {answer.status}"


def ask_all(spec, path, state):
    """Each request but those that end the machine, in whatever order."""
    for url in sorted(u for u in spec["paths"] if u not in ENDS):
        for method, operation in spec["paths"][url].items():
            for body in [*bodies_of(operation), *([{"nonsense": True}] if "requestBody" in operation else [])]:
                print(state, method, url, check(spec, path, method, url, operation, body))


def post(spec, path, url):
    return check(spec, path, "post", url, spec["paths"][url]["post"], None)


def freeze(monitor):
    """The guest stands still, so that its end takes as long as the monitor waits for it."""
    with open(f"/proc/{monitor}/task/{monitor}/children") as f:
        for child in f.read().split():
            os.kill(int(child), signal.SIGSTOP)


def main():
    spec = yaml.safe_load(open(sys.argv[1]))
    path = sys.argv[2]
    check_metrics(path)
    refuse_what_is_not_described(spec, path)
    ask_all(spec, path, "running:")
    for url in ["/v1/resume", "/v1/pause", "/v1/pause"]:
        print("running:", url, post(spec, path, url))
    # What was paused is resumed in the middle.
    assert post(spec, path, "/v1/stop") == 409
    ask_all(spec, path, "paused:")
    assert post(spec, path, "/v1/stop") == 202
    freeze(json.loads(request(path, "GET", "/v1/machine")[1])["pid"])
    ask_all(spec, path, "ending:")
    assert post(spec, path, "/v1/stop") == 409
    assert post(spec, path, "/v1/kill") == 202
    described = {(method, url, status) for url, methods in spec["paths"].items()
                 for method, operation in methods.items() for status in operation["responses"]
                 if status not in TROUBLE}
    assert described == seen, described ^ seen


main()
