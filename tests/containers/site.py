"""The web server that is scanned. It answers at once as `quick.test`, and late as `slow.test`."""

import http.server
import time

PAGE = b"<!doctype html><title>Shop</title><h1>Shop</h1><script src='/shop.js'></script>"


class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.headers.get("Host", "").startswith("slow."):
            time.sleep(2.5)
        found = self.path == "/"
        body = PAGE if found else b"not found"
        self.send_response(200 if found else 404)
        self.send_header("Server", "Apache/2.4.1")
        self.send_header("Set-Cookie", "session=1")
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_OPTIONS = do_GET


http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("", 80), Site).serve_forever()
