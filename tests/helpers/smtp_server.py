"""A mail server for tests: takes mails of a signed-in client over STARTTLS, and prints each one as a line of JSON.

`data` is the mail as it came, `text` its decoded body: a mail with a link is quoted-printable, because of its long line.
"""

import asyncio
import json
import ssl
import sys
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult


class Print:
    async def handle_DATA(self, server, session, envelope):
        data = envelope.content
        text = message_from_bytes(data, policy=policy.default).get_content()
        mail = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "data": data.decode("ascii"), "text": text}
        print(json.dumps(mail), flush=True)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, auth_data):
    is_right = (auth_data.login, auth_data.password) == (b"kastrel", b"p@ss word")
    # `handled` would mean that the response of a refusal was sent already.
    return AuthResult(success=is_right, handled=is_right)


async def main(certificate, key):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    def accept():
        return SMTP(
            Print(),
            hostname="localhost",
            tls_context=context,
            require_starttls=True,
            authenticator=authenticate,
            auth_required=True,
        )

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
