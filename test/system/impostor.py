# SPDX-License-Identifier: MIT
"""Is a machine of another version: impostor.py FOLDER NAME KIND.

Takes the name as a monitor does, and answers as KIND says: "new", one that knows other paths and
other messages; "mute", one that accepts and says nothing; "text", one that speaks no HTTP."""
import fcntl
import json
import os
import socket
import struct
import sys

folder, name, kind = sys.argv[1:]
place = os.path.join(folder, name)
os.makedirs(place, 0o700)
lock = os.open(os.path.join(place, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
fcntl.fcntl(lock, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
with open(os.path.join(place, "info"), "w") as f:
    json.dump({"pid": os.getpid(), "version": "99.0"}, f)
listener = socket.socket(socket.AF_UNIX)
listener.bind(os.path.join(place, "control"))
listener.listen()
kept = []
while True:
    connection, _ = listener.accept()
    if kind == "mute":
        kept.append(connection)
        continue
    request = connection.recv(65536).decode()
    if kind == "text":
        connection.sendall(b"220 hello\r\n")
    else:
        found = request.startswith("GET /v1/machine ")
        body = json.dumps({"name": name, "pid": os.getpid(), "version": "99.0", "state": "running",
                           "title": "\x1b[2J\x9b2J"}
                          if found else {"error": "there is no such thing in this version"})
        status = "200 OK" if found else "404 Not Found"
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
                           f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
    connection.close()
