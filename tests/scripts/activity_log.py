#!/usr/bin/env python3
"""Copies a tenant's activity log into a directory.

A script such as administrators write, from nothing but the documentation of the REST API: it knows a base address and
a personal access token, and nothing of what answers there.

    API=https://api.example.com OUT=logs activity_log.py < token.txt

It goes on where it was stopped: files that are there already, and whole, are not fetched again.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone

PATIENCE = 10  # Times that a call is made again when the service is busy.
PAUSE = 0.01  # Seconds between calls: a script is one of many.


class Client:
    """Speaks to the API, with a session that it renews when it is over."""

    def __init__(self, base, token):
        self.base = base.rstrip("/")
        self.token = token
        self.session = None
        self.tenant = None
        self.sign_ins = 0
        # Straight to the address, whatever proxies the environment names.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def sign_in(self):
        answer = self.send("POST", "/api/v1/pat/login", {"token": self.token}, {})
        signed_in = json.loads(answer)
        self.session = signed_in["sessionToken"]
        self.tenant = signed_in["tenantId"]
        self.sign_ins += 1

    def sign_out(self):
        self.call("DELETE", "/api/v2/sessions")

    def call(self, method, path, body=None):
        """Makes a call with the session; signs in again, once, where that is over."""
        time.sleep(PAUSE)
        for attempt in (1, 2):
            try:
                answer = self.send(method, path, body, {"x-tableau-session-token": self.session})
                return json.loads(answer) if answer else None
            except urllib.error.HTTPError as error:
                if error.code != 401 or attempt == 2:
                    raise
                say("the session is over: signing in again")
                self.sign_in()

    def send(self, method, path, body, headers):
        """Sends a request; waits as long as it is told to where the service is busy."""
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers = {**headers, "Content-Type": "application/json"}
        url = urllib.parse.urljoin(self.base + "/", path.lstrip("/"))
        request = urllib.request.Request(url, data, {**headers, "User-Agent": "activity_log.py"}, method=method)
        for attempt in range(PATIENCE):
            try:
                with self.opener.open(request, timeout=60) as answer:
                    return answer.read()
            except urllib.error.HTTPError as error:
                problem = json.loads(error.read() or b"{}")
                if error.code not in (429, 503) or attempt + 1 == PATIENCE:
                    say(f"{method} {path.split('?')[0]}: {problem['errorCode']}: {problem['message']}")
                    raise
                wait = int(error.headers["Retry-After"])
                say(f"{problem['errorCode']}: waiting for {wait} s")
                time.sleep(wait)

    def pages(self, path, member, **query):
        """All rows of a listing, one page after the other."""
        token = ""
        while True:
            # Parameters that an API does not know are none of its business.
            parameters = urllib.parse.urlencode({**query, "pageToken": token, "requestedBy": "activity_log.py"})
            page = self.call("GET", f"{path}?{parameters}")
            yield from page[member]
            token = page.get("pageToken")
            if not token:
                return


def say(text):
    print(text, flush=True)


def main():
    client = Client(os.environ["API"], sys.stdin.readline().strip())
    out = os.environ["OUT"]
    client.sign_in()
    tenant = f"/api/v1/tenants/{client.tenant}"

    sites = []
    for site in client.pages(f"{tenant}/sites", "sites", maxResults=1):
        say(f"site {site['name']} at /{site['contentUrl']}")
        sites.append(site["siteUUID"])
    users = 0
    for user in client.pages(f"{tenant}/users", "users", maxResults=1):
        say(f"user {user['name']}")
        users += 1

    now = datetime.now(timezone.utc)
    query = {"startTime": (now - timedelta(days=7)).isoformat(), "endTime": now.isoformat(), "pageSize": 1}
    events = 0
    for site in sites:
        path = f"{tenant}/sites/{site}/activitylog"
        files = {file["path"]: file["size"] for file in client.pages(path, "files", **query)}
        for name, size in files.items():
            target = os.path.join(out, f"{site}-{name}")
            if os.path.exists(target) and os.path.getsize(target) == size:
                continue
            linked = client.call("POST", path, {"files": [name]})
            content = client.send("GET", linked["files"][0]["url"], None, {})
            if len(content) != size:
                sys.exit(f"{name} has {len(content)} bytes instead of {size}")
            events += sum(1 for line in content.splitlines() if json.loads(line)["eventType"])
            with open(target, "wb") as file:
                file.write(content)
    client.sign_out()
    say(json.dumps({"sites": len(sites), "users": users, "events": events, "signIns": client.sign_ins}))


if __name__ == "__main__":
    main()
