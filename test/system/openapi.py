# SPDX-License-Identifier: MIT
"""Makes every request that an OpenAPI file describes and holds the answers against it.

openapi.py FILE SOCKET LAST. Of the requests that end the machine only LAST is made, and last."""
import http.client
import json
import re
import socket
import sys

import jsonschema
import yaml

ENDS = ["/v1/stop", "/v1/kill"]


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


def main():
    spec = yaml.safe_load(open(sys.argv[1]))
    path = sys.argv[2]
    urls = sorted(u for u in spec["paths"] if u not in ENDS)
    check_metrics(path)
    for url, status in [("/nothing", 404), ("/v1", 404), ("/v1/machine/x", 404)]:
        answer, data = request(path, "GET", url)
        assert answer.status == status and "error" in json.loads(data), url
    for url in urls:
        for method in ["get", "post", "put", "delete"]:
            operation = spec["paths"][url].get(method)
            if operation is None:
                answer, _ = request(path, method.upper(), url)
                assert answer.status == 405, f"{method} {url}: {answer.status}"
                continue
            body = operation.get("requestBody")
            bodies = [None]
            if body:
                content = body["content"]["application/json"]
                bodies = [e["value"] for e in content["examples"].values()]
                answer, _ = request(path, method.upper(), url, {"nonsense": True})
                assert answer.status == 400, f"{url}: nonsense gets {answer.status}"
            for b in bodies:
                print(method, url, check(spec, path, method, url, operation, b))
    url = sys.argv[3]
    print("post", url, check(spec, path, "post", url, spec["paths"][url]["post"], None))


main()
