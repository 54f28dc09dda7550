"""Certificates for one cluster, made with the openssl command."""
import os
import subprocess


def _run(*argv, stdin=None):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, input=stdin)


class Pki:
    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.ca, self.ca_key = self.file("ca.crt"), self.file("ca.key")
        _run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=lab-ca",
             "-keyout", self.ca_key, "-out", self.ca)
        self.sa_key, self.sa_pub = self.file("sa.key"), self.file("sa.pub")
        _run("openssl", "genrsa", "-out", self.sa_key, "2048")
        _run("openssl", "rsa", "-in", self.sa_key, "-pubout", "-out", self.sa_pub)

    def file(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.file(name), encoding="ascii") as file:
            return file.read()

    def issue(self, name, subject, addresses=(), names=(), days=30):
        """A key and certificate `<name>.key`, `<name>.crt` signed by the CA. Returns both paths."""
        key, crt, csr, ext = (self.file(name + e) for e in (".key", ".crt", ".csr", ".ext"))
        sans = [f"IP:{a}" for a in addresses] + [f"DNS:{n}" for n in names]
        with open(ext, "w", encoding="ascii") as file:
            file.write("basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n" + ("subjectAltName=" + ",".join(sans) if sans else ""))
        _run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-keyout", key, "-out", csr)
        _run("openssl", "x509", "-req", "-in", csr, "-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial", "-days", str(days),
             "-extfile", ext, "-out", crt)
        return key, crt
