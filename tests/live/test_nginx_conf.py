"""The shipped nginx configuration, as nginx itself judges it."""

import datetime
import re
import shutil
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from rtserver.config import Config

SHIPPED = Path(__file__).parents[2] / "etc/nginx/rtserver.conf"

MAIN = """
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    include {place}/rtserver.conf;
}}
"""


def write_certificate(place):
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
    )
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (place / "fullchain.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (place / "privkey.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_nginx_takes_the_shipped_configuration(tmp_path):
    write_certificate(tmp_path)
    text = SHIPPED.read_text().replace("/etc/ssl/rtserver", str(tmp_path))
    # The test of nginx opens the ports for a moment: Unix sockets in their place are free for certain.
    text, ports = re.subn(r"listen \S*?(\d+)\b", lambda match: f"listen unix:{tmp_path}/{match.start()}.sock", text)
    assert ports == 4
    (tmp_path / "rtserver.conf").write_text(text)
    (tmp_path / "nginx.conf").write_text(MAIN.format(place=tmp_path))
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    command = [nginx, "-t", "-q", "-e", str(tmp_path / "error.log"), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_streams_are_not_buffered_and_outlive_the_ping_interval():
    (streams,) = re.findall(r"location /connection/ \{(.*?)\n    \}", SHIPPED.read_text(), re.DOTALL)
    assert "proxy_buffering         off;" in streams
    (read_timeout,) = re.findall(r"proxy_read_timeout +(\d+)s;", streams)
    client = Config().client
    assert int(read_timeout) > client.ping_interval + client.pong_timeout


def test_no_location_sets_a_header_of_its_own_and_so_forgets_those_of_the_server():
    text = SHIPPED.read_text()
    outside = re.sub(r"location \S+ \{.*?\n    \}", "", text, flags=re.DOTALL)
    assert text.count("proxy_set_header ") == outside.count("proxy_set_header ") >= 6
    for name in ("Host", "Upgrade", "Connection", "X-Forwarded-For"):
        assert f"proxy_set_header {name} " in outside


def test_every_connection_path_goes_to_the_unbuffered_location():
    config = Config()
    transports = ("websocket", "sse", "http_stream", "uni_websocket", "uni_sse", "uni_http_stream")
    assert all(getattr(config, name).handler_prefix.startswith("/connection/") for name in transports)
