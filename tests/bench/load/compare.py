"""The host's load generator beside oha, against one nginx, in one run and in turn.

usage: compare.py PHASEMETER DIRECTORY SECONDS ROUNDS
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

CONNECTIONS = 64
CONF = """\
worker_processes 2;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
daemon off;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{ listen 127.0.0.1:{port} reuseport; location / {{ return 200 "a small answer of nginx\\n"; }} }}
}}
"""


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_nginx(directory):
    port = free_port()
    conf = directory / "nginx.conf"
    conf.write_text(CONF.format(directory=directory, port=port))
    nginx = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(conf)], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/"
    for _ in range(100):
        try:
            urllib.request.urlopen(url).read()
            return nginx, url
        except OSError:
            time.sleep(0.05)
    sys.exit("nginx does not answer: see nginx.log in " + str(directory))


def measured(command):
    """Runs a command to its end: its output, its processor time in s, its largest memory in MB.

    What wait4 says of memory includes this interpreter, which the process was forked from: it is read from /proc instead.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    watcher = Watcher(process.pid)
    output = process.stdout.read()
    watcher.ended.set()
    watcher.join()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command} ended with {process.returncode}")
    return output, usage.ru_utime + usage.ru_stime, watcher.most


class Watcher(threading.Thread):
    """Reads the largest memory of a process, in MB, twenty times a second."""

    def __init__(self, pid):
        super().__init__()
        self.status, self.most, self.ended = Path(f"/proc/{pid}/status"), 0.0, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.05):
            for line in self.status.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self.most = max(self.most, int(line.split()[1]) / 1024)


class Phasemeter:
    def __init__(self, program, directory):
        self.program, self.directory, self.run = program, directory, 0

    def bench(self, url, *arguments):
        self.run += 1
        out = self.directory / f"run-{self.run}"
        output, cpu, memory = measured([self.program, "bench", url, "--json", "--out", str(out), *arguments])
        shutil.rmtree(out)
        phase = json.loads(output)["phases"][0]
        return phase, cpu, memory

    def closed(self, url, seconds):
        phase, cpu, memory = self.bench(url, "-c", str(CONNECTIONS), "-z", f"{seconds}s")
        completed = phase["counts"]["completed"]
        return completed / phase["durations"]["total_s"], cpu / completed * 1e6, memory


def oha_closed(program, url, seconds):
    output, cpu, memory = measured([program, "--no-tui", "--output-format", "json", "-c", str(CONNECTIONS), "-z", f"{seconds}s", url])
    result = json.loads(output)
    completed = sum(result["statusCodeDistribution"].values())
    return completed / result["summary"]["total"], cpu / completed * 1e6, memory


def closed_loop(phasemeter, oha, url, seconds, rounds):
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(phasemeter.closed(url, seconds))
        theirs.append(oha_closed(oha, url, seconds))
    median = lambda runs, place: statistics.median(run[place] for run in runs)
    ratios = [a[0] / b[0] for a, b in zip(ours, theirs)]
    cpu = [a[1] / b[1] for a, b in zip(ours, theirs)]
    print(f"\n{CONNECTIONS} connections, {rounds} rounds of {seconds} s in turn, medians\n")
    print("| | phasemeter bench | oha | ratio |\n|---|---:|---:|---:|")
    print(f"| requests/s | {median(ours, 0):,.0f} | {median(theirs, 0):,.0f} | {statistics.median(ratios):.2f} |")
    print(f"| processor time a request, µs | {median(ours, 1):.2f} | {median(theirs, 1):.2f} | {statistics.median(cpu):.2f} |")
    print(f"| most memory, MB | {median(ours, 2):.1f} | {median(theirs, 2):.1f} | |")
    return median(ours, 0)


def open_loop(phasemeter, url, rate, seconds):
    phase, _, _ = phasemeter.bench(url, "-q", str(rate), "-z", f"{seconds}s")
    achieved = phase["counts"]["sent"] / phase["durations"]["sending_s"]
    lag = phase["metrics"]["schedule_lag"]["percentiles"]
    print(f"\nopen loop at half of that, {seconds} s: {rate:,} requests/s planned, {achieved:,.2f} sent ", end="")
    print(f"({(achieved / rate - 1) * 100:+.3f} %); schedule lag p50 {lag['p50']['value']:.3f} ms, p99 {lag['p99']['value']:.3f} ms")


def against_the_servers_log(phasemeter, seconds):
    """Service time beside what a server says that it took."""
    log = phasemeter.directory / "truth.jsonl"
    command = [phasemeter.program, "mock-server", "--listen", "127.0.0.1:0", "--latency", "5ms,0.3", "--log", str(log)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    url = server.stdout.readline().split()[-1]
    phase, _, _ = phasemeter.bench(url, "-q", "200", "-z", f"{seconds}s")
    server.terminate()
    server.wait()
    took = sorted(json.loads(line)["first_byte_ms"] for line in log.read_text().splitlines())
    print(f"\nservice time at 200 requests/s, {seconds} s, and what the server's own log says:")
    for name, part in [("p50", 0.5), ("p99", 0.99)]:
        told = phase["metrics"]["service_time"]["percentiles"][name]["value"]
        truth = took[max(0, -(-len(took) * int(part * 100) // 100) - 1)]
        print(f"{name} {told:.3f} ms, {truth:.3f} ms: {told - truth:+.3f} ms")


def main():
    program, directory, seconds, rounds = sys.argv[1], Path(sys.argv[2]).resolve(), int(sys.argv[3]), int(sys.argv[4])
    directory.mkdir(parents=True, exist_ok=True)
    missing = [name for name, found in [("nginx", shutil.which("nginx") or os.path.exists("/usr/sbin/nginx")), ("oha", shutil.which("oha"))] if not found]
    if missing:
        sys.exit(f"not found: {', '.join(missing)}; install nginx (Debian: `apt install nginx-light`) and oha (`cargo install oha --locked`)")
    phasemeter = Phasemeter(program, directory)
    nginx, url = start_nginx(directory)
    try:
        most = closed_loop(phasemeter, shutil.which("oha"), url, seconds, rounds)
        open_loop(phasemeter, url, int(most / 2), seconds)
    finally:
        nginx.terminate()
        nginx.wait()
    against_the_servers_log(phasemeter, max(seconds, 10))


main()
