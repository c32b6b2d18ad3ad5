"""A name that changes its answer between the check and the connection."""

import datetime
import ipaddress
import socket
import ssl

import httpx
import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.faulty_server import serve

from headrace.errors import SourceError
from headrace.sources.connections import guard_pools, open_client
from headrace.sources.hosts import check_host
from headrace.sources.http import Patience, Wanted, download
from headrace.sources.store import Store

PUBLIC = "93.184.215.14"


@pytest.fixture
def internet(monkeypatch):
    """A world in which names answer what the test says, and PUBLIC is a server of the test's own; returns what was dialled."""
    real_answer, real_connection = socket.getaddrinfo, socket.create_connection

    class Internet:
        def __init__(self):
            self.answers: dict[str, list[list[str]]] = {}
            self.dialled: list[str] = []
            self.port = 0

        def getaddrinfo(self, host, port, *rest, **more):
            if host not in self.answers:
                return real_answer(host, port, *rest, **more)
            queue = self.answers[host]
            addresses = queue.pop(0) if len(queue) > 1 else queue[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        def create_connection(self, address, *rest, **more):
            self.dialled.append(address[0])
            ipaddress.ip_address(address[0])  # a name here would be looked up once more
            return real_connection(("127.0.0.1", self.port), *rest, **more)

    world = Internet()
    monkeypatch.setattr(socket, "getaddrinfo", world.getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", world.create_connection)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return world


def self_signed(folder, name):
    """Certificate and key of a host that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*form))
    return path


@pytest.mark.fault
def test_a_name_that_turns_private_after_the_check_is_not_connected_to(internet, tmp_path):
    """DNS rebinding: the first answer passes the check, the second would reach into the machine's own network."""
    internet.answers["data.test"] = [[PUBLIC], ["127.0.0.1"]]
    wanted = Wanted("http://data.test/ok/x", "x", None, None)

    with pytest.raises(SourceError, match=r"Host data.test is refused: its address 127\.0\.0\.1"):
        download(wanted, Store(tmp_path), patience=Patience(budget_s=1, first_pause_s=0.01))

    assert internet.dialled == []


@pytest.mark.fault
def test_one_private_address_among_public_ones_is_enough(internet):
    """Whoever answers for the name could let the public one fail."""
    internet.answers["data.test"] = [[PUBLIC, "10.0.0.7"]]
    with pytest.raises(SourceError, match="private network"):
        check_host("https://data.test/x", allowed=())


def test_the_checked_address_is_dialled_and_the_name_is_verified(internet, tmp_path, monkeypatch):
    """Pinning the address must not cost TLS: the certificate is that of the name in the URL."""
    ours, other = self_signed(tmp_path, "data.test"), self_signed(tmp_path, "other.test")
    both = tmp_path / "authorities.pem"
    both.write_bytes(ours.read_bytes() + other.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(both))
    internet.answers |= {"data.test": [[PUBLIC]], "other.test": [[PUBLIC]]}
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ours)
    with serve(context) as server, open_client(5, allowed=()) as client:
        server.files["x"] = b"bytes"
        internet.port = int(server.url.rpartition(":")[2])

        assert client.get("https://data.test/ok/x").content == b"bytes"
        with pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
            client.get("https://other.test/ok/x")
    assert internet.dialled == [PUBLIC, PUBLIC]


def test_a_listed_host_is_left_to_the_machine(internet):
    """Whoever lists a host means it, wherever it is."""
    with serve() as server, open_client(5, allowed={"127.0.0.1"}) as client:
        server.files["x"] = b"bytes"
        internet.port = int(server.url.rpartition(":")[2])

        assert client.get(f"{server.url}/ok/x").content == b"bytes"


@pytest.mark.fault
def test_a_client_of_urllib3_is_held_to_the_same(internet, tmp_path, monkeypatch):
    """What boto3 connects with: the checked address is dialled, the name verified, another answer refused."""
    ours = self_signed(tmp_path, "data.test")
    internet.answers |= {"data.test": [[PUBLIC]], "inner.test": [["10.0.0.7"]]}
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(ours)
    # It dials by a function of its own.
    monkeypatch.setattr(
        "urllib3.util.connection.create_connection", lambda address, *rest, **more: socket.create_connection(address)
    )
    manager = urllib3.PoolManager(ca_certs=str(ours), retries=False, timeout=5)
    guard_pools(set())(manager)
    with serve(context) as server:
        server.files["x"] = b"bytes"
        internet.port = int(server.url.rpartition(":")[2])

        assert manager.request("GET", "https://data.test/ok/x").data == b"bytes"
        with pytest.raises(SourceError, match=r"Host inner\.test is refused"):
            manager.request("GET", "http://inner.test/ok/x")
    manager.clear()
    assert internet.dialled == [PUBLIC]
