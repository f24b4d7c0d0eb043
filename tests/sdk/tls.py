"""A proxy that takes the place of a deployment's DNS and certificate.

For any host under the suffix it terminates TLS with a certificate that it has made, and passes the bytes on to Sluice
unchanged. A client in this process needs no change: it asks for https://CONNECTION.SUFFIX/… and nothing else.
"""

import datetime
import os
import select
import socket
import ssl
import tempfile
import threading
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sluice import SLUICE

PIECE = 65536


def front(suffix):
    """Starts the proxy for this process. Returns the function that ends it."""
    folder = tempfile.TemporaryDirectory()
    certificate = os.path.join(folder.name, "certificate.pem")
    _certify(suffix, certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(listener, tls, suffix), daemon=True).start()
    os.environ["HTTPS_PROXY"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
    os.environ["REQUESTS_CA_BUNDLE"] = certificate

    def end():
        del os.environ["HTTPS_PROXY"], os.environ["REQUESTS_CA_BUNDLE"]
        listener.close()
        folder.cleanup()

    return end


def _certify(suffix, path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sluice tests")])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"*{suffix}")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    with open(path, "wb") as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        file.write(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


def _serve(listener, tls, suffix):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_tunnel, args=(client, tls, suffix), daemon=True).start()


def _tunnel(client, tls, suffix):
    """Serves a client: reads `CONNECT host:443`, then TLS, and passes bytes both ways."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(PIECE)
    host = head.split()[1].decode().rsplit(":", 1)[0]
    if not host.endswith(suffix):
        client.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        return client.close()
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    to = urlsplit(SLUICE)
    with tls.wrap_socket(client, server_side=True) as inside, socket.create_connection((to.hostname, to.port)) as outside:
        while True:
            ready = [inside] if inside.pending() else select.select([inside, outside], [], [])[0]
            for one in ready:
                piece = one.recv(PIECE)
                if not piece:
                    return None
                (outside if one is inside else inside).sendall(piece)
