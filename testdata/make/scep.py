"""Takes in what SCEP clients send: answers GetCACaps and GetCACert, and keeps the messages that are posted, in 1.der, 2.der and so on.
See scep.sh."""
import http.server
import sys
import urllib.parse

CAPABILITIES = b"AES\nPOSTPKIOperation\nRenewal\nSHA-256\nSHA-384\nSHA-512\nSCEPStandard\n"


class Taking(http.server.BaseHTTPRequestHandler):
    taken = 0

    def say(self, body):
        self.send_response(200)
        self.send_header("content-type", "application/x-x509-ca-ra-cert")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        self.say(CAPABILITIES if query["operation"] == ["GetCACaps"] else open("chain.p7", "rb").read())

    def do_POST(self):
        Taking.taken += 1
        with open(f"{Taking.taken}.der", "wb") as file:
            file.write(self.rfile.read(int(self.headers["content-length"])))
        self.say(b"")


http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Taking).serve_forever()
