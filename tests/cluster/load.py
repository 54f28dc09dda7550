"""A bare load program: many requests at once by curl, nothing in between. The floor to which the agent is compared."""
import json
import os
import subprocess
import time


def send(cluster, requests, folder, parallel=8):
    """Sends (method, path, body or None) requests as the cluster's admin; returns the seconds that took. Every answer must be 2xx."""
    os.makedirs(folder, exist_ok=True)
    config = os.path.join(folder, "requests.curl")
    pki = cluster.pki
    with open(config, "w", encoding="utf-8") as file:
        for number, (method, path, body) in enumerate(requests):
            if number:
                file.write("next\n")
            file.write(f'url = "{cluster.server}{path}"\nrequest = {method}\ncacert = "{pki.ca}"\ncert = "{pki.file("admin.crt")}"\n'
                       f'key = "{pki.file("admin.key")}"\noutput = "/dev/null"\nsilent\nwrite-out = "%{{http_code}}\\n"\nhttp1.1\n')
            if body is not None:
                text = json.dumps(body, separators=(",", ":")).replace("\\", "\\\\").replace('"', '\\"')
                file.write(f'header = "Content-Type: application/json"\ndata = "{text}"\n')
    began = time.monotonic()
    result = subprocess.run(["curl", "--parallel", "--parallel-max", str(parallel), "--config", config], text=True, capture_output=True, check=False)
    took = time.monotonic() - began
    codes = result.stdout.split()
    bad = [code for code in codes if not code.startswith("2")]
    assert len(codes) == len(requests) and not bad, f"{len(codes)} of {len(requests)} answered, not 2xx: {bad[:5]} {result.stderr[:300]}"
    return took
