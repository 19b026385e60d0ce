"""What the workers of the examples call. While it runs, it accepts what is posted, and prints it.

To try failures: what says "poison" is always refused, what says "flaky" only the first time.
"""
from http.server import BaseHTTPRequestHandler, HTTPServer

seen = set()


class Downstream(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200)  # It is healthy.

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        is_new = body not in seen
        seen.add(body)
        if "poison" in body or ("flaky" in body and is_new):
            return self.answer(503)
        print(body, flush=True)
        self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


HTTPServer(("localhost", 9000), Downstream).serve_forever()
