"""A mail server that keeps what it gets: smtp.py DIRECTORY [auth] [tls CERTIFICATE KEY]

It writes its port to DIRECTORY/port, and each message, with the envelope, to DIRECTORY/N.json. It takes mail for
anybody but refused@example.com. With `auth`, only who signs in as patrol with the password "correct horse" may send.
"""

import asyncio
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

directory, options = sys.argv[1], sys.argv[2:]
context = None
if "tls" in options:
    at = options.index("tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options[at + 1], options[at + 2])
count = 0


class Keep:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address == "refused@example.com":
            return "550 not here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        global count
        message = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode("utf-8"),
            "encrypted": session.ssl is not None,
            "user": session.auth_data.login.decode() if session.auth_data else None,
        }
        put(f"{count}.json", json.dumps(message))
        count += 1
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"patrol" and data.password == b"correct horse"
    return AuthResult(success=good, auth_data=data)


def put(name, text):
    path = os.path.join(directory, name)
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def serve():
    auth = "auth" in options
    return SMTP(
        Keep(),
        tls_context=context,
        require_starttls=context is not None,
        auth_required=auth,
        auth_require_tls=context is not None,
        authenticator=authenticate if auth else None,
    )


async def main():
    server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", 0)
    put("port", str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


asyncio.run(main())
